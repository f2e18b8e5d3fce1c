/** offramp.config.json: options in a file, for every command that has them or for one. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { Parser } from 'yargs/helpers';
import schema from '../../schema/config.schema.json' with { type: 'json' };
import { wordsIn } from '../commands/option-rules.ts';
import { FIRST } from '../commands/options.ts';
import { decodeText, parseJson } from '../data/text.ts';
import { findViolation } from '../emit/violation.ts';
import { badConfig, badOption, configMissing, messageOf, unknownSetting } from '../errors/index.ts';
import { nearest } from '../errors/nearest.ts';
import type { FirstOptions } from '../networks/open-first.ts';
import { validate } from './config-validator.ts';
import { renewSettings } from './former-words.ts';

const CONFIG_FILE = 'offramp.config.json';

type Settings = Readonly<Record<string, unknown>>;
/** What of the schema of an option, or of a command's section, is read here. */
interface Described {
  readonly type?: unknown;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Described>>;
}
const PROPERTIES: Readonly<Record<string, Described>> = schema.properties;
const { $schema: _, ...SECTIONS_AND_SHARED } = PROPERTIES;

/** Options of each command that a file may set, by the words that call it: `compile`, `export triton`. */
export const COMMAND_OPTIONS: Readonly<Record<string, readonly string[]>> = Object.fromEntries(
  Object.entries(SECTIONS_AND_SHARED).flatMap(([name, rule]) =>
    rule.type === 'object' ? [[name, Object.keys(rule.properties!)]] : [],
  ),
);

/** What `option` of `command` is for, as its help says. */
export const describeOption = (command: string, option: string): string | undefined =>
  PROPERTIES[command]?.properties?.[option]?.description;

/** Options that are paths, or lists of them: relative ones are relative to the file. */
export const PATHS = [
  'train', 'validation', 'calibration', 'test', 'out', 'cache', 'tokenizer', 'labels', 'model', 'hf-config', 'external-data-folder', 'stub-only', 'metrics',
  'first', 'first-labels',
]; // biome-ignore format: a list
/** The same of a network in `first` that is an object. */
const PATHS_OF_NETWORK: readonly (keyof FirstOptions)[] = ['model', 'labels', 'externalDataFolder'];
/** What stands for no path there. */
const NO_PATH = /^(none|random(:\d+)?)$/;

/** The command that `words` call, the longest that they may mean. */
export function commandOf(words: readonly string[]): string | undefined {
  const isCommand = (name: string) => Object.hasOwn(COMMAND_OPTIONS, name);
  const named = words.flatMap((word, i) => [`${word} ${words[i + 1]}`, word]);
  return named.find(isCommand);
}

/**
 * What the file that `words` name by --config, or offramp.config.json in the working directory, says for the command that they call: its own
 * section before what all share. Throws `config-missing`, `bad-option`, `bad-config` and `unknown-setting`.
 */
export function settingsFor(words: readonly string[]): Settings {
  const given: unknown = Parser([...words], { string: ['config'] }).config;
  if (given === '') throw configMissing('--config');
  if (Array.isArray(given)) throw badOption('--config', given.join(','), 'it once: a file with options');
  const path = resolve(typeof given === 'string' ? given : CONFIG_FILE);
  if (!existsSync(path)) {
    if (given !== undefined) throw configMissing(path);
    return {};
  }
  const { $schema: _, ...settings } = readConfig(path);
  const command = commandOf(words);
  if (command === undefined) return {};
  const known = COMMAND_OPTIONS[command]!;
  const shared = Object.fromEntries(Object.entries(settings).filter(([name]) => known.includes(name)));
  return fromFolder(dirname(path), { ...shared, ...(settings[command] as Settings | undefined) });
}

function readConfig(path: string): Settings {
  let value: unknown;
  try {
    value = parseJson(decodeText(readFileSync(path)));
  } catch (error) {
    throw badConfig(path, 'the file', `is not JSON: ${messageOf(error)}`);
  }
  if (value !== null && typeof value === 'object' && !Array.isArray(value)) value = renewSettings(value);
  const violation = findViolation(value, validate);
  if (!violation) return value as Settings;
  const { where, problem, isUnknownKey } = violation;
  if (!isUnknownKey) throw badConfig(path, where, problem);
  const [name, ...places] = where.split('.').reverse() as [string, ...string[]];
  const known = places[0]?.startsWith('first[') ? Object.keys(FIRST) : namesIn(places[0]);
  const section = places.at(-1);
  throw unknownSetting(
    path,
    where,
    nearest(name, known),
    section?.startsWith('first[') ? undefined : section,
  );
}

const namesIn = (section: string | undefined) =>
  section === undefined ? Object.keys(PROPERTIES) : COMMAND_OPTIONS[section]!;

function fromFolder(folder: string, settings: Settings): Settings {
  const place = (path: unknown): unknown =>
    typeof path === 'string' && !NO_PATH.test(path) ? resolve(folder, path) : path;
  const placeIn = (network: object) => {
    const paths = new Set<string>(PATHS_OF_NETWORK);
    return mapValues(network, (value, name) => (paths.has(name) ? place(value) : value));
  };
  return mapValues(settings, (value, name) => {
    if (!PATHS.includes(name)) return value;
    // Read as on the command line, where a comma stands between two paths unless a backslash is before it.
    if (name === 'first')
      return wordsIn(value).map((one) => (isNetwork(one) ? placeIn(one) : escaped(String(place(one)))));
    return Array.isArray(value) ? value.map(place) : place(value);
  });
}

const isNetwork = (one: unknown): one is object => typeof one === 'object' && one !== null;
const escaped = (path: string) => path.replace(/[\\,]/g, '\\$&');

const mapValues = (values: object, map: (value: unknown, name: string) => unknown): Settings =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, map(value, name)]));
