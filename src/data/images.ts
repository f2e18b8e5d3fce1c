import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { emptyDataset, rolesInside, tooFewFolders, unknownDataFormat, unknownLabel } from '../errors.ts';
import { type FileStamp, fileStamp, isFolder } from './files.ts';
import { type Picture, pictureSource } from './pictures.ts';
import type { Source, SourceOptions } from './records.ts';

/** How folders of roles, which hold class folders, are called. */
const ROLE = /^(train(ing)?|val(id|idation)?|cal(ibration)?|test(ing)?|eval)$/i;

/** Pictures in class folders, in the order of sorted class and file names; unlabelled ones may also lie side by side. */
export async function imageFolderSource(path: string, options: SourceOptions): Promise<Source> {
  const classNames = await classFolders(path);
  const roles = classNames.filter((name) => ROLE.test(name));
  if (roles.length > 0 && (await classFolders(join(path, roles[0]!))).length > 0)
    throw rolesInside(path, roles);
  const folders = classNames.length > 0 ? classNames : [''];
  const files: FileStamp[] = [];
  const pictures: Picture[] = [];
  const { classNames: names, labelOf } = classesOf(path, classNames, options);
  for (const folder of folders) {
    const label = labelOf(folder);
    for (const file of await pictureFiles(join(path, folder))) {
      files.push(fileStamp(file));
      pictures.push({ name: file, label, content: file });
    }
  }
  if (pictures.length === 0) throw emptyDataset(path);
  const count = async () => pictures.length;
  const about = { format: 'image-folder', path, files, decode: undefined, count, classNames: names };
  return pictureSource(about, () => pictures, options);
}

/**
 * Which class a folder is: that of its name in the given list of class names, or its place among the sorted names where the list names none
 * of them (it then says how classes are called). Throws `class-folders` where places cannot be right.
 */
function classesOf(path: string, folders: readonly string[], { labels, classes }: SourceOptions) {
  const given = typeof labels === 'object' ? labels : [];
  const known = folders.filter((folder) => given.includes(folder));
  if (known.length > 0) {
    const unknown = folders.find((folder) => !given.includes(folder));
    if (unknown !== undefined) throw unknownLabel(path, unknown, given);
    return { classNames: given, labelOf: (folder: string) => given.indexOf(folder) };
  }
  if (labels !== 'none' && folders.length > 0 && classes !== undefined && folders.length < classes)
    throw tooFewFolders(path, folders.length, classes);
  return { classNames: folders, labelOf: (folder: string) => Math.max(0, folders.indexOf(folder)) };
}

/** Names of the class folders of `path`, sorted. */
export async function classFolders(path: string): Promise<string[]> {
  const names = (await readdir(path)).filter(isVisible).sort();
  return names.filter((name) => isFolder(join(path, name)));
}

async function pictureFiles(folder: string): Promise<string[]> {
  const entries = (await readdir(folder, { withFileTypes: true })).filter((e) => isVisible(e.name));
  const nested = entries.find((e) => e.isDirectory());
  if (nested)
    throw unknownDataFormat(
      join(folder, nested.name),
      'is a folder inside a class folder, where pictures are expected',
    );
  return entries.map((e) => join(folder, e.name)).sort();
}

function isVisible(name: string): boolean {
  return !name.startsWith('.');
}
