/** Tensors whose bytes lie in files beside the model: found and verified; read only where one is asked for. */
import { open, realpath, stat } from 'node:fs/promises';
import { isAbsolute, relative, resolve, sep, win32 } from 'node:path';
import {
  externalDataMissing,
  externalDataOutside,
  externalDataPointer,
  externalDataTooShort,
  malformedTensor,
} from '../errors/index.ts';
import { mapTensors } from '../graph/map-tensors.ts';
import type { Attribute, Graph, Tensor } from '../graph/types.ts';
import { byteLengthOf } from './decode-tensor.ts';
import type { LocalFunction } from './functions.ts';
import { LFS_POINTER } from './model-fields.ts';

/** `tensor`, of a verified model whose external data lie in `folder`, with its bytes in memory. Throws `external-data-too-short`. */
export async function withBytes(tensor: Tensor, folder: string): Promise<Tensor> {
  const { external, ...rest } = tensor;
  if (!external) return tensor;
  const { location, offset } = external;
  const bytes = new Uint8Array(external.length ?? byteLengthOf(tensor) ?? 0);
  const file = await open(resolve(folder, location));
  try {
    const { bytesRead } = await file.read(bytes, 0, bytes.length, offset);
    if (bytesRead < bytes.length)
      throw externalDataTooShort(tensor.name, location, offset + bytes.length, offset + bytesRead);
  } finally {
    await file.close();
  }
  return { ...rest, bytes };
}

/** `graph` with the bytes of all its tensors in memory; `pathOf` says where the file of a location is. Throws `external-data-too-short`. */
export async function withAllBytes(graph: Graph, pathOf: (location: string) => string): Promise<Graph> {
  const read = new Map<Tensor, Tensor>();
  for (const tensor of tensorsOf(graph, [])) {
    const { external } = tensor;
    if (!external) continue;
    const placed = { ...tensor, external: { ...external, location: pathOf(external.location) } };
    read.set(tensor, await withBytes(placed, ''));
  }
  return mapTensors(graph, (tensor) => read.get(tensor) ?? tensor);
}

/**
 * Locations of the external data among `tensors`, each file once, in order of first use. Throws when one is missing, too short, or
 * not inside `folder`, which is absolute.
 */
export async function externalFiles(tensors: Iterable<Tensor>, folder: string): Promise<string[]> {
  const files = new Map<string, { readonly location: string; readonly size: number }>();
  for (const tensor of tensors) {
    if (!tensor.external) continue;
    const { location, offset, length } = tensor.external;
    refuseOutside(tensor, folder, location);
    const file = resolve(folder, location);
    let size = files.get(file)?.size;
    if (size === undefined) {
      const info = await stat(file).catch(() => undefined);
      if (!info?.isFile()) throw externalDataMissing(tensor.name, location);
      if (!isInside(await realpath(file), await realpath(folder)))
        throw externalDataOutside(tensor.name, location, folder);
      size = info.size;
      files.set(file, { location, size });
    }
    const expected = byteLengthOf(tensor);
    if (length !== undefined && expected !== undefined && length !== expected) {
      throw malformedTensor(tensor.name, `${length} bytes of external data where ${expected} are needed`);
    }
    const end = offset + (length ?? expected ?? 0);
    if (end > size)
      throw (await isLfsPointer(file))
        ? externalDataPointer(tensor.name, location)
        : externalDataTooShort(tensor.name, location, end, size);
  }
  return Array.from(files.values(), (file) => file.location);
}

async function isLfsPointer(path: string): Promise<boolean> {
  const file = await open(path);
  try {
    const start = Buffer.alloc(LFS_POINTER.length);
    await file.read(start, 0, start.length, 0);
    return start.toString('latin1') === LFS_POINTER;
  } finally {
    await file.close();
  }
}

/** Every tensor of a model: initializers and attributes, in subgraphs and functions too. */
export function* tensorsOf(graph: Graph, functions: readonly LocalFunction[]): Generator<Tensor> {
  yield* tensorsOfGraph(graph);
  for (const { nodes, defaults } of functions) {
    yield* tensorsAmong(Object.values(defaults));
    for (const node of nodes) yield* tensorsAmong(Object.values(node.attributes));
  }
}

function* tensorsOfGraph({ initializers, nodes }: Graph): Generator<Tensor> {
  yield* initializers;
  for (const node of nodes) yield* tensorsAmong(Object.values(node.attributes));
}

function* tensorsAmong(attributes: readonly Attribute[]): Generator<Tensor> {
  for (const attribute of attributes) {
    if (attribute.type === 'TENSOR') yield attribute.value;
    if (attribute.type === 'TENSORS') yield* attribute.value;
    if (attribute.type === 'GRAPH') yield* tensorsOfGraph(attribute.value);
    if (attribute.type === 'GRAPHS') for (const graph of attribute.value) yield* tensorsOfGraph(graph);
  }
}

/** What ONNX Runtime refuses too, checked before the file is opened. Links are checked later. */
function refuseOutside(tensor: Tensor, folder: string, location: string): void {
  const absolute = isAbsolute(location) || win32.isAbsolute(location);
  const climbs = location.split(/[\\/]/).includes('..');
  if (absolute || climbs || !isInside(resolve(folder, location), folder)) {
    throw externalDataOutside(tensor.name, location, folder);
  }
}

function isInside(file: string, folder: string): boolean {
  const path = relative(folder, file);
  return path !== '' && path !== '..' && !path.startsWith(`..${sep}`) && !isAbsolute(path);
}
