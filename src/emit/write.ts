/** Puts a finished output in its place: written aside and to the disk, then renamed, so that nobody meets half of it. */
import { randomUUID } from 'node:crypto';
import {
  access,
  constants,
  copyFile,
  open,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  rmdir,
  stat,
} from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, normalize, relative, resolve, sep } from 'node:path';
import { isDiskFull, makeFolder, replaceFile, writeSynced } from '../cache/files.ts';
import { readMark, writeMark } from '../cache/mark.ts';
import {
  diskFull,
  externalDataNameTaken,
  messageOf,
  OfframpError,
  outputFailed,
  outputNotEmpty,
  outputUnusable,
} from '../errors/index.ts';
import { TOKENIZER_FILE } from './file-names.ts';
import { readManifest } from './manifest-json.ts';

export interface WriteOptions {
  /**
   * Write into a folder that is not empty: files of the same names are replaced, files that an earlier compile left and
   * this one does not write are removed, others stay.
   */
  readonly force?: boolean;
  /** Write into a folder that an earlier compile filled, and leave all other files. */
  readonly update?: boolean;
  /** Files and folders, relative, that an earlier run left and this one removes unless it writes there; without `update`, besides those of a compile. */
  readonly stale?: readonly string[];
}

/** What a compile writes. */
const WRITTEN =
  'model.onnx heads.onnx manifest.json report.html index.ts index.js index.d.ts index.cjs index.d.cts package.json README.md'.split(
    ' ',
  );
/** What an earlier compile may have left. */
const OWNED = [...WRITTEN, 'model.onnx.data'];
/** Names that Offramp gave to external data (`src/networks/external-files.ts`). */
const OWNED_DATA = /^(first_\d+\.|model\.onnx\.data_\d+$)/;
const STUDENT = /^student_\d+\.onnx$/;

/** Text, bytes in one or several pieces, or another file's content (external data, which may be larger than memory). */
export type Content = string | Uint8Array | readonly Uint8Array[] | { readonly copyOf: string };

/** Undoes one step that was taken. */
type Undo = () => Promise<void>;

/** Throws `external-data-name-taken` where a file that is copied along would take the place of one that is written. */
export function checkCopies(names: readonly string[]): void {
  const taken = names.find((name) => WRITTEN.includes(normalize(name)) || STUDENT.test(normalize(name)));
  if (taken !== undefined) throw externalDataNameTaken(taken);
}

/** Throws `output-not-empty`, `output-unusable` or `output-failed` where `writeOutput` would, before any work is done. Writes nothing. */
export async function checkOutput(folder: string, options: WriteOptions = {}): Promise<void> {
  const { force = false, update = false } = options;
  await checkPlace(folder, resolve(folder));
  const present = await coded(folder, () => entriesOf(resolve(folder)));
  if (present?.some((name) => !isPartial(name)) && !force && !update) throw outputNotEmpty(folder);
}

/**
 * Makes `folder` hold `files`: relative path → content. In the end either all of them are there or the folder is as it
 * was; after a kill it is the one or the other once `finishWriting` has run. Throws `output-not-empty`, `output-unusable`, `disk-full` or `output-failed`.
 */
export async function writeOutput(
  folder: string,
  files: ReadonlyMap<string, Content>,
  options: WriteOptions = {},
): Promise<void> {
  await checkOutput(folder, options);
  const target = resolve(folder);
  await finishWriting(folder);
  await coded(folder, async () => {
    const present = (await entriesOf(target)) !== undefined;
    await makeFolder(dirname(target));
    // Inside a folder that exists, which may be a mount point; beside one that does not.
    const partial = join(present ? target : dirname(target), `.${basename(target)}.partial-${randomUUID()}`);
    await makeFolder(partial);
    const stop = await writeMark(join(partial, OWNER));
    try {
      await stage(join(partial, NEW), files);
      if (present) {
        const before = [...(options.update ? [] : await leftovers(target)), ...(options.stale ?? [])];
        const stale = before.filter((name) => !writesInto(name, files));
        await replaceFile(join(partial, DECIDED), JSON.stringify(stale));
        await moveFiles(target, partial, [...files.keys()], stale);
        await removeEmptied(target, stale);
      } else await rename(join(partial, NEW), target);
    } finally {
      stop();
      await discard(partial);
    }
  });
}

/** Of what is being written: whose it is, the files, those that they replaced, and, once all files are there, which others go. */
const OWNER = 'owner';
const NEW = 'new';
const OLD = 'old';
const DECIDED = 'decided';

/**
 * Ends what a killed process began to write into `folder`: where all files were there already, they are moved to their places. Does nothing while
 * the process may run. Throws `disk-full` or `output-failed`.
 */
