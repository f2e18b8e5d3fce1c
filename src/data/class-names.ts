/** Class names: read from a file, and those of data matched with those of the model. */
import { ambiguousClass, badLabelsFile, messageOf, unknownClass } from '../errors/index.ts';
import { readText } from './text.ts';

/** Names in class order, and where they stand, for errors. */
export interface KnownClasses {
  readonly names: readonly string[];
  /** `--labels names.txt`, `--train cifar10/train`. */
  readonly from: string;
}

/** More than one class has the name. */
const SEVERAL = -1;

/** Names are compared composed (NFC; macOS decomposes those of folders) and without blanks around them. */
export const plainName = (name: string) => name.normalize('NFC').trim();

/** Which of `names` a name is. Throws `unknown-label` where several are called so. */
export function classFinder(names: readonly string[], from: string): (name: string) => number | undefined {
  const classes = new Map<string, number>();
  for (const [i, name] of names.entries())
    classes.set(plainName(name), classes.has(plainName(name)) ? SEVERAL : i);
  return (name) => {
    const found = classes.get(plainName(name));
    if (found === SEVERAL) throw ambiguousClass(from, name);
    return found;
  };
}

/**
 * The class, by `known`, of each of `own`: the class names of the data at `place`, in the order of its labels. All of them must be known, in
 * whatever order, and not all that are known need be there. Throws `unknown-label`.
 */
export function classesIn(place: string, own: readonly string[], { names, from }: KnownClasses): number[] {
  const isSame = (name: string, i: number) => plainName(name) === plainName(names[i]!);
  // Names that several classes have are told apart by the whole list alone.
  if (own.length === names.length && own.every(isSame)) return [...own.keys()];
  const find = classFinder(names, from);
  const found = own.map((name) => find(name));
  const unknown = found.indexOf(undefined);
  if (unknown >= 0) {
    const name = own[unknown]!;
    const differsInCase = names.find(
      (known) => plainName(known).toLowerCase() === plainName(name).toLowerCase(),
    );
    throw unknownClass(place, name, from, names, {
      differsInCase,
      none: found.every((known) => known === undefined),
    });
  }
  const twice = found.findIndex((known, i) => found.indexOf(known) < i);
  if (twice >= 0) throw ambiguousClass(place, own[twice]!);
  return found as number[];
}

export const isNames = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((name) => typeof name === 'string');

/** Class names from a text file, one a line, blanks around them left out, or a JSON list of them. Throws `bad-labels` unless there are `classes`, each with a name. */
export async function readClassNames(path: string, classes: number): Promise<string[]> {
  const text = await readText(path).catch((error) => {
    throw badLabelsFile(path, messageOf(error), classes);
  });
  const names = listIn(text.trim()) ?? linesIn(text);
  if (names.length === 0) throw badLabelsFile(path, 'is empty', classes);
  if (!isNames(names)) {
    const odd = names.findIndex((name) => typeof name !== 'string');
    throw badLabelsFile(path, `name ${odd + 1} is no text`, classes);
  }
  if (names.length !== classes) throw badLabelsFile(path, `has ${names.length}`, classes);
  const blank = names.findIndex((name) => name.trim() === '');
  if (blank >= 0) throw badLabelsFile(path, `name ${blank + 1} of ${classes} is blank`, classes);
  return names;
}

function linesIn(text: string): string[] {
  const lines = text.split(/\r?\n/).map((name) => name.trim());
  while (lines.at(-1) === '') lines.pop();
  return lines;
}

function listIn(text: string): unknown[] | undefined {
  try {
    const list: unknown = JSON.parse(text);
    return Array.isArray(list) ? list : undefined;
  } catch {
    return undefined;
  }
}
