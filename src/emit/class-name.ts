/** What the generated class is called. */
import { badClassName } from '../errors/index.ts';
import { runtimeNames } from './runtime-source.ts';

/** Names that the generated file declares or uses itself, but for those of src/runtime/. */
const RESERVED = new Set(
  `Array BigInt64Array BigUint64Array ClassifyOptions ExitId Float32Array Float64Array Input Int8Array Int16Array Int32Array
  Label Math NetworkId Number Object OperatingPoint OperatingPointName Ort Promise Readonly Record Result String Thresholds Uint8Array
  Uint16Array Uint32Array URL`.split(/\s+/),
);

const isReserved = (name: string) => RESERVED.has(name) || runtimeNames().has(name);

/** PascalCase of a model file's base name, made a free identifier: `my-net_v2.onnx` → `MyNetV2`. */
export const classNameOf = (file: string): string => inPascalCase(file.replace(/\.[^.]*$/, ''));

/** The same of an npm name, without its scope: `@me/my-net` → `MyNet`. */
export const classNameOfPackage = (name: string): string => inPascalCase(name.replace(/^@[^/]*\//, ''));

function inPascalCase(text: string): string {
  const words = text.match(/[\p{L}\p{Nd}]+/gu) ?? [];
  const pascal = words.map((word) => word[0]!.toUpperCase() + word.slice(1)).join('');
  const name = /^\p{L}/u.test(pascal) ? pascal : `Model${pascal}`;
  return isReserved(name) ? `${name}Model` : name;
}

/** `name` as it is. Throws `bad-class-name` unless it is a free identifier that does not start in lower case. */
export function checkClassName(name: string): string {
  if (!/^(?!\p{Ll})[\p{L}_$][\p{L}\p{Nd}_$]*$/u.test(name) || isReserved(name)) throw badClassName(name);
  return name;
}