export async function finishWriting(folder: string): Promise<void> {
  const target = resolve(folder);
  await coded(folder, async () => {
    for (const name of ((await entriesOf(target)) ?? []).filter(isPartial)) {
      const partial = join(target, name);
      const owner = join(partial, OWNER);
      // Or killed while it wrote its name.
      const mark = (await readMark(owner)) ?? (await readMark(`${owner}.tmp`));
      if (!mark || mark.isLive) continue;
      const decided = await readFile(join(partial, DECIDED), 'utf8').catch(() => undefined);
      if (decided !== undefined) await moveRest(target, partial, JSON.parse(decided));
      await discard(partial);
    }
  });
}

/** What is decided goes first: from then on the target stays as it is. The owner goes last: without it nobody takes the rest away after a kill. */
async function discard(partial: string): Promise<void> {
  for (const name of [DECIDED, NEW, OLD, '']) await rm(join(partial, name), { recursive: true, force: true });
}

/** Moves what `moveFiles` has not. */
async function moveRest(target: string, partial: string, stale: readonly string[]): Promise<void> {
  const rest = await readdir(join(partial, NEW), { recursive: true, withFileTypes: true });
  for (const entry of rest.filter((entry) => entry.isFile())) {
    const from = join(entry.parentPath, entry.name);
    const to = join(target, relative(join(partial, NEW), from));
    await makeFolder(dirname(to));
    await rename(from, to);
  }
  for (const name of stale) await rm(join(target, name), { recursive: true, force: true });
  await removeEmptied(target, stale);
}

/** Removes folders in which nothing was but `stale`. */
async function removeEmptied(target: string, stale: readonly string[]): Promise<void> {
  // Fails where something is left, and is not there any more behind another name.
  for (const name of stale)
    for (let folder = dirname(name); folder !== '.'; folder = dirname(folder))
      await rmdir(join(target, folder)).catch(() => {});
}

/** Throws `output-unusable` where `writeOneFile` would, before any work is done. */
export async function checkFile(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (found?.isDirectory()) throw outputUnusable(path, 'it is a folder');
  // A device or a pipe would be replaced by a file.
  if (found && !found.isFile()) throw outputUnusable(path, 'it is no regular file');
  await checkPlace(path, dirname(resolve(path)));
}

/**
 * Throws `output-unusable` where `checkFile` would, and where there is a file that holds something else than `isOurs` knows: only what Offramp wrote
 * is replaced unasked, whatever else a name is a slip for.
 */
export async function checkReplaceable(path: string, isOurs: (text: string) => boolean): Promise<void> {
  await checkFile(path);
  const text = await startOf(path);
  if (text !== undefined && text !== '' && !isOurs(text))
    throw outputUnusable(path, 'it is there, and holds something that Offramp does not write there');
}

/** The first bytes of a file, which are enough to know what it is; undefined where there is none. */
async function startOf(path: string): Promise<string | undefined> {
  const file = await open(path, 'r').catch((error) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw outputUnusable(path, messageOf(error), error);
  });
  if (!file) return undefined;
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(START), 0, START, 0);
    return buffer.toString('utf8', 0, bytesRead);
  } catch (error) {
    throw outputUnusable(path, messageOf(error), error);
  } finally {
    await file.close();
  }
}

/** What holds for files that are whole JSON: none is as long. */
const START = 2 ** 20;

/** Throws `output-unusable` where the file or folder at `path` is one of `inputs`, or holds one: what is read is not written over. */
export async function checkApart(path: string, inputs: readonly string[]): Promise<void> {
  const target = await realPath(path);
  for (const input of inputs)
    if (isWithin(await realPath(input), target)) throw outputUnusable(path, `${input} is read from there`);
}

/** Throws `output-unusable` where `path` is one of `folders`, which are read whole, or lies in one: it would be read along the next time. */
export async function checkOutside(path: string, folders: readonly string[]): Promise<void> {
  const target = await realPath(path);
  for (const folder of folders)
    if ((await exists(folder)) && isWithin(target, await realPath(folder)))
      throw outputUnusable(path, `all of ${folder} is read`);
}

/** Whether `path` is `folder`, or lies in it; both without links. */
function isWithin(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way === '' || !(way === '..' || way.startsWith(`..${sep}`) || isAbsolute(way));
}

/** Files that belong to `path`: itself, or those in the folder that it is. */
export async function filesIn(path: string): Promise<string[]> {
  const names = await readdir(path).catch(() => undefined);
  return names ? names.map((name) => join(path, name)) : [path];
}

