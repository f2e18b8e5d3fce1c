/** What an option may be: checked as a value of the API, and read from words of the command line or values of the settings file. */
import { badOption, option, unknownOption } from '../errors/index.ts';
import { nearest } from '../errors/nearest.ts';

export interface Rule<T = unknown> {
  /** Ends the sentence "Give …". */
  readonly wanted: string;
  readonly accepts: (value: unknown) => value is T;
  /** The value that words of a command line stand for, one word or a list of them; what stands for nothing is returned as it is. */
  readonly read: (given: unknown) => unknown;
  /** Of a settings file, as JSON Schema. */
  readonly schema: object;
  /** All values, where they are words. */
  readonly choices?: readonly T[];
  /** Several words may be given. */
  readonly isList?: true;
  /** Of a list: the first that is not accepted. */
  readonly firstBad?: (values: unknown) => unknown;
  readonly isRequired?: true;
}

/** The rules of a function's options, by name. */
export type Rules<O> = { readonly [K in keyof Required<O>]: Rule<Exclude<O[K], undefined>> };

interface Range {
  readonly atLeast?: number;
  readonly atMost?: number;
  /** Exclusive bounds. */
  readonly above?: number;
  readonly below?: number;
}

const asIs = (given: unknown) => given;

function inRange(value: number, { atLeast, atMost, above, below }: Range): boolean {
  return (
    value >= (atLeast ?? Number.NEGATIVE_INFINITY) &&
    value <= (atMost ?? Number.POSITIVE_INFINITY) &&
    value > (above ?? Number.NEGATIVE_INFINITY) &&
    value < (below ?? Number.POSITIVE_INFINITY)
  );
}

/** ` from 1 to 6`, ` above 0 and below 1` */
function formatRange({ atLeast, atMost, above, below }: Range): string {
  const bounds = [
    ...(atLeast === undefined ? [] : [`from ${atLeast}${atMost === undefined ? ' on' : ` to ${atMost}`}`]),
    ...(above === undefined ? [] : [`above ${above}`]),
    ...(below === undefined ? [] : [`below ${below}`]),
  ];
  return bounds.length === 0 ? '' : ` ${bounds.join(' and ')}`;
}

function numberRule(what: string, type: string, isOne: (value: unknown) => boolean, range: Range) {
  const { atLeast, atMost, above, below } = range;
  return {
    wanted: `${what}${formatRange(range)}`,
    accepts: (value: unknown): value is number =>
      typeof value === 'number' && isOne(value) && inRange(value, range),
    read: (given: unknown) => (typeof given === 'string' && given.trim() !== '' ? Number(given) : given),
    schema: {
      type,
      ...(atLeast !== undefined && { minimum: atLeast }),
      ...(atMost !== undefined && { maximum: atMost }),
      ...(above !== undefined && { exclusiveMinimum: above }),
      ...(below !== undefined && { exclusiveMaximum: below }),
    },
  };
}

export const integer = (range: Range = {}): Rule<number> =>
  numberRule('a whole number', 'integer', Number.isSafeInteger, range);

export const number = (range: Range = {}): Rule<number> =>
  numberRule('a number', 'number', Number.isFinite, range);

/** Text that is not empty, and of the form of `pattern`, which is what `T` may be. */
export const text = <T extends string = string>(wanted: string, pattern: RegExp = /^/): Rule<T> => ({
  wanted,
  accepts: (value): value is T => typeof value === 'string' && value !== '' && pattern.test(value),
  read: asIs,
  schema: { type: 'string' },
});

export const flag: Rule<boolean> = {
  wanted: 'true or false',
  accepts: (value): value is boolean => typeof value === 'boolean',
  read: asIs,
  schema: { type: 'boolean' },
};

export const oneOf = <T extends string>(choices: readonly T[]): Rule<T> => ({
  wanted: choices.join(', ').replace(/, ([^,]*)$/, ' or $1'),
  accepts: (value): value is T => choices.includes(value as T),
  read: asIs,
  schema: { enum: choices },
  choices,
});

export const oneNumberOf = <T extends number>(choices: readonly T[]): Rule<T> => ({
  wanted: choices.join(', ').replace(/, ([^,]*)$/, ' or $1'),
  accepts: (value): value is T => choices.includes(value as T),
  read: integer().read,
  schema: { type: 'integer', enum: choices },
});

/** How a settings file may give a list: like the command line, or as one. */
export const LIST = { type: ['string', 'number', 'array'], items: { type: ['string', 'number'] } };

