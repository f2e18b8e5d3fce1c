/** A compiled model as one ONNX file that takes what the original took. */
import { basename, dirname } from 'node:path';
import { defaultCache } from '../cache/folder.ts';
import { pointNamed } from '../calibrate/index.ts';
import { isFile } from '../data/files.ts';
import { checkBaked } from '../emit/check-baked.ts';
import { readPackage } from '../emit/read-package.ts';
import { type Content, checkApart, checkFile, writeOutput } from '../emit/write.ts';
import { fileThere, outputUnusable } from '../errors/index.ts';
import { openDataFolder } from '../networks/data-folder.ts';
import { withSession } from '../ort/session.ts';
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
  if (isFile(file) && !options.force) throw fileThere(file);
  await checkApart(file, await filesReadBy(manifest, options));
  const { bytes, files } = await bake(manifest, point, options);
  const data = await openDataFolder(files, defaultCache());
  const session = { threads: 1, externalDataFolder: data.folder };
  await withSession(bytes, session, (running) =>
    checkBaked(running, manifest.batch === 'fixed' ? 1 : 3, manifest, point, folder, session),
  ).finally(() => data.close());
  // All at once: a model without its data, or the other way round, is none.
  await writeOutput(dirname(file), new Map<string, Content>([...files, [basename(file), bytes]]), {
    update: true,
  });
  return { file, at: point.name, externalData: [...files.keys()] };
}
