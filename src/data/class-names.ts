/** Class names of data, held against those that classes go by. */
import { ambiguousClass, unknownClass } from '../errors/index.ts';

/** Names in class order, and where they stand, for errors. */
export interface KnownClasses {
  readonly names: readonly string[];
  /** `--labels names.txt`, `--train cifar10/train`. */
  readonly from: string;
}

/** More than one class has the name. */
const SEVERAL = -1;

/** Names are compared composed (NFC; macOS decomposes those of folders) and without blanks around them. */
const plain = (name: string) => name.normalize('NFC').trim();

/** Which of `names` a name is. Throws `unknown-label` where several are called so. */
export function classFinder(names: readonly string[], from: string): (name: string) => number | undefined {
  const classes = new Map<string, number>();
  for (const [i, name] of names.entries()) classes.set(plain(name), classes.has(plain(name)) ? SEVERAL : i);
  return (name) => {
    const found = classes.get(plain(name));
    if (found === SEVERAL) throw ambiguousClass(from, name);
    return found;
  };
}

/**
 * The class, by `known`, of each of `own`: the class names of the data at `place`, in the order of its labels. All of them must be known, in
 * whatever order, and not all that are known need be there. Throws `unknown-label`.
 */
export function classesIn(place: string, own: readonly string[], { names, from }: KnownClasses): number[] {
  const isSame = (name: string, i: number) => i < names.length && plain(name) === plain(names[i]!);
  if (own.every(isSame)) return [...own.keys()];
  const find = classFinder(names, from);
  const found = own.map((name) => find(name));
  const unknown = found.indexOf(undefined);
  if (unknown >= 0) {
    const name = own[unknown]!;
    const differsInCase = names.find((known) => plain(known).toLowerCase() === plain(name).toLowerCase());
    throw unknownClass(place, name, from, names, {
      differsInCase,
      none: found.every((known) => known === undefined),
    });
  }
  const twice = found.findIndex((known, i) => found.indexOf(known) < i);
  if (twice >= 0) throw ambiguousClass(place, own[twice]!);
  return found as number[];
}
