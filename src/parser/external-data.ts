/** Tensors whose bytes lie in files beside the model: found, verified, never read. */
import { realpath, stat } from 'node:fs/promises';
import { dirname, isAbsolute, relative, resolve, sep, win32 } from 'node:path';
import {
  externalDataMissing,
  externalDataOutside,
  externalDataTooShort,
  malformedTensor,
} from '../errors.ts';
import type { Graph, Tensor } from '../graph/types.ts';
import { subgraphs } from '../graph/walk.ts';
import { byteLengthOf } from './decode-tensor.ts';

/**
 * Locations of the external data of `graph` (of the model at `path`), each once, in order of first use.
 * Throws when one is missing, too short, or, unless `allowOutside`, not inside the model's folder.
 */
export async function externalFiles(graph: Graph, path: string, allowOutside: boolean): Promise<string[]> {
  const folder = dirname(resolve(path));
  const sizes = new Map<string, number>();
  for (const tensor of tensorsOf(graph)) {
    if (!tensor.external) continue;
    const { location, offset, length } = tensor.external;
    let size = sizes.get(location);
    if (size === undefined) {
      if (!allowOutside) refuseOutside(tensor, folder, location);
      const file = resolve(folder, location);
      const info = await stat(file).catch(() => undefined);
      if (!info?.isFile()) throw externalDataMissing(tensor.name, location);
      if (!allowOutside) await refuseLinkOutside(tensor, path, file);
      size = info.size;
      sizes.set(location, size);
    }
    const expected = byteLengthOf(tensor);
    if (length !== undefined && expected !== undefined && length !== expected) {
      throw malformedTensor(tensor.name, `${length} bytes of external data where ${expected} are needed`);
    }
    const end = offset + (length ?? expected ?? 0);
    if (end > size) throw externalDataTooShort(tensor.name, location, end, size);
  }
  return [...sizes.keys()];
}

/** Every tensor in `graph`: initializers and attributes, subgraphs included. */
function* tensorsOf(graph: Graph): Generator<Tensor> {
  yield* graph.initializers;
  for (const node of graph.nodes) {
    for (const attribute of Object.values(node.attributes)) {
      if (attribute.type === 'TENSOR') yield attribute.value;
      if (attribute.type === 'TENSORS') yield* attribute.value;
    }
    for (const sub of subgraphs(node)) yield* tensorsOf(sub);
  }
}

function refuseOutside(tensor: Tensor, folder: string, location: string): void {
  const absolute = isAbsolute(location) || win32.isAbsolute(location);
  const climbs = location.split(/[\\/]/).includes('..');
  if (absolute || climbs || !isInside(resolve(folder, location), folder)) {
    throw externalDataOutside(tensor.name, location);
  }
}

/** A link may lead to beside the model, or to beside what the model itself is a link to (as download caches do). */
async function refuseLinkOutside(tensor: Tensor, path: string, file: string): Promise<void> {
  const target = await realpath(file);
  const folders = [await realpath(dirname(resolve(path))), dirname(await realpath(path))];
  if (!folders.some((folder) => isInside(target, folder))) {
    throw externalDataOutside(tensor.name, tensor.external!.location);
  }
}

function isInside(file: string, folder: string): boolean {
  const path = relative(folder, file);
  return path !== '' && path !== '..' && !path.startsWith(`..${sep}`) && !isAbsolute(path);
}
