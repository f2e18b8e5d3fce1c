import { readFile } from 'node:fs/promises';
import { badLabelsFile, messageOf } from '../errors/index.ts';

/** Class names from a text file, one a line, blanks around them left out, or a JSON list of them. Throws `bad-labels` unless there are `classes`. */
export async function readLabels(path: string, classes: number): Promise<string[]> {
  const text = await readFile(path, 'utf8').catch((error) => {
    throw badLabelsFile(path, messageOf(error), classes);
  });
  // `trim` also takes a byte order mark, which Windows editors write, off the first name.
  const names =
    listIn(text.trim()) ??
    text
      .trim()
      .split(/\r?\n/)
      .map((name) => name.trim());
  if (names.length !== classes) throw badLabelsFile(path, `has ${names.length}`, classes);
  return names;
}

function listIn(text: string): string[] | undefined {
  try {
    const list: unknown = JSON.parse(text);
    return Array.isArray(list) && list.every((name) => typeof name === 'string') ? list : undefined;
  } catch {
    return undefined;
  }
}
