/** offramp.config.json: options in a file, for every command that has them or for one. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { Parser } from 'yargs/helpers';
import schema from '../../schema/config.schema.json' with { type: 'json' };
import { findViolation } from '../emit/violation.ts';
import { badConfig, badOption, configMissing, messageOf, unknownSetting } from '../errors/index.ts';
import { nearest } from '../errors/nearest.ts';
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

/** Options that are paths: relative ones are relative to the file. */
export const PATHS = [
  'train', 'validation', 'calibration', 'test', 'out', 'cache', 'tokenizer', 'labels', 'model', 'external-data-folder', 'stub-only',
]; // biome-ignore format: a list
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
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw badConfig(path, 'the file', `is not JSON: ${messageOf(error)}`);
  }
  if (value !== null && typeof value === 'object' && !Array.isArray(value)) value = renewSettings(value);
  const violation = findViolation(value, validate);
  if (!violation) return value as Settings;
  const { where, problem, isUnknownKey } = violation;
  if (!isUnknownKey) throw badConfig(path, where, problem);
  const [section, name] = where.includes('.') ? where.split('.') : [undefined, where];
  const known = section === undefined ? Object.keys(PROPERTIES) : COMMAND_OPTIONS[section]!;
  throw unknownSetting(path, where, nearest(name!, known), section);
}

function fromFolder(folder: string, settings: Settings): Settings {
  const isPath = (name: string, value: unknown): value is string =>
    PATHS.includes(name) && typeof value === 'string' && !NO_PATH.test(value);
  return Object.fromEntries(
    Object.entries(settings).map(([name, value]) => [
      name,
      isPath(name, value) ? resolve(folder, value) : value,
    ]),
  );
}
