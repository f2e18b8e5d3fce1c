/** A model file and what lies beside it, verified. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { inputTooLarge, invalidGraph, messageOf, ofNetwork, unreadableModel } from '../errors/index.ts';
import { checkGraph } from '../graph/check.ts';
import { sortGraph } from '../graph/sort.ts';
import { elementBytes, elementCount } from '../graph/tensor.ts';
import type { Model } from '../graph/types.ts';
import { indexGraph } from '../graph/walk.ts';
import { parseModel } from './decode.ts';
import { externalFiles, tensorsOf } from './external-data.ts';
import { checkFunctions, readFunctions } from './functions.ts';

export interface LoadedModel {
  /** As it was given, for messages. */
  readonly path: string;
  readonly model: Model;
  readonly bytes: Uint8Array;
  /** The folder that external data are relative to, absolute. */
  readonly folder: string;
  /** Locations of the external data files, as the model gives them, in order of first use. */
  readonly externalFiles: readonly string[];
  /** Of the model's bytes followed by those of each external data file; lowercase hex. */
  readonly sha256: string;
}

/**
 * Reads and verifies a model: its format, its graph's invariants, and that its external data exist, lie inside `dataFolder`
 * (the model's own by default) and are long enough. External data are not read into memory. Nodes that are not in topological order are
 * put into one.
 */
export async function loadModel(path: string, dataFolder = dirname(path)): Promise<LoadedModel> {
  const bytes = await readFile(path).catch((error) => {
    throw unreadableModel(path, messageOf(error));
  });
  return await readModel(path, bytes, dataFolder);
}

/** The same of a model whose `bytes` are at hand, for messages called `path`. */
export async function readModel(
  path: string,
  bytes: Uint8Array,
  dataFolder = dirname(path),
): Promise<LoadedModel> {
  const parsed = parseNamed(path, bytes);
  const graph = sortGraph(parsed.graph);
  const model = graph === parsed.graph ? parsed : { ...parsed, graph };
  verifyModel(model);
  const functions = readFunctions(model);
  checkFunctions(functions);
  const folder = resolve(dataFolder);
  const files = await externalFiles(tensorsOf(model.graph, functions), folder);
  const hash = createHash('sha256').update(bytes);
  for (const file of files) {
    for await (const chunk of createReadStream(resolve(folder, file))) hash.update(chunk as Uint8Array);
  }
  return { path, model, bytes, folder, externalFiles: files, sha256: hash.digest('hex') };
}

/** As `parseModel`, whose errors begin with the file. */
function parseNamed(path: string, bytes: Uint8Array): Model {
  try {
    return parseModel(bytes);
  } catch (error) {
    throw ofNetwork(path, error);
  }
}

/** Offramp runs a model on random samples (`observeFacts`): three of them must fit into memory. */
export const MAX_SAMPLE_BYTES = 2 ** 29;

function verifyModel({ graph, irVersion, opsetImports }: Model): void {
  const where = `graph ${graph.name}`;
  if (graph.outputs.length === 0) throw invalidGraph('there are no outputs', where);
  if (irVersion >= 3 && opsetImports.length === 0) throw invalidGraph('no operator set is imported', where);
  checkGraph(graph);
  const { realInputs } = indexGraph(graph);
  for (const { name, type } of graph.inputs) {
    const dims = type?.dims?.filter((dim) => typeof dim === 'number' && dim > 0) as number[] | undefined;
    const bytes = elementCount(dims ?? []) * (elementBytes(type?.dataType ?? 'undefined') ?? 1);
    if (realInputs.has(name) && bytes > MAX_SAMPLE_BYTES) throw inputTooLarge(name, bytes, MAX_SAMPLE_BYTES);
  }
}
