/** Text files are UTF-8: other encodings are told apart and refused, never read as other letters. JSON in them has bounded depth. */
import { readFile } from 'node:fs/promises';

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** UTF-8 without its byte order mark. Throws an error that says what the bytes are instead. */
export function decodeText(bytes: Uint8Array): string {
  if (isUtf16(bytes)) throw new Error('it is UTF-16, not UTF-8');
  try {
    return utf8.decode(bytes);
  } catch {
    throw new Error('it is not UTF-8 (perhaps Latin-1)');
  }
}

/** By its byte order mark, or by the zeros that its first letter or two have where they are of the Latin alphabet. */
function isUtf16(bytes: Uint8Array): boolean {
  const [first = 1, second = 1] = bytes;
  return (
    (first === 0xff && second === 0xfe) ||
    (first === 0xfe && second === 0xff) ||
    (first === 0) !== (second === 0)
  );
}

/** The text of `file`. Throws what reading it throws, and what `decodeText` does. */
export async function readText(file: string): Promise<string> {
  return decodeText(await readFile(file));
}

/** Far above what any file needs, and far below what the stack has room for. */
const MOST_DEPTH = 500;

/**
 * The value that JSON of a user says. Throws a SyntaxError where it is none, or objects and lists lie in one another more than 500 deep: JSON.parse reads
 * any depth, and whatever walks such a value, or writes it into an error, overflows the stack.
 */
export function parseJson(text: string): unknown {
  const value: unknown = JSON.parse(text);
  let level = [value].filter(isNested);
  for (let depth = 1; level.length > 0; depth++) {
    if (depth > MOST_DEPTH) throw new SyntaxError(`values are nested more than ${MOST_DEPTH} deep`);
    level = level.flatMap((one) => Object.values(one).filter(isNested));
  }
  return value;
}

const isNested = (value: unknown): value is object => typeof value === 'object' && value !== null;