/** Of lists: texts are split at commas. */
export const wordsIn = (given: unknown): unknown[] =>
  [given].flat().flatMap((one) => (typeof one === 'string' ? split(one) : [one]));

/** Words between commas; in a word a comma has a backslash before it, and so may a backslash. */
function split(text: string): string[] {
  const words = [''];
  for (const piece of text.match(/\\[\\,]|./gs) ?? []) {
    if (piece === ',') words.push('');
    else words.push(`${words.pop()}${piece.length === 2 ? piece[1] : piece}`);
  }
  return words.map((word) => word.trim());
}

export const listOf = <T>(rule: Rule<T>, { atLeast = 0, atMost = Number.POSITIVE_INFINITY } = {}) =>
  ({
    wanted: `${rule.wanted}; several as a list, separated by commas on the command line`,
    accepts: (value): value is readonly T[] =>
      Array.isArray(value) &&
      value.length >= atLeast &&
      value.length <= atMost &&
      [...value].every(rule.accepts),
    read: (given) => wordsIn(given).map(rule.read),
    schema: LIST,
    isList: true,
    firstBad: (values) => (Array.isArray(values) ? values.find((value) => !rule.accepts(value)) : undefined),
  }) satisfies Rule<readonly T[]>;

/** Networks, each a path or an object with options of its own, `rules`, which are checked by themselves (`checkOptions`). */
export function networks<O extends { readonly model: string }>(
  rules: Rules<O> & { readonly model: Rule<string> },
): Rule<readonly (string | O)[]> {
  const { model } = rules;
  const each = Object.entries(rules as Readonly<Record<string, Rule>>);
  const list = listOf<string | O>(
    {
      ...model,
      wanted: `${model.wanted}, or an object with it as model and with its preprocessing`,
      accepts: (value): value is string | O => model.accepts(value) || isObject(value),
      read: (given) =>
        isObject(given)
          ? Object.fromEntries(
              Object.entries(given).map(([name, value]) => [
                name,
                (rules as Readonly<Record<string, Rule>>)[name]?.read(value) ?? value,
              ]),
            )
          : given,
    },
    { atLeast: 1 },
  );
  const items = {
    type: ['string', 'object'],
    properties: Object.fromEntries(each.map(([name, rule]) => [name, rule.schema])),
    required: ['model'],
    additionalProperties: false,
  };
  return { ...list, schema: { type: ['string', 'array'], items } };
}

/** One for each network: each time that the option is given, what `rule` says. */
export const eachOf = <T>(rule: Rule<T>): Rule<readonly T[]> => ({
  wanted: `${rule.wanted}; once for each network`,
  accepts: (value): value is readonly T[] => Array.isArray(value) && value.every(rule.accepts),
  read: (given) => [given].flat().map(rule.read),
  schema: LIST,
  isList: true,
  ...(rule.choices && { choices: rule.choices as never }),
});

/** One for all, or a list. */
export const oneOrListOf = <T>(rule: Rule<T>): Rule<T | readonly T[]> => {
  const list = listOf(rule, { atLeast: 1 });
  const accepts = (value: unknown): value is T | readonly T[] => rule.accepts(value) || list.accepts(value);
  return { ...list, accepts };
};

/** Whole numbers from 1 on by name; on the command line `NAME=SIZE`. */
export const sizes: Rule<Readonly<Record<string, number>>> = {
  wanted: 'NAME=SIZE, each name once, a whole number from 1 on (in the API an object)',
  accepts: (value): value is Readonly<Record<string, number>> =>
    isObject(value) && Object.entries(value).every(([name, size]) => name !== '' && isSize(size)),
  read: (given) => {
    const pairs = wordsIn(given).map((word) => {
      const [, name, size] = /^(.+)=(\d+)$/s.exec(String(word)) ?? [];
      return [name, Number(size)] as const;
    });
    const names = new Set(pairs.map(([name]) => name));
    return names.has(undefined) || names.size < pairs.length ? given : Object.fromEntries(pairs);
  },
  schema: LIST,
  isList: true,
};

const isNumbers = (value: unknown) =>
  [value].flat().every(Number.isFinite) && !(Array.isArray(value) && value.length === 0);

