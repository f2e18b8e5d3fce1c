/** Class names that a model brings along, and which class of one network is which of another. */
import { dirname, join } from 'node:path';
import { readText } from '../data/text.ts';
import { firstClassCount, firstClassesUnlike, firstClassTwice } from '../errors/index.ts';
import type { LoadedModel } from '../parser/index.ts';

/** Keys of metadata_props that hold class names, in lower case. */
const KEYS = ['names', 'labels', 'classes', 'class_names', 'id2label'];

/**
 * Names of the classes of the model at `path`, in its order: from its metadata_props (a list or an object of JSON, what Python prints of a
 * dict or a list, or names between commas or line breaks), or else from `config.json` (`id2label`), `labels.txt` or `classes.txt` in its
 * folder. Only where there are `classes` of them; undefined when nothing is, or is understood.
 */
export async function classNamesIn(
  { model }: Pick<LoadedModel, 'model'>,
  path: string,
  classes: number,
): Promise<readonly string[] | undefined> {
  const known = (names: readonly string[] | undefined) => (names?.length === classes ? names : undefined);
  for (const key of KEYS) {
    const found = model.metadataProps.find((prop) => prop.key.toLowerCase() === key);
    const names = found && known(namesIn(found.value));
    if (names) return names;
  }
  const folder = dirname(path);
  const beside = async (name: string) => await readText(join(folder, name)).catch(() => '');
  const config = known(idsToNames(jsonIn(await beside('config.json'), 'id2label')));
  if (config) return config;
  for (const name of ['labels.txt', 'classes.txt']) {
    const names = known(listedIn(await beside(name), /\r?\n/));
    if (names) return names;
  }
  return undefined;
}

function namesIn(text: string): readonly string[] | undefined {
  const told = parsed(text) ?? parsed(pythonAsJson(text));
  if (told !== undefined && typeof told === 'object')
    return Array.isArray(told) ? textsIn(told) : idsToNames(told);
  return listedIn(text, /\r?\n/.test(text.trim()) ? /\r?\n/ : ',');
}

const listedIn = (text: string, separator: RegExp | string): string[] | undefined => {
  const names = text
    .trim()
    .split(separator)
    .map((name) => name.trim());
  return names.every((name) => name !== '') ? names : undefined;
};

/** `{ 0: 'cat', 1: 'dog' }`, of any order of keys, which must be 0 … n - 1. */
function idsToNames(told: unknown): readonly string[] | undefined {
  if (typeof told !== 'object' || told === null || Array.isArray(told)) return undefined;
  const entries = Object.entries(told);
  const names = Array.from({ length: entries.length }, (_, i) => (told as Record<string, unknown>)[i]);
  return textsIn(names);
}

const textsIn = (values: readonly unknown[]): readonly string[] | undefined =>
  values.length > 0 &&
  values.every((value): value is string => typeof value === 'string' && value.trim() !== '')
    ? values.map((name) => name.trim())
    : undefined;

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function jsonIn(text: string, key: string): unknown {
  const told = parsed(text);
  return typeof told === 'object' && told !== null ? (told as Record<string, unknown>)[key] : undefined;
}

/** One token of what Python prints: a text in single or double quotes, or a key that is a number. */
const TOKEN = /'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|(-?\d+)(?=\s*:)/gs;

/** `{0: 'person', 1: "driver's seat"}` with quotes as JSON has them. */
const pythonAsJson = (text: string): string =>
  text.replace(TOKEN, (_, single?: string, double?: string, key?: string) =>
    key === undefined ? JSON.stringify((single ?? double)!.replace(/\\(['"\\])/g, '$1')) : `"${key}"`,
  );

/** Names are compared composed (NFC) and without blanks around them; then in lower case too. */
const plain = (name: string) => name.normalize('NFC').trim();
const loose = (name: string) => plain(name).toLowerCase();

/**
 * [C] The class of the first network that each class of the original is, by name: as it is written, or else but for case where that
 * tells them apart. Lists that are the same are in the same order. `first`: what errors call the first network. Throws `first-class-count` and `first-classes-unlike`.
 */
export function classOrder(
  ofFirst: readonly string[],
  ofOriginal: readonly string[],
  first = 'the first network',
): Int32Array {
  if (ofFirst.length !== ofOriginal.length) throw firstClassCount(first, ofFirst.length, ofOriginal.length);
  // Lists of names in use have the same name twice (ImageNet's "crane").
  if (ofFirst.every((name, i) => plain(name) === plain(ofOriginal[i]!)))
    return Int32Array.from(ofFirst.keys());
  refuseTwice(ofFirst, first, 'first[].labels');
  refuseTwice(ofOriginal, 'the original', 'labels');
  const exact = placesOf(ofFirst, plain);
  const cased = placesOf(ofFirst, loose);
  const found = ofOriginal.map((name) => exact.get(plain(name)) ?? cased.get(loose(name)));
  const missing = ofOriginal.filter((_, k) => found[k] === undefined);
  const used = new Set(found);
  const extra = ofFirst.filter((_, k) => !used.has(k));
  if (missing.length > 0 || extra.length > 0) throw firstClassesUnlike(first, missing, extra);
  return Int32Array.from(found as number[]);
}

function refuseTwice(names: readonly string[], who: string, given: string): void {
  const places = placesOf(names, plain);
  const twice = names.find((name) => places.get(plain(name)) === undefined);
  if (twice !== undefined) throw firstClassTwice(who, twice, given);
}

/** Where each name stands; undefined for one that stands in several places. */
function placesOf(names: readonly string[], form: (name: string) => string): Map<string, number | undefined> {
  const places = new Map<string, number | undefined>();
  for (const [i, name] of names.entries()) places.set(form(name), places.has(form(name)) ? undefined : i);
  return places;
}