/** What a compile writes into `folder`. */
export const writtenInto = (folder: string): string[] => WRITTEN.map((name) => join(folder, name));

/** Without links, also those above what is not there yet. */
async function realPath(path: string): Promise<string> {
  const absolute = resolve(path);
  const above = dirname(absolute);
  return await realpath(absolute).catch(async () =>
    above === absolute ? absolute : join(await realPath(above), basename(absolute)),
  );
}

/** Writes a file into a folder, which is made where there is none; other files there are left alone. Throws as `writeOutput` does. */
export async function writeOneFile(path: string, content: Content): Promise<void> {
  await checkFile(path);
  // A link stays, and the file that it leads to is written.
  const target = await realPath(path);
  await writeOutput(dirname(target), new Map([[basename(target), content]]), { update: true });
}

/** Throws `output-unusable` unless `folder`, or what there is above it, is a folder that may be written to. `path` is how it was given. */
async function checkPlace(path: string, folder: string): Promise<void> {
  try {
    const found = await stat(folder);
    if (!found.isDirectory()) throw outputUnusable(path, `${folder} is a file`);
    await access(folder, constants.W_OK | constants.X_OK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (error instanceof OfframpError) throw error;
    if (code !== 'ENOENT' && code !== 'ENOTDIR') throw outputUnusable(path, messageOf(error), error);
    await checkPlace(path, dirname(folder));
  }
}

/** Gives what the file system throws a code. */
async function coded<T>(folder: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw isDiskFull(error) ? diskFull(folder) : outputFailed(folder, messageOf(error), error);
  }
}

async function stage(folder: string, files: ReadonlyMap<string, Content>): Promise<void> {
  await makeFolder(folder);
  for (const [name, content] of files) {
    await makeFolder(dirname(join(folder, name)));
    if (typeof content === 'object' && 'copyOf' in content)
      await copySynced(content.copyOf, join(folder, name));
    else await writeSynced(join(folder, name), content);
  }
}

async function copySynced(from: string, to: string): Promise<void> {
  await copyFile(from, to);
  const file = await open(to, 'r');
  try {
    await file.sync();
  } catch (error) {
    // Windows, which flushes only what is open for writing, and a copy may be read-only.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error;
  } finally {
    await file.close();
  }
}

/** Moves `names` from `partial`/new into `target`, what they replace and `stale` to `partial`/old; on failure moves all of it back. */
async function moveFiles(
  target: string,
  partial: string,
  names: readonly string[],
  stale: readonly string[],
): Promise<void> {
  const undo: Undo[] = [];
  const makeFolderOf = async (path: string) => {
    const made = await makeFolder(dirname(path));
    if (made) undo.push(() => rm(made, { recursive: true }));
  };
  const move = async (from: string, to: string) => {
    await makeFolderOf(to);
    await rename(from, to);
    undo.push(() => rename(to, from));
  };
  try {
    for (const name of new Set([...names, ...stale])) {
      const place = join(target, name);
      if (await exists(place)) await move(place, join(partial, OLD, name));
    }
    for (const name of names) await move(join(partial, NEW, name), join(target, name));
  } catch (error) {
    for (const step of undo.reverse()) await step();
    throw error;
  }
}

/** Whether one of `files` is at `name`, or in the folder that it is. */
const writesInto = (name: string, files: ReadonlyMap<string, Content>): boolean =>
  files.has(name) || [...files.keys()].some((file) => file.startsWith(`${name}/`));

/** Names of Offramp's own that may be stale; none unless a manifest says that Offramp wrote here. */
export async function leftovers(target: string): Promise<readonly string[]> {
  try {
    const {
      dataFiles = [],
      networks = [],
      source,
      tokenizer,
    } = readManifest(await readFile(join(target, 'manifest.json'), 'utf8'));
    const read = [source, ...networks.filter(({ grown }) => !grown)].map(({ file }) => file);
    const own = await Promise.all(read.map((file) => file !== 'model.onnx' && exists(join(target, file))));
    // Weights may be those of a network that lies here itself.
    const isTheirs = own.includes(true);
    const students = networks.filter(({ file, grown }) => grown && STUDENT.test(file));
    return [
      ...OWNED,
      ...dataFiles.filter((name) => !isTheirs || OWNED_DATA.test(name)),
      ...(tokenizer ? [TOKENIZER_FILE] : []),
      ...students.map(({ file }) => file),
    ];
  } catch {
    return [];
  }
}

/** Left by a compile that was killed. */
const isPartial = (name: string) => /^\..+\.partial-[\w-]+$/.test(name);

/** Undefined when there is no such folder. */
async function entriesOf(folder: string): Promise<readonly string[] | undefined> {
  try {
    return await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );
