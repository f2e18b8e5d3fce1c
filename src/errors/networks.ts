/** Of networks in front of the original. */
import { OfframpError, ofNetwork } from './offramp-error.ts';
import { option } from './option.ts';

const PREPROCESSING =
  '`first[].preset`, `first[].scale`, `first[].mean`, `first[].std`, `first[].channels`, `first[].layout`';

/** Options that an entry of `first` may have under the same name as a call. */
const OWN = /`(?=(?:output|dims|set|externalDataFolder|preset|scale|mean|std|layout|channels|resize)[`:])/g;

/** `error`, of reading the network of `file` in front: it has that name, and options in it are those of the network's entry in `first`. */
export function ofFirst<T>(file: string, error: T): T {
  if (error instanceof OfframpError && !error.code.startsWith('first-')) {
    error.message = error.message.replace(OWN, '`first[].');
    error.hint = error.hint.replace(OWN, '`first[].');
  }
  return ofNetwork(file, error);
}

/** `measured`: its agreement, and its accuracy where there are labels. `pairs`: what a permutation of its classes would be, if one fits. */
export const firstDisagrees = (name: string, measured: string, pairs: string | undefined) =>
  new OfframpError(
    'first-disagrees',
    `${name} hardly agrees with the original more than chance: ${measured}`,
    pairs
      ? `Its classes seem to be in another order: ${pairs}. Give their names in its own order: ${option('first[].labels')}, a file with one name a line; and those of the original: ${option('labels')}.`
      : `A network that is fed otherwise than in its training usually guesses: say how its inputs are made (${PREPROCESSING}). If its classes stand in another order, give their names: ${option('first[].labels')}.`,
  );

export const firstClassCount = (name: string, count: number, classes: number) =>
  new OfframpError(
    'first-class-count',
    `${name} has ${count} classes, the original has ${classes}`,
    `Every network of a chain answers with the classes of the original. Give one of ${classes} classes.`,
  );

/** `missing`: names of the original's classes that it lacks. `extra`: names of its own that the original lacks. */
export const firstClassesUnlike = (name: string, missing: readonly string[], extra: readonly string[]) =>
  new OfframpError(
    'first-classes-unlike',
    `${name} has no class ${someOf(missing)}${extra.length > 0 ? `; the original has none named ${someOf(extra)}` : ''}`,
    `Classes are matched by name. If only the spelling differs, give the names of ${name} as the original spells them, in its own order: ${option('first[].labels')}.`,
  );

/** Names that tell no classes apart. `given`: the option with the names of `name`. */
export const firstClassTwice = (name: string, twice: string, given: string) =>
  new OfframpError(
    'first-classes-unlike',
    `${name} has several classes named "${twice}"`,
    `Give names that differ, in its own order: ${option(given)}.`,
  );

const someOf = (names: readonly string[], most = 5): string => {
  const shown = names.slice(0, most).map((name) => `"${name}"`);
  return names.length > most ? `${shown.join(', ')} and ${names.length - most} more` : shown.join(', ');
};

export const firstIsOriginal = (file: string) =>
  new OfframpError(
    'first-is-original',
    `first network ${file} is the original itself, and reads the same`,
    'Leave it out of `first`, or give it smaller pictures: `first[].size`.',
  );

export const networkMissing = (file: string, folder: string, sha256: string) =>
  new OfframpError(
    'network-missing',
    `${file}, a network of ${folder} (sha256 ${sha256}), is not among the files that were given`,
    file.includes('/')
      ? 'Give its file, or the package that it is of: `first`.'
      : 'Give its file, or the package that it is of: `first`. A file may also lie beside the original.',
  );

export const firstSizeFixed = (input: string, dims: readonly unknown[]) =>
  new OfframpError(
    'first-size-fixed',
    `its input ${input} [${dims.map((dim) => dim ?? '?').join(', ')}] does not take pictures of any size`,
    `Leave ${option('first[].size')} out, or export the model with symbolic height and width.`,
  );
