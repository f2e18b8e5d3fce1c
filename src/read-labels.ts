import { readFile } from 'node:fs/promises';
import { badLabelsFile, messageOf } from './errors.ts';

/** Class names from a text file, one a line. Throws `bad-labels` unless there are `classes` of them. */
export async function readLabels(path: string, classes: number): Promise<string[]> {
  const text = await readFile(path, 'utf8').catch((error) => {
    throw badLabelsFile(path, messageOf(error), classes);
  });
  const lines = text.replace(/\r?\n$/, '').split(/\r?\n/);
  if (lines.length !== classes) throw badLabelsFile(path, `has ${lines.length} lines`, classes);
  return lines;
}
