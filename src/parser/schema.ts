/** The fields of onnx.proto that the graph models, by number. What is not listed travels in `unknownFields`. */
import { FIXED32, FIXED64, LEN, type Schema, VARINT } from './wire.ts';

const one = (...wire: number[]) => wire;
const packable = (wire: number) => [wire, LEN];

/** ir_version, producer_name, producer_version | graph, opset_import, metadata_props, functions */
export const MODEL: Schema = {
  plain: { 1: one(VARINT), 2: one(LEN), 3: one(LEN) },
  apart: { 7: one(LEN), 8: one(LEN), 14: one(LEN) },
};

/** Every field a ModelProto has had: distinguishes a truncated model from a file of another kind. */
export const MODEL_FIELDS: Readonly<Record<number, number>> = {
  1: VARINT, 2: LEN, 3: LEN, 4: LEN, 5: VARINT, 6: LEN, 7: LEN, 8: LEN, 14: LEN, 20: LEN, 25: LEN, 26: LEN,
}; // biome-ignore format: a table

export const MODEL_FUNCTIONS = 25;

/** name, input, output, domain | node, opset_import, attribute_proto, overload */
export const FUNCTION: Schema = {
  plain: { 1: one(LEN), 4: one(LEN), 5: one(LEN), 10: one(LEN) },
  apart: { 7: one(LEN), 9: one(LEN), 11: one(LEN), 13: one(LEN) },
};

/** name | node, initializer, input, output, value_info, sparse_initializer */
export const GRAPH: Schema = {
  plain: { 2: one(LEN) },
  apart: { 1: one(LEN), 5: one(LEN), 11: one(LEN), 12: one(LEN), 13: one(LEN), 15: one(LEN) },
};

/** input, output, name, op_type, domain | attribute */
export const NODE: Schema = {
  plain: { 1: one(LEN), 2: one(LEN), 3: one(LEN), 4: one(LEN), 7: one(LEN) },
  apart: { 5: one(LEN) },
};

export const NODE_OVERLOAD = 8;

/** name, f, i, s, floats, ints, strings, type, ref_attr_name | t, g, tensors, graphs, sparse_tensor, sparse_tensors */
export const ATTRIBUTE: Schema = {
  plain: {
    1: one(LEN), 2: one(FIXED32), 3: one(VARINT), 4: one(LEN), 7: packable(FIXED32), 8: packable(VARINT),
    9: one(LEN), 20: one(VARINT), 21: one(LEN),
  }, // biome-ignore format: a table
  apart: { 5: one(LEN), 6: one(LEN), 10: one(LEN), 11: one(LEN), 22: one(LEN), 23: one(LEN) },
};

export const ATTRIBUTE_NAME = 1;

/** name | type */
export const VALUE_INFO: Schema = { plain: { 1: one(LEN) }, apart: { 2: one(LEN) } };

/** | tensor_type */
export const TYPE: Schema = { plain: {}, apart: { 1: one(LEN) } };

/** elem_type | shape */
export const TENSOR_TYPE: Schema = { plain: { 1: one(VARINT) }, apart: { 2: one(LEN) } };

/** | dim */
export const SHAPE: Schema = { plain: {}, apart: { 1: one(LEN) } };

/**
 * dims, data_type, name
 * | float_data, int32_data, string_data, int64_data, raw_data, double_data, uint64_data, external_data, data_location
 */
export const TENSOR: Schema = {
  plain: { 1: packable(VARINT), 2: one(VARINT), 8: one(LEN) },
  apart: {
    4: packable(FIXED32), 5: packable(VARINT), 6: one(LEN), 7: packable(VARINT), 9: one(LEN),
    10: packable(FIXED64), 11: packable(VARINT), 13: one(LEN), 14: one(VARINT),
  }, // biome-ignore format: a table
};

/** A tensor of a data type that is not in DATA_TYPES: dims, name | external_data, data_location. */
export const UNTYPED_TENSOR: Schema = {
  plain: { 1: packable(VARINT), 8: one(LEN) },
  apart: { 13: one(LEN), 14: one(VARINT) },
};

/** dims | values, indices */
export const SPARSE_TENSOR: Schema = {
  plain: { 3: packable(VARINT) },
  apart: { 1: one(LEN), 2: one(LEN) },
};
