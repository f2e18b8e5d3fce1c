/** Names and literals for generated TypeScript. */
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

/** As npm has it. */
const LONGEST_NAME = 214;

/** npm package name of a model file's base name: `My Net.onnx` → `my-net`. */
export function packageNameOf(file: string): string {
  const words = file
    .replace(/\.[^.]*$/, '')
    .toLowerCase()
    .match(/[a-z0-9]+/g) ?? ['model'];
  return words.join('-').slice(0, LONGEST_NAME);
}

/** A single-quoted string literal, on one line also for tools that break lines at U+2028. */
export function quoted(text: string): string {
  const inner = JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'");
  const onOne = inner.replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029');
  // ts-morph takes the quote after a backslash for one that is escaped, and what follows for a string.
  return `'${onOne.replace(/\\\\$/, '\\x5c')}'`;
}

/** A property name; in an object literal `__proto__` would set the prototype unless computed. */
export function propertyName(name: string): string {
  if (name === '__proto__') return "['__proto__']";
  return /^[A-Za-z_$][\w$]*$/.test(name) ? name : quoted(name);
}

/** Plain data as a TypeScript literal on one line. */
export function literal(value: unknown): string {
  if (typeof value === 'string') return quoted(value);
  if (Array.isArray(value)) return `[${value.map(literal).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return String(value);
  return `{ ${Object.entries(value)
    .map(([key, item]) => `${propertyName(key)}: ${literal(item)}`)
    .join(', ')} }`;
}

/** An object literal with one entry a line. */
export function table(entries: readonly (readonly [name: string, value: unknown])[]): string {
  return `{\n${entries.map(([name, value]) => `  ${propertyName(name)}: ${literal(value)},\n`).join('')}}`;
}

/** Text that is safe inside a comment and stays on its line. */
export function commentText(text: string): string {
  return onOneLine(text).replaceAll('*/', '*\\/');
}

/** Without line breaks and other control characters. */
export const onOneLine = (text: string): string => text.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ');

/** Text of Markdown on its line, in which nothing is markup or HTML. */
export const markdownText = (text: string): string => onOneLine(text).replace(/[\\`*<>[\]|&~]/g, '\\$&');

/** Code in a line of Markdown. */
export function markdownCode(text: string): string {
  const line = onOneLine(text);
  const longest = Math.max(0, ...[...line.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = '`'.repeat(longest + 1);
  return longest === 0 ? `${fence}${line}${fence}` : `${fence} ${line} ${fence}`;
}