/** A number, or one for each element, by name; on the command line `NAME=VALUE` or `NAME=V1,V2,…`, once a name; true and false are 1 and 0. */
export const inputValues: Rule<Readonly<Record<string, number | readonly number[]>>> = {
  wanted: 'NAME=VALUE, or NAME=V1,V2,… for each element, each name once (in the API an object)',
  accepts: (value): value is Readonly<Record<string, number | readonly number[]>> =>
    isObject(value) && Object.entries(value).every(([name, numbers]) => name !== '' && isNumbers(numbers)),
  read: (given) => {
    const pairs = [given].flat().flatMap((word) => {
      // `a=1,b=2` is two, `x,y=0.5` one: a name may hold a comma.
      const apart = String(word)
        .split(/,(?=[^,=]+=)/)
        .map(namedNumbers);
      return apart.every(([name, numbers]) => name !== undefined && isNumbers(numbers))
        ? apart
        : [namedNumbers(String(word))];
    });
    const names = new Set(pairs.map(([name]) => name));
    return names.has(undefined) || names.size < pairs.length ? given : Object.fromEntries(pairs);
  },
  schema: LIST,
  isList: true,
};

/** Of `NAME=V1,V2,…`; no name where it is none. */
function namedNumbers(word: string): readonly [name: string | undefined, numbers: number[]] {
  const [, name, list = ''] = /^(.+)=([^=]*)$/s.exec(word) ?? [];
  return [name, list.split(',').map((text) => ({ true: 1, false: 0 })[text.trim()] ?? numberIn(text))];
}

const numberIn = (text: string) => (text.trim() === '' ? Number.NaN : Number(text));

const isSize = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 1;

/** A number of bytes; on the command line also `8GB`. */
export const bytes: Rule<number> = {
  ...number({ atLeast: 0 }),
  wanted: 'a size such as 8GB or 500MB, or a number of bytes',
  read: (given) => {
    const [, size, unit] = /^(\d+(?:\.\d+)?)\s*([KMGT]?)B?$/i.exec(String(given)) ?? [];
    if (size === undefined) return given;
    return Math.round(Number(size) * 1000 ** ['', 'K', 'M', 'G', 'T'].indexOf(unit!.toUpperCase()));
  },
  schema: { type: ['string', 'number'] },
};

/** An object with options of its own. */
export const optionsOf = <O extends object>(rules: Rules<O>): Rule<O> => ({
  wanted: `an object with ${Object.keys(rules).join(', ')}`,
  accepts: (value): value is O =>
    isObject(value) &&
    Object.entries(value).every(
      ([name, one]) =>
        one === undefined ||
        (Object.hasOwn(rules, name) && (rules as Record<string, Rule>)[name]!.accepts(one)),
    ),
  read: asIs,
  schema: { type: 'object' },
});

export const callback = <F extends (...given: never[]) => void>(): Rule<F> => ({
  wanted: 'a function',
  accepts: (value): value is F => typeof value === 'function',
  read: asIs,
  schema: {},
});

export const abortSignal: Rule<AbortSignal> = {
  wanted: 'an AbortSignal',
  accepts: (value): value is AbortSignal =>
    isObject(value) && typeof (value as unknown as AbortSignal).throwIfAborted === 'function',
  read: asIs,
  schema: {},
};

export const required = <T>(rule: Rule<T>): Rule<T> => ({ ...rule, isRequired: true });

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Throws `bad-option` unless `options` are what `rules` say; what is undefined counts as left out. `place`: what options are of, for errors. */
export function checkOptions(rules: Readonly<Record<string, Rule>>, options: unknown, place = ''): void {
  if (!isObject(options)) throw badOption('options', shown(options), 'an object');
  for (const [name, value] of Object.entries(options))
    if (value !== undefined && !Object.hasOwn(rules, name))
      throw unknownOption(place + name, nearest(name, Object.keys(rules)), Object.keys(rules));
  for (const [name, rule] of Object.entries(rules)) {
    const value = options[name];
    if (value === undefined ? rule.isRequired : !rule.accepts(value))
      throw badOption(option(place + name), shown(value), rule.wanted, nearChoice(rule, value));
  }
}

/** The choice of `rule` that `value` is most likely a slip of. */
export const nearChoice = ({ choices }: Rule, value: unknown): string | undefined =>
  choices && typeof value === 'string' ? nearest(value, choices as readonly string[]) : undefined;

/** As JavaScript writes it, where JSON can. */
export function shown(value: unknown): string {
  const isPlain = typeof value === 'string' || (typeof value === 'object' && value !== null);
  try {
    return isPlain ? JSON.stringify(value) : String(value);
  } catch {
    return String(value);
  }
}
