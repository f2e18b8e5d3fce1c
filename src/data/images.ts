import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { emptyDataset, splitsInside, unknownDataFormat } from '../errors/index.ts';
import { imageSource, type LabelledImage } from './decode-image.ts';
import { type FileStamp, fileStamp, isFolder } from './files.ts';
import type { Source, SourceOptions } from './records.ts';

/** Names of folders that hold a split of the data, as class folders of its own. */
const SPLIT_FOLDER = /^(train(ing)?|val(id|idation)?|cal(ibration)?|test(ing)?|eval)$/i;

/** Images in class folders, in the order of sorted class and file names; unlabelled ones may also lie side by side. */
export async function imageFolderSource(path: string, options: SourceOptions): Promise<Source> {
  const classNames = await classFolders(path);
  const splits = classNames.filter((name) => SPLIT_FOLDER.test(name));
  if (splits.length > 0 && (await classFolders(join(path, splits[0]!))).length > 0)
    throw splitsInside(path, splits);
  const folders = classNames.length > 0 ? classNames : [''];
  const files: FileStamp[] = [];
  const images: LabelledImage[] = [];
  for (const [label, folder] of folders.entries()) {
    for (const file of await imageFiles(join(path, folder))) {
      files.push(fileStamp(file));
      images.push({ name: file, label, content: file });
    }
  }
  if (images.length === 0) throw emptyDataset(path);
  const count = async () => images.length;
  const about = {
    format: 'image-folder',
    path,
    files,
    decode: undefined,
    count,
    classNames,
    sortedNames: true,
  };
  return imageSource(about, () => images, options);
}

/** Names of the class folders of `path`, sorted. */
export async function classFolders(path: string): Promise<string[]> {
  const names = (await readdir(path)).filter(isVisible).sort();
  return names.filter((name) => isFolder(join(path, name)));
}

async function imageFiles(folder: string): Promise<string[]> {
  const entries = (await readdir(folder, { withFileTypes: true })).filter((e) => isVisible(e.name));
  const nested = entries.find(
    (e) => e.isDirectory() || (e.isSymbolicLink() && isFolder(join(folder, e.name))),
  );
  if (nested)
    throw unknownDataFormat(
      join(folder, nested.name),
      'is a folder inside a class folder, where images are expected',
    );
  return entries.map((e) => join(folder, e.name)).sort();
}

function isVisible(name: string): boolean {
  return !name.startsWith('.');
}
