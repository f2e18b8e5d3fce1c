/**
 * The intermediate representation: ONNX's own nouns as frozen-by-convention plain values.
 * Edges are value names (SSA). A transform never mutates; it returns a new object, so `after !== before`
 * means "modified", and elements that are the same object still have their original bytes.
 */

export const DATA_TYPES = [
  'undefined', 'float', 'uint8', 'int8', 'uint16', 'int16', 'int32', 'int64', 'string', 'bool', 'float16',
  'double', 'uint32', 'uint64', 'complex64', 'complex128', 'bfloat16', 'float8e4m3fn', 'float8e4m3fnuz',
  'float8e5m2', 'float8e5m2fnuz', 'uint4', 'int4', 'float4e2m1', 'float8e8m0', 'uint2', 'int2',
] as const; // biome-ignore format: index = TensorProto.DataType

/** TensorProto.DataType by its ONNX textual name. */
export type DataType = (typeof DATA_TYPES)[number];

/** Protobuf fields (tag and payload, concatenated) that this version does not model; written back as they were. */
export type UnknownFields = Uint8Array | undefined;

/** Where a tensor's bytes lie when they are not in the model file. */
export interface ExternalData {
  readonly location: string;
  readonly offset: number;
  readonly length: number | undefined;
}

export interface Tensor {
  readonly name: string;
  readonly dataType: DataType;
  readonly dims: readonly number[];
  /** Little-endian elements, possibly a view on the model file's buffer; empty for strings and external data. */
  readonly bytes: Uint8Array;
  /** Elements of a `string` tensor. */
  readonly strings?: readonly Uint8Array[];
  readonly external?: ExternalData;
  readonly unknownFields?: UnknownFields;
}

/** A sparse initializer; kept whole, only its name is read. */
export interface SparseTensor {
  readonly name: string;
}

/** dim_value, dim_param, or unknown. */
export type Dim = number | string | undefined;

export interface TensorType {
  readonly dataType: DataType;
  /** Undefined when the rank is unknown. */
  readonly dims: readonly Dim[] | undefined;
}

export interface ValueInfo {
  readonly name: string;
  /** Undefined for a value that is not a tensor, or without a type. */
  readonly type: TensorType | undefined;
  readonly unknownFields?: UnknownFields;
}

export type Attribute =
  | { readonly type: 'FLOAT' | 'INT'; readonly value: number }
  | { readonly type: 'STRING'; readonly value: string }
  | { readonly type: 'TENSOR'; readonly value: Tensor }
  | { readonly type: 'GRAPH'; readonly value: Graph }
  | { readonly type: 'FLOATS' | 'INTS'; readonly value: readonly number[] }
  | { readonly type: 'STRINGS'; readonly value: readonly string[] }
  | { readonly type: 'TENSORS'; readonly value: readonly Tensor[] }
  | { readonly type: 'GRAPHS'; readonly value: readonly Graph[] }
  /** Anything else (sparse tensors, type protos, references of a function's body): kept as its bytes only. */
  | { readonly type: 'OPAQUE'; readonly value: undefined };

export interface Node {
  readonly opType: string;
  /** '' is ai.onnx. */
  readonly domain: string;
  readonly name: string;
  /** '' stands for an omitted optional input. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, Attribute>>;
  readonly unknownFields?: UnknownFields;
}

export interface Graph {
  readonly name: string;
  /** In topological order. */
  readonly nodes: readonly Node[];
  readonly initializers: readonly Tensor[];
  readonly sparseInitializers: readonly SparseTensor[];
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  readonly valueInfo: readonly ValueInfo[];
  readonly unknownFields?: UnknownFields;
}

export interface OpsetImport {
  readonly domain: string;
  readonly version: number;
}

export interface Model {
  readonly irVersion: number;
  readonly opsetImports: readonly OpsetImport[];
  readonly producerName: string;
  readonly producerVersion: string;
  readonly graph: Graph;
  readonly metadataProps: readonly { readonly key: string; readonly value: string }[];
  /** Number of model-local functions; their bodies travel in `unknownFields`. */
  readonly functionCount: number;
  readonly unknownFields?: UnknownFields;
}

/** Whether `domain` is that of ONNX's own operators. */
export const isDefaultDomain = (domain: string): boolean => domain === '' || domain === 'ai.onnx';

/** The version of the default operator set that `model` imports. */
export function opsetOf(model: Model): number {
  return model.opsetImports.find((o) => isDefaultDomain(o.domain))?.version ?? 1;
}
