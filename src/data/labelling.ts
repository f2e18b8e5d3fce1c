import { dirname, join } from 'node:path';
import { badDataFile, badLabels, labelMissing, messageOf, unknownLabel } from '../errors/index.ts';
import { classFinder, isNames } from './class-names.ts';
import { isFile } from './files.ts';
import type { SourceOptions } from './records.ts';
import type { Row, Table } from './table.ts';
import { readText } from './text.ts';

const LABELS = ['label', 'labels', 'fine_label'];

export interface Labelling {
  /** Undefined when nothing need be labelled. */
  readonly field: string | undefined;
  readonly classNames: readonly string[] | undefined;
  readonly labelOf: (row: Row) => number;
}

/**
 * How to read the class of a row of `table`: an index, or a name. Class names in the order of the indices come from the file, from a
 * list labels.json beside it, or from the options, the first that there is.
 */
export async function labelling(table: Table, { labels }: SourceOptions): Promise<Labelling> {
  if (labels === 'none') return { field: undefined, classNames: undefined, labelOf: () => -1 };
  const field = LABELS.find((name) => table.fields.includes(name));
  if (!field) throw labelMissing(table.head, LABELS, table.fields);
  const beside = join(dirname(table.files[0]!.file), 'labels.json');
  const classNames = (await table.classNamesOf?.(field)) ?? (await readNames(beside)) ?? labels;
  const find = classFinder(classNames ?? [], table.path);
  const labelOf = ({ fields, place }: Row): number => {
    const value = fields[field];
    if (typeof value === 'string') {
      const known = find(value);
      if (known === undefined) throw unknownLabel(place, value, classNames);
      return known;
    }
    const label = typeof value === 'bigint' ? Number(value) : value;
    if (typeof label !== 'number' || label !== (label | 0))
      throw badLabels(place, `${field} is ${shown(value)}`);
    return label;
  };
  return { field, classNames, labelOf };
}

async function readNames(file: string): Promise<string[] | undefined> {
  if (!isFile(file)) return undefined;
  const names: unknown = await readText(file)
    .then(JSON.parse)
    .catch((error: unknown) => {
      throw badDataFile(file, messageOf(error));
    });
  if (!isNames(names))
    throw badDataFile(file, 'it is no list of class names', 'Write ["first", "second", …], in class order.');
  return names;
}

/** A value of a row, for errors. */
export function shown(value: unknown): string {
  if (value === undefined) return 'missing';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'bigint' || typeof value === 'number' ? String(value) : JSON.stringify(value);
}
