/** Text files are UTF-8: other encodings are told apart and refused, never read as other letters. */
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
