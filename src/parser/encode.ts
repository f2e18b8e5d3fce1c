/**
 * Model → ONNX bytes. An element that still is the object that was decoded is written as it was found; one that was made
 * or changed is encoded anew: the fields we model in the order below, then its `unknownFields`.
 */
import onnxProto from 'onnx-proto';
import { invalidGraph, modelTooLarge } from '../errors/index.ts';
import {
  type Attribute,
  DATA_TYPES,
  type Dim,
  type ExternalData,
  type Graph,
  type Model,
  type Node,
  type SparseTensor,
  type Tensor,
  type TensorType,
  type ValueInfo,
} from '../graph/types.ts';
import { ATTRIBUTE_NAME } from './schema.ts';
import { sourceBytes } from './source-bytes.ts';
import { Chunks, joinBytes, readFields } from './wire.ts';

const { onnx } = onnxProto;

/** What is written for an element: its source bytes, or what `encode` makes of it. */
const kept = <T extends object>(element: T, encode: (element: T) => Uint8Array | Chunks) =>
  sourceBytes(element) ?? encode(element);

/** Protobuf's limit on a message. */
export const MAX_MODEL_BYTES = 2 ** 31 - 1;

/**
 * Encodes a model. Every element that is still the object that was parsed is written byte for byte as it was, so an
 * untouched model gives the bytes it was parsed from (the same memory).
 */
export function serializeModel(model: Model): Uint8Array {
  return joinBytes(serializeChunks(model));
}

/** The bytes of `serializeModel` in pieces, which are where they were: a file can be written of them without a copy of all its weights. */
export function serializeChunks(model: Model): readonly Uint8Array[] {
  const encoded = encodeModel(model);
  if (encoded.length > MAX_MODEL_BYTES) throw modelTooLarge(encoded.length);
  return encoded instanceof Uint8Array ? [encoded] : encoded.parts;
}

/** How long `serializeModel` would be, protobuf's limit or not. */
export const encodedBytes = (model: Model): number => encodeModel(model).length;

/** Entries of `metadata_props`: a model's bytes with these behind them are that model with these entries. */
export function metadataBytes(entries: ReadonlyMap<string, string>): Uint8Array {
  const out = new Chunks();
  for (const [key, value] of entries)
    out.field(14, onnx.StringStringEntryProto.encode({ key, value }).finish());
  return joinBytes(out.parts);
}

const encodeModel = (model: Model): Uint8Array | Chunks =>
  kept(model, (m) => {
    const { irVersion, producerName, producerVersion } = m;
    const out = new Chunks();
    const head = { irVersion: int64(irVersion), producerName, producerVersion };
    out.append(onnx.ModelProto.encode(head).finish());
    out.field(7, encodeGraph(m.graph));
    for (const o of m.opsetImports) {
      out.field(
        8,
        kept(o, ({ domain, version }) =>
          onnx.OperatorSetIdProto.encode({ domain, version: int64(version) }).finish(),
        ),
      );
    }
    for (const p of m.metadataProps) {
      out.field(
        14,
        kept(p, ({ key, value }) => onnx.StringStringEntryProto.encode({ key, value }).finish()),
      );
    }
    return out.append(m.unknownFields);
  });

const encodeGraph = (graph: Graph) =>
  kept(graph, (g) => {
    const out = new Chunks();
    for (const node of g.nodes) out.field(1, encodeNode(node));
    out.append(onnx.GraphProto.encode({ name: g.name }).finish());
    for (const tensor of g.initializers) out.field(5, encodeTensor(tensor));
    for (const value of g.inputs) out.field(11, encodeValueInfo(value));
    for (const value of g.outputs) out.field(12, encodeValueInfo(value));
    for (const value of g.valueInfo) out.field(13, encodeValueInfo(value));
    for (const tensor of g.sparseInitializers) out.field(15, encodeSparse(tensor));
    return out.append(g.unknownFields);
  });

const encodeNode = (node: Node) =>
  kept(node, (n) => {
    const head = {
      input: [...n.inputs],
      output: [...n.outputs],
      opType: n.opType,
      ...(n.name && { name: n.name }),
      ...(n.domain && { domain: n.domain }),
    };
    const out = new Chunks().append(onnx.NodeProto.encode(head).finish());
    for (const [name, attribute] of Object.entries(n.attributes)) {
      out.field(5, encodeAttribute(name, attribute));
    }
    return out.append(n.unknownFields);
  });

