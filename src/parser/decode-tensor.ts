/** TensorProto → Tensor. Elements stay where they are in the file, save those stored as varints. */
import onnxProto from 'onnx-proto';
import { malformedTensor } from '../errors/index.ts';
import { elementBytes, elementCount } from '../graph/tensor.ts';
import { DATA_TYPES, type DataType, type ExternalData, type Tensor } from '../graph/types.ts';
import { TENSOR, UNTYPED_TENSOR } from './schema.ts';
import { rememberSource } from './source-bytes.ts';
import { cutMessage, type Field, joinBytes, type Parts, unpackVarints } from './wire.ts';

const { onnx } = onnxProto;

const FLOAT_DATA = 4;
const INT32_DATA = 5;
const STRING_DATA = 6;
const INT64_DATA = 7;
const RAW_DATA = 9;
const DOUBLE_DATA = 10;
const UINT64_DATA = 11;
const EXTERNAL_DATA = 13;
const DATA_LOCATION = 14;
const { DEFAULT, EXTERNAL } = onnx.TensorProto.DataLocation;
const NO_BYTES = new Uint8Array(0);

/** Which field holds a data type's elements when it is not raw_data; int32_data for all others. */
const TYPED_DATA: Partial<Record<DataType, number>> = {
  float: FLOAT_DATA, complex64: FLOAT_DATA, double: DOUBLE_DATA, complex128: DOUBLE_DATA,
  int64: INT64_DATA, uint32: UINT64_DATA, uint64: UINT64_DATA,
}; // biome-ignore format: a table

/**
 * Decodes a tensor and verifies that its bytes are as many as its dims ask for.
 * A tensor of a data type that is not in DATA_TYPES is `undefined` and empty; its data travel in `unknownFields`.
 */
export function decodeTensor(bytes: Uint8Array): Tensor {
  const whole = cutMessage(bytes, TENSOR);
  const { name, dims, dataType: typeNumber } = onnx.TensorProto.decode(whole.plain);
  const dataType = DATA_TYPES[typeNumber] ?? 'undefined';
  const { apart, unknownFields } = dataType === 'undefined' ? cutMessage(bytes, UNTYPED_TENSOR) : whole;
  const head = { name, dataType, dims: dims.map(Number), ...(unknownFields && { unknownFields }) };
  const expected = byteLengthOf(head);
  const tensor: Tensor = isExternal(name, apart(DATA_LOCATION))
    ? { ...head, bytes: NO_BYTES, external: decodeExternal(name, apart(EXTERNAL_DATA)) }
    : dataType === 'string'
      ? { ...head, bytes: NO_BYTES, strings: apart(STRING_DATA).map((f) => f.payload) }
      : { ...head, bytes: decodeElements(dataType, apart) };
  if (!tensor.external) verifyLength(tensor, expected);
  return rememberSource(tensor, bytes);
}

/** The bytes that a tensor's elements take; undefined for strings and unknown types. Refuses impossible dims. */
export function byteLengthOf({ name, dataType, dims }: Omit<Tensor, 'bytes'>): number | undefined {
  const count = elementCount(dims);
  if (dims.some((d) => d < 0)) throw malformedTensor(name, `a negative dim in [${dims}]`);
  if (!Number.isSafeInteger(count * 16)) throw malformedTensor(name, `dims [${dims}] are beyond all bounds`);
  const size = elementBytes(dataType);
  return size === undefined ? undefined : Math.ceil(count * size);
}

/** Some readers drop an enum value that they do not have and use the one before: they would read another tensor than this decoder. */
function isExternal(name: string, fields: readonly Field[]): boolean {
  const payloads = fields.map((f) => f.payload);
  const locations = new Int32Array(unpackVarints(payloads, 4).buffer);
  const odd = locations.find((location) => location !== DEFAULT && location !== EXTERNAL);
  if (odd !== undefined) throw malformedTensor(name, `data_location ${odd}`);
  return locations.at(-1) === EXTERNAL;
}

function verifyLength({ name, dataType, dims, bytes, strings }: Tensor, expected: number | undefined): void {
  const found = strings ? strings.length : bytes.byteLength;
  const wanted = strings ? elementCount(dims) : expected;
  if (wanted === undefined || found === wanted) return;
  const unit = strings ? 'strings' : 'bytes';
  throw malformedTensor(name, `${found} ${unit} where ${dataType}[${dims}] needs ${wanted}`);
}

function decodeElements(dataType: DataType, apart: Parts['apart']): Uint8Array {
  const raw = apart(RAW_DATA).at(-1)?.payload;
  if (raw?.length) return raw;
  const number = TYPED_DATA[dataType] ?? INT32_DATA;
  const payloads = apart(number).map((f) => f.payload);
  if (number === FLOAT_DATA || number === DOUBLE_DATA) return joinBytes(payloads);
  return unpackVarints(payloads, Math.max(1, elementBytes(dataType) ?? 0));
}

function decodeExternal(name: string, fields: readonly Field[]): ExternalData {
  const payloads = fields.map((f) => f.payload);
  const entries = payloads.map((p) => onnx.StringStringEntryProto.decode(p));
  const get = (key: string) => {
    const found = entries.filter((e) => e.key === key);
    if (found.length > 1) throw malformedTensor(name, `external data with ${key} given twice`);
    return found[0]?.value;
  };
  const whole = (key: string) => {
    const text = get(key);
    if (text === undefined) return undefined;
    const value = Number(text);
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) {
      throw malformedTensor(name, `external data with ${key} "${text}"`);
    }
    return value;
  };
  const location = get('location');
  if (!location) throw malformedTensor(name, 'external data without a location');
  const external = { location, offset: whole('offset') ?? 0, length: whole('length') };
  return rememberSource(external, joinBytes(fields.map((f) => f.raw)));
}
