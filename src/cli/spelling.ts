/** How options of the API are spelled on the command line. */
import { COMMAND_OPTIONS } from './config.ts';

/** `batch-size` → `batchSize` */
export type CamelCase<S extends string> = S extends `${infer A}-${infer B}`
  ? `${A}${Capitalize<CamelCase<B>>}`
  : S;
export const camelCase = (name: string) => name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());

/** Those that are more than the API's name with hyphens. */
const FLAGS = new Map([
  ['dims', 'dim'],
  ['budgets', 'budget'],
  ['budgetsMs', 'budget'],
  ['minAccuracies', 'min-accuracy'],
  ['maxAccuracyDrops', 'max-accuracy-drop'],
]);
const flagOf = (name: string) =>
  FLAGS.get(name) ?? name.replace('[].', '-').replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`);

/** `text`, a message in which options are named as in the API (`errors/option.ts`), with flags in their place: `first[].preset` is `--first-preset`. */
export const withFlags = (text: string): string =>
  text.replace(/`((?:first\[\]\.)?[A-Za-z]+)(?:: ([^`]+))?`/g, (whole, name: string, value?: string) => {
    const flag = flagOf(name);
    return isFlag(flag) ? wordsFor(flag, value) : whole;
  });

const isFlag = (flag: string) => Object.values(COMMAND_OPTIONS).some((known) => known.includes(flag));

/** `'none'` → `--labels none`, `{ height: 1, width: 1 }` → `--dim height=1 --dim width=1`, `['a', 'b']` → `--exit-outputs a,b` */
function wordsFor(flag: string, value = 'true'): string {
  if (value === 'true') return `--${flag}`;
  if (value === 'false') return `--no-${flag}`;
  const list = /^\[(.*)\]$/s.exec(value)?.[1];
  if (list !== undefined) return `--${flag} ${list.split(', ').map(unquoted).join(',')}`;
  const fields = /^\{ (.*) \}$/s.exec(value)?.[1]?.split(', ') ?? [];
  if (fields.length > 0)
    return fields.map((field) => `--${flag} ${field.replace(/^'?(.*?)'?: /s, '$1=')}`).join(' ');
  return `--${flag} ${unquoted(value)}`;
}

const unquoted = (value: string) => value.replace(/^'(.*)'$/s, '$1');
