/**
 * One folder for a model whose external data are in several, or nowhere yet. ONNX Runtime looks in one folder only, follows no link out of it, and
 * refuses hard links in some places (of a branch's weights): so what lies elsewhere is copied.
 */
import { randomUUID } from 'node:crypto';
import { rmSync } from 'node:fs';
import { access, constants, copyFile, readdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';
import { makeFolder, writing } from '../cache/files.ts';
import { readMark, writeMark } from '../cache/mark.ts';
import { externalDataGone } from '../errors/index.ts';
import type { Copied } from './external-files.ts';

/** Location → a file, or what is to be in one, in pieces. `writeOutput` takes the same. */
export type DataFiles = ReadonlyMap<string, DataFile>;
export type DataFile = Copied | readonly Uint8Array[];

export interface DataFolder {
  /** For `externalDataFolder` of sessions; undefined when there are no external data. */
  readonly folder: string | undefined;
  /** Removes what was made. Sessions that read from the folder must have been released: Windows keeps files that are open. */
  close(): Promise<void>;
}

const PREFIX = 'external-data-';
const OWNER = 'owner';

/**
 * A folder that holds every file of `data` at its location. Where the files lie like that already, it is that very folder. Otherwise one in
 * `parent` (the cache), of copies, which take no room where the file system can share blocks. It is removed by `close`, at the end of the process,
 * or, after a kill, by the next call that makes one. Throws `disk-full`, `cache-unwritable`, `external-data-gone`, and the abort reason.
 */
export async function openDataFolder(
  data: DataFiles,
  parent: string,
  signal?: AbortSignal,
): Promise<DataFolder> {
  const there = commonFolder(data);
  if (data.size === 0 || there !== undefined) return { folder: there, close: async () => {} };
  const made = join(parent, `${PREFIX}${randomUUID()}`);
  const folder = join(made, 'files');
  const atExit = () => rmSync(made, { recursive: true, force: true });
  let stop = () => {};
  const close = async () => {
    stop();
    await rm(made, { recursive: true, force: true });
    process.off('exit', atExit);
  };
  process.once('exit', atExit);
  try {
    await writing(made, async () => {
      await makeFolder(folder);
      stop = await writeMark(join(made, OWNER));
      await removeLeftBehind(parent);
    });
    for (const [location, content] of data) {
      signal?.throwIfAborted();
      const path = join(folder, location);
      await writing(path, () => makeFolder(dirname(path)));
      if ('copyOf' in content) await copy(content.copyOf, path);
      else await writing(path, () => writeFile(path, content));
    }
    return { folder, close };
  } catch (error) {
    await close().catch(() => {});
    throw error;
  }
}

/** The folder that all of `data` lie in, each at its location. */
function commonFolder(data: DataFiles): string | undefined {
  const folders = Array.from(data, ([location, content]) => {
    if (!('copyOf' in content)) return undefined;
    const folder = content.copyOf.slice(0, -normalize(location).length - 1);
    return join(folder, location) === content.copyOf ? folder : undefined;
  });
  return new Set(folders).size === 1 ? folders[0] : undefined;
}

async function copy(from: string, to: string): Promise<void> {
  await access(from, constants.R_OK).catch((error) => {
    throw externalDataGone(from, error);
  });
  await writing(to, () => copyFile(from, to, constants.COPYFILE_FICLONE));
}

/** Removes folders of processes that were killed; those that another machine may use stay for an hour after they were touched. */
async function removeLeftBehind(parent: string): Promise<void> {
  for (const name of await readdir(parent)) {
    if (!name.startsWith(PREFIX)) continue;
    const mark = await readMark(join(parent, name, OWNER));
    if (mark && !mark.isLive) await rm(join(parent, name), { recursive: true, force: true });
  }
}
