/** ONNX bytes → Model. Each element's bytes are remembered (`source-bytes.ts`); small messages are read by onnx-proto. */
import onnxProto from 'onnx-proto';
import {
  malformedFile,
  malformedTensor,
  messageOf,
  nestedTooDeeply,
  notAnOnnxFile,
  OfframpError,
} from '../errors/index.ts';
import {
  type Attribute,
  DATA_TYPES,
  type Dim,
  type Graph,
  type Model,
  type Node,
  type OpsetImport,
  type SparseTensor,
  type TensorType,
  type ValueInfo,
} from '../graph/types.ts';
import { byteLengthOf, decodeTensor } from './decode-tensor.ts';
import { readModelFields } from './model-fields.ts';
import {
  ATTRIBUTE,
  GRAPH,
  MODEL,
  MODEL_FUNCTIONS,
  NODE,
  SHAPE,
  SPARSE_TENSOR,
  TENSOR_TYPE,
  TYPE,
  VALUE_INFO,
} from './schema.ts';
import { rememberSource } from './source-bytes.ts';
import { cutMessage, type Field, joinBytes, sortFields, withFieldLimit } from './wire.ts';

const { onnx } = onnxProto;

/** Protobuf readers refuse more than 100 messages in one another, and a nested graph takes three (graph, node, attribute). */
const MAX_GRAPH_DEPTH = 32;

const text = new TextDecoder('utf-8', { ignoreBOM: true });

/**
 * Decodes an ONNX file. Tensors are views on `bytes`, which must not change from now on; external data stay external.
 * Verifies the format, not the graph: see `checkGraph`. Throws only OfframpError.
 */
export function parseModel(bytes: Uint8Array): Model {
  const view = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    return withFieldLimit(() => decodeModel(view, readModelFields(view)));
  } catch (error) {
    throw error instanceof OfframpError ? error : malformedFile('model', messageOf(error), error);
  }
}

function decodeModel(bytes: Uint8Array, fields: readonly Field[]): Model {
  const parts = sortFields(fields, MODEL);
  const { irVersion, producerName, producerVersion } = onnx.ModelProto.decode(parts.plain);
  const graphs = parts.apart(7);
  if (graphs.length === 0) throw notAnOnnxFile('there is no graph in it');
  const model: Model = {
    irVersion: Number(irVersion),
    opsetImports: decodeAll('opset_import', parts.apart(8), decodeOpsetImport),
    producerName,
    producerVersion,
    graph: decodeGraph(merge(graphs), 1),
    metadataProps: decodeAll('metadata_props', parts.apart(14), (payload) => {
      const { key, value } = onnx.StringStringEntryProto.decode(payload);
      return rememberSource({ key, value }, payload);
    }),
    functionCount: fields.filter((f) => f.number === MODEL_FUNCTIONS).length,
    ...(parts.unknownFields && { unknownFields: parts.unknownFields }),
  };
  return rememberSource(model, bytes);
}

export function decodeOpsetImport(bytes: Uint8Array): OpsetImport {
  const { domain, version } = onnx.OperatorSetIdProto.decode(bytes);
  return rememberSource({ domain, version: Number(version) }, bytes);
}

function decodeGraph(bytes: Uint8Array, depth: number): Graph {
  if (depth > MAX_GRAPH_DEPTH) throw nestedTooDeeply(MAX_GRAPH_DEPTH);
  const parts = cutMessage(bytes, GRAPH);
  const { name } = onnx.GraphProto.decode(parts.plain);
  const graph: Graph = {
    name,
    nodes: decodeAll('node', parts.apart(1), (payload) => decodeNode(payload, depth)),
    initializers: decodeAll('initializer', parts.apart(5), decodeTensor),
    sparseInitializers: decodeAll('sparse_initializer', parts.apart(15), decodeSparse),
    inputs: decodeAll('input', parts.apart(11), decodeValueInfo),
    outputs: decodeAll('output', parts.apart(12), decodeValueInfo),
    valueInfo: decodeAll('value_info', parts.apart(13), decodeValueInfo),
    ...(parts.unknownFields && { unknownFields: parts.unknownFields }),
  };
  return rememberSource(graph, bytes);
}

/** `depth`: of the graph around it. */
export function decodeNode(bytes: Uint8Array, depth: number): Node {
  const parts = cutMessage(bytes, NODE);
  const { opType, domain, name, input, output } = onnx.NodeProto.decode(parts.plain);
  const attributes = decodeAll('attribute', parts.apart(5), (payload) => decodeAttribute(payload, depth));
  const names = new Set<string>();
  for (const attribute of attributes) {
    if (names.has(attribute.name)) throw malformedFile(`node ${name}`, `two attributes ${attribute.name}`);
    names.add(attribute.name);
  }
  const node: Node = {
    opType,
    domain,
    name,
    inputs: input,
    outputs: output,
    attributes: Object.fromEntries(attributes.map((a) => [a.name, a.attribute])),
    ...(parts.unknownFields && { unknownFields: parts.unknownFields }),
  };
  return rememberSource(node, bytes);
}

const ATTRIBUTE_TYPES = [
  'UNDEFINED', 'FLOAT', 'INT', 'STRING', 'TENSOR', 'GRAPH', 'FLOATS', 'INTS', 'STRINGS', 'TENSORS', 'GRAPHS',
] as const; // biome-ignore format: index = AttributeProto.AttributeType

