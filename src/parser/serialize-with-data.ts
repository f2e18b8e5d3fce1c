/** A model that is larger than a protobuf message may be: its weights go into a file beside it. */
import { mapTensors } from '../graph/map-tensors.ts';
import type { Model, Node, Tensor } from '../graph/types.ts';
import { encodedBytes, MAX_MODEL_BYTES, serializeModel } from './encode.ts';

export interface SerializedModel {
  readonly model: Uint8Array;
  /** The content of the file beside it, in pieces that lie where the tensors were; undefined when there is none. */
  readonly data: readonly Uint8Array[] | undefined;
}

export interface DataOptions {
  /** Where the data will lie, relative to the model. No other external data of the model may lie there. */
  readonly location: string;
  /** Bytes that the model may take; protobuf's 2 GiB by default. */
  readonly limit?: number;
}

/** Smaller tensors stay in the model: ONNX Runtime reads shapes from them while it loads. */
const MOVED_FROM = 2 ** 16;

/** Offsets are multiples of the page size, so that the file can be mapped into memory (ONNX, docs/ExternalData.md). */
const PAGE = 4096;
const ZEROS = new Uint8Array(PAGE);
const NO_BYTES = new Uint8Array(0);

/**
 * As `serializeModel`; but a model above `limit` gets all its initializers and Constants of 64 KiB and more, in the order of the graph, into a
 * file at `location`. Nothing large is copied. Throws `model-too-large` when what is left is above protobuf's limit.
 */
export function serializeWithData(
  model: Model,
  { location, limit = MAX_MODEL_BYTES }: DataOptions,
): SerializedModel {
  if (encodedBytes(model) <= limit) return { model: serializeModel(model), data: undefined };
  const data: Uint8Array[] = [];
  let end = 0;
  const graph = mapTensors(model.graph, (tensor, owner) => {
    if (!isMoved(tensor, owner)) return tensor;
    const { bytes } = tensor;
    const gap = (PAGE - (end % PAGE)) % PAGE;
    if (gap > 0) data.push(ZEROS.subarray(0, gap));
    data.push(bytes);
    const offset = end + gap;
    end = offset + bytes.byteLength;
    return { ...tensor, bytes: NO_BYTES, external: { location, offset, length: bytes.byteLength } };
  });
  return { model: serializeModel({ ...model, graph }), data: data.length > 0 ? data : undefined };
}

function isMoved({ dataType, bytes, external }: Tensor, owner: Node | undefined): boolean {
  const isWeight = owner === undefined || owner.opType === 'Constant';
  return isWeight && !external && dataType !== 'undefined' && bytes.byteLength >= MOVED_FROM;
}
