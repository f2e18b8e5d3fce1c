/** How onnxruntime's JavaScript API spells ONNX data types. */
import type { DataType } from '../graph/types.ts';

const ARRAYS: Partial<Record<DataType, string>> = {
  float: 'Float32Array', double: 'Float64Array', float16: 'Uint16Array', int8: 'Int8Array', uint8: 'Uint8Array',
  int16: 'Int16Array', uint16: 'Uint16Array', int32: 'Int32Array', uint32: 'Uint32Array', int64: 'BigInt64Array',
  uint64: 'BigUint64Array', bool: 'Uint8Array', string: 'string[]',
}; // biome-ignore format: a table

/** Tensor type of a data type: `float` → `float32`. */
export function tensorType(dataType: DataType): string {
  return dataType === 'float' ? 'float32' : dataType === 'double' ? 'float64' : dataType;
}

/** Type of a tensor's `data`; float16 is raw bits. */
export function arrayType(dataType: DataType): string {
  return ARRAYS[dataType] ?? 'never';
}