/** The field of each attribute type, for files of IR version 1 and 2, which may leave `type` out. */
const ATTRIBUTE_FIELDS = [0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
export const REF_ATTR_NAME = 21;
/** Fields that hold tensors and graphs: what is in them is decoded only for attributes of that type. */
const NESTED_FIELDS = [5, 6, 10, 11];
const SPARSE_FIELDS = [22, 23];

/** `depth`: of the graph around it. */
export function decodeAttribute(bytes: Uint8Array, depth: number): { name: string; attribute: Attribute } {
  const parts = cutMessage(bytes, ATTRIBUTE);
  const proto = onnx.AttributeProto.decode(parts.plain);
  const inferred = ATTRIBUTE_FIELDS.findIndex((field) => parts.present.has(field));
  const isReference = parts.present.has(REF_ATTR_NAME);
  const type = isReference ? 'OPAQUE' : ATTRIBUTE_TYPES[proto.type || Math.max(inferred, 0)];
  const hidden = NESTED_FIELDS.find((n) => parts.present.has(n) && ATTRIBUTE_TYPES[n - 1] !== type);
  if (hidden) throw malformedFile(`attribute ${proto.name}`, `type ${type}, but field ${hidden} is set`);
  for (const field of SPARSE_FIELDS.flatMap(parts.apart)) decodeSparse(field.payload);
  const one = (number: number) => merge(parts.apart(number));
  const each = <T>(number: number, decode: (payload: Uint8Array) => T) =>
    parts.apart(number).map((f) => decode(f.payload));
  const graph = (payload: Uint8Array) => decodeGraph(payload, depth + 1);
  const decode = (): Attribute => {
    if (type === 'FLOAT') return { type, value: proto.f };
    if (type === 'INT') return { type, value: Number(proto.i) };
    if (type === 'STRING') return { type, value: text.decode(proto.s) };
    if (type === 'TENSOR' && parts.present.has(5)) return { type, value: decodeTensor(one(5)) };
    if (type === 'GRAPH' && parts.present.has(6)) return { type, value: graph(one(6)) };
    if (type === 'FLOATS') return { type, value: proto.floats };
    if (type === 'INTS') return { type, value: proto.ints.map(Number) };
    if (type === 'STRINGS') return { type, value: proto.strings.map((s) => text.decode(s)) };
    if (type === 'TENSORS') return { type, value: each(10, decodeTensor) };
    if (type === 'GRAPHS') return { type, value: each(11, graph) };
    return { type: 'OPAQUE', value: undefined };
  };
  return { name: proto.name, attribute: rememberSource(decode(), bytes) };
}

function decodeValueInfo(bytes: Uint8Array): ValueInfo {
  const parts = cutMessage(bytes, VALUE_INFO);
  const { name } = onnx.ValueInfoProto.decode(parts.plain);
  const types = parts.apart(2);
  const type = types.length ? decodeType(merge(types)) : undefined;
  const carried = type ? [] : types.map((f) => f.raw);
  const unknown = joinBytes([...carried, ...(parts.unknownFields ? [parts.unknownFields] : [])]);
  return rememberSource({ name, type, ...(unknown.length && { unknownFields: unknown }) }, bytes);
}

/** Undefined for what is not a tensor of a known data type. */
function decodeType(bytes: Uint8Array): TensorType | undefined {
  const tensors = cutMessage(bytes, TYPE).apart(1);
  if (tensors.length === 0) return undefined;
  const { plain, apart } = cutMessage(merge(tensors), TENSOR_TYPE);
  const dataType = DATA_TYPES[onnx.TypeProto.Tensor.decode(plain).elemType];
  const shapes = apart(2);
  const dims = shapes.length ? cutMessage(merge(shapes), SHAPE).apart(1).map(decodeDim) : undefined;
  return dataType && rememberSource({ dataType, dims }, bytes);
}

function decodeDim({ payload }: Field): Dim {
  const { dimValue, dimParam } = onnx.TensorShapeProto.Dimension.decode(payload);
  if (dimParam) return dimParam;
  return dimValue === undefined || dimValue === null ? undefined : Number(dimValue);
}

/** What ONNX Runtime makes of it is dense: no more than this, protobuf's limit on a dense tensor in a file. */
const MAX_DENSE_BYTES = 2 ** 31 - 1;

/** Only the name is kept, but all of it is decoded, so that damage is found. */
function decodeSparse(bytes: Uint8Array): SparseTensor {
  const { plain, apart } = cutMessage(bytes, SPARSE_TENSOR);
  const [values, indices] = [decodeTensor(merge(apart(1))), decodeTensor(merge(apart(2)))] as const;
  const { name, dataType } = values;
  if (values.external || indices.external) throw malformedTensor(name, 'sparse, with external data');
  const dense = { name, dataType, dims: onnx.SparseTensorProto.decode(plain).dims.map(Number) };
  if ((byteLengthOf(dense) ?? 0) > MAX_DENSE_BYTES)
    throw malformedTensor(name, `sparse, of dims [${dense.dims}]`);
  return rememberSource({ name }, bytes);
}

/** A message given in several fields is their concatenation. */
const merge = (fields: readonly Field[]) => joinBytes(fields.map((f) => f.payload));

/** Decodes repeated elements; an error names the element. */
export function decodeAll<T extends object>(
  what: string,
  fields: readonly Field[],
  decode: (payload: Uint8Array) => T,
): T[] {
  return fields.map((field, i) => {
    try {
      return decode(field.payload);
    } catch (error) {
      if (!(error instanceof OfframpError)) throw malformedFile(`${what} ${i}`, messageOf(error), error);
      error.trail.unshift(`${what} ${i}`);
      throw error;
    }
  });
}
