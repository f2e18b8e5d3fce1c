/** A compiled model as one ONNX file that takes what the original took. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { defaultCache } from '../cache/folder.ts';
import { pointNamed } from '../calibrate/index.ts';
import { isFile } from '../data/files.ts';
import { checkBaked } from '../emit/check-baked.ts';
import { readPackage } from '../emit/read-package.ts';
import { type Content, checkApart, checkFile, filesIn, writeOutput, writtenInto } from '../emit/write.ts';
import { fileThere, outputUnusable } from '../errors/index.ts';
import { type DataFile, type DataFiles, openDataFolder } from '../networks/data-folder.ts';
import { withSession } from '../ort/session.ts';
import { loadModel } from '../parser/index.ts';
import { type BakeOptions, bake, filesReadBy } from './bake.ts';
import { checkCall } from './options.ts';

export interface ExportOnnxOptions extends BakeOptions {
  /** The file to write. External data go beside it, under the names that the file has for them. */
  readonly file: string;
  /** Replace the file. */
  readonly force?: boolean;
}

export interface ExportedOnnx {
  readonly file: string;
  readonly at: string;
  /** Files that belong to it, by their paths beside it. */
  readonly externalData: readonly string[];
}

/**
 * Writes the model with the thresholds of one operating point built in: inputs and outputs of the original, and `exit_index` and
 * `exit_confidence`. It is compared with the package's own before. Throws `not-a-package`, `unknown-operating-point`, `bad-option`,
 * `emitted-model-differs`, `output-unusable`, `output-failed`, and what `bake` throws.
 */
export async function exportOnnx(options: ExportOnnxOptions): Promise<ExportedOnnx> {
  checkCall('export onnx', options);
  const { folder, file } = options;
  const manifest = await readPackage(folder);
  const point = pointNamed(manifest.operatingPoints, options.at ?? manifest.defaultPoint);
  if (/[\\/]$/.test(file)) throw outputUnusable(file, 'it is the name of a folder');
  await checkFile(file);
  const read = [
    ...(await filesReadBy(manifest, options)),
    ...(await filesIn(folder)),
    ...writtenInto(folder),
  ];
  await checkApart(file, read);
  if (isFile(file) && !options.force) throw fileThere(file);
  const { bytes, files } = await bake(manifest, point, options);
  await checkData(file, files, read, options.force === true);
  const gone = isFile(file) ? await dataOf(file, read) : [];
  const data = await openDataFolder(files, defaultCache());
  const session = { threads: 1, externalDataFolder: data.folder };
  await withSession(bytes, session, (running) =>
    checkBaked(running, manifest.batch === 'fixed' ? 1 : 3, manifest, point, folder, session),
  ).finally(() => data.close());
  // All at once: a model without its data, or the other way round, is none.
  await writeOutput(dirname(file), new Map<string, Content>([...files, [basename(file), bytes]]), {
    update: true,
    stale: gone,
  });
  return { file, at: point.name, externalData: [...files.keys()] };
}

/** External data of the model that `file` is until now, which belong to nothing once it is replaced: no other model beside it has them, and none is `read`. */
async function dataOf(file: string, read: readonly string[]): Promise<string[]> {
  const folder = dirname(file);
  const filesOf = async (path: string) => (await loadModel(path)).externalFiles;
  const kept = new Set(read.map((path) => resolve(path)));
  try {
    const before = await filesOf(file);
    if (before.length === 0) return [];
    const others = (await readdir(folder)).filter((name) => /\.onnx$/.test(name) && name !== basename(file));
    for (const name of others)
      for (const location of await filesOf(join(folder, name))) kept.add(resolve(folder, location));
    return before.filter((location) => !kept.has(resolve(folder, location)));
  } catch {
    // One of them cannot be read: who knows what it needs.
    return [];
  }
}

/** Throws `output-unusable` and `output-not-empty` where external data would take the place of something else: of the model itself, of what is read, or of other data. */
async function checkData(
  file: string,
  files: DataFiles,
  read: readonly string[],
  force: boolean,
): Promise<void> {
  for (const [location, content] of files) {
    const path = join(dirname(file), location);
    if (resolve(path) === resolve(file)) throw outputUnusable(file, 'its external data have that name');
    if (!isFile(path) || (await holds(path, content))) continue;
    await checkApart(path, read);
    if (!force) throw fileThere(path);
  }
}

/** Whether the file at `path` holds `content` already. */
async function holds(path: string, content: DataFile): Promise<boolean> {
  const source = 'copyOf' in content ? createReadStream(content.copyOf) : content;
  const [there, wanted] = [createHash('sha256'), createHash('sha256')];
  for await (const piece of createReadStream(path)) there.update(piece as Buffer);
  for await (const piece of source) wanted.update(piece as Uint8Array);
  return there.digest('hex') === wanted.digest('hex');
}
