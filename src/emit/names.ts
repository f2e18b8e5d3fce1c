/** npm names, and text that is safe in generated TypeScript and Markdown. */

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
