/** A model file and what lies beside it, verified. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { invalidGraph, messageOf, unreadableModel } from '../errors.ts';
import { checkGraph } from '../graph/check.ts';
import type { Model } from '../graph/types.ts';
import { parseModel } from './decode.ts';
import { externalFiles } from './external-data.ts';

export interface LoadedModel {
  readonly model: Model;
  readonly bytes: Uint8Array;
  /** The folder the model lies in, absolute; external data are relative to it. */
  readonly folder: string;
  /** Locations of the external data files, as the model gives them, in order of first use. */
  readonly externalFiles: readonly string[];
  /** Of the model's bytes followed by those of each external data file; lowercase hex. */
  readonly sha256: string;
}

/**
 * Reads and verifies a model: its format, its graph's invariants, and that its external data exist, lie beside it
 * (unless `allowOutside`) and are long enough. External data are not read into memory.
 */
export async function loadModel(
  path: string,
  options: { allowOutside?: boolean } = {},
): Promise<LoadedModel> {
  const bytes = await readFile(path).catch((error) => {
    throw unreadableModel(path, messageOf(error));
  });
  const model = parseModel(bytes);
  verifyModel(model);
  const files = await externalFiles(model.graph, path, options.allowOutside ?? false);
  const folder = dirname(resolve(path));
  const hash = createHash('sha256').update(bytes);
  for (const file of files) {
    for await (const chunk of createReadStream(resolve(folder, file))) hash.update(chunk as Uint8Array);
  }
  return { model, bytes, folder, externalFiles: files, sha256: hash.digest('hex') };
}

function verifyModel({ graph, irVersion, opsetImports }: Model): void {
  const where = `graph ${graph.name}`;
  if (graph.outputs.length === 0) throw invalidGraph('there are no outputs', where);
  if (irVersion >= 3 && opsetImports.length === 0) throw invalidGraph('no operator set is imported', where);
  checkGraph(graph);
}