/** An attribute does not hold its own name: one that was decoded under another name is renamed in its bytes. */
function encodeAttribute(name: string, attribute: Attribute): Uint8Array | Chunks {
  const source = sourceBytes(attribute);
  const nameField = onnx.AttributeProto.encode({ name }).finish();
  if (!source) return encodeNewAttribute(nameField, name, attribute);
  const fields = readFields(source);
  const old = fields.find((f) => f.number === ATTRIBUTE_NAME)?.raw;
  if (old && Buffer.compare(old, nameField) === 0) return source;
  const out = new Chunks().append(nameField);
  for (const field of fields) if (field.number !== ATTRIBUTE_NAME) out.append(field.raw);
  return out;
}

function encodeNewAttribute(name: Uint8Array, key: string, attribute: Attribute): Chunks {
  const out = new Chunks().append(name);
  const plain = (fields: onnxProto.onnx.IAttributeProto) =>
    out.append(onnx.AttributeProto.encode(fields).finish());
  switch (attribute.type) {
    case 'FLOAT':
      plain({ f: attribute.value });
      break;
    case 'INT':
      plain({ i: int64(attribute.value) });
      break;
    case 'STRING':
      plain({ s: Buffer.from(attribute.value) });
      break;
    case 'TENSOR':
      out.field(5, encodeTensor(attribute.value));
      break;
    case 'GRAPH':
      out.field(6, encodeGraph(attribute.value));
      break;
    case 'FLOATS':
      plain({ floats: [...attribute.value] });
      break;
    case 'INTS':
      plain({ ints: attribute.value.map(int64) });
      break;
    case 'STRINGS':
      plain({ strings: attribute.value.map((v) => Buffer.from(v)) });
      break;
    case 'TENSORS':
      for (const tensor of attribute.value) out.field(10, encodeTensor(tensor));
      break;
    case 'GRAPHS':
      for (const graph of attribute.value) out.field(11, encodeGraph(graph));
      break;
    case 'OPAQUE':
      throw invalidGraph('an OPAQUE attribute has no value to write', `attribute ${key}`);
  }
  return plain({ type: onnx.AttributeProto.AttributeType[attribute.type] });
}

const INT64_MAX = onnxProto.onnx.TensorProto.fromObject({ dims: ['9223372036854775807'] }).dims[0]!;

/** An int64 as protobufjs takes it; INT64_MAX, which a number rounds up to 2^63, stays itself. */
const int64 = (value: number) => (value >= 2 ** 63 ? INT64_MAX : value);

/** Elements are written as raw_data, whatever field they came from. */
const encodeTensor = (tensor: Tensor) =>
  kept(tensor, ({ name, dims, dataType, bytes, strings, external, unknownFields }) => {
    const head = {
      dims: dims.map(int64),
      ...(dataType !== 'undefined' && { dataType: DATA_TYPES.indexOf(dataType) }),
      ...(name && { name }),
      ...(external && { dataLocation: onnx.TensorProto.DataLocation.EXTERNAL }),
    };
    const out = new Chunks().append(onnx.TensorProto.encode(head).finish());
    for (const string of strings ?? []) out.field(6, string);
    if (external) out.append(sourceBytes(external) ?? encodeExternal(external));
    else if (!strings && dataType !== 'undefined') out.field(9, bytes);
    return out.append(unknownFields);
  });

function encodeExternal({ location, offset, length }: ExternalData): Uint8Array {
  const entries = { location, ...(offset && { offset }), ...(length !== undefined && { length }) };
  const externalData = Object.entries(entries).map(([key, value]) => ({ key, value: String(value) }));
  return onnx.TensorProto.encode({ externalData }).finish();
}

const encodeValueInfo = (value: ValueInfo) =>
  kept(value, ({ name, type, unknownFields }) => {
    const out = new Chunks().append(onnx.ValueInfoProto.encode({ name }).finish());
    if (type) out.field(2, kept(type, encodeType));
    return out.append(unknownFields);
  });

function encodeType({ dataType, dims }: TensorType): Uint8Array {
  const shape = dims && { dim: dims.map(encodeDim) };
  const tensorType = { elemType: DATA_TYPES.indexOf(dataType), ...(shape && { shape }) };
  return onnx.TypeProto.encode({ tensorType }).finish();
}

function encodeDim(dim: Dim) {
  if (dim === undefined) return {};
  return typeof dim === 'number' ? { dimValue: int64(dim) } : { dimParam: dim };
}

const encodeSparse = (tensor: SparseTensor) =>
  kept(tensor, () => {
    throw invalidGraph('a sparse tensor has no data to write', `sparse initializer ${tensor.name}`);
  });
