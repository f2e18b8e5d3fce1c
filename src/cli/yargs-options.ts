/** The rules of options as yargs takes them, and what yargs makes of the words as options of the API. */
import { eachOf, flag, integer, listOf, nearChoice, type Rule, text } from '../commands/option-rules.ts';
import { FIRST, OPTIONS } from '../commands/options.ts';
import { badOption, type OfframpError } from '../errors/index.ts';
import { bounds } from './gate.ts';
import { type CamelCase, camelCase } from './spelling.ts';

/** yargs rewraps what a coercion throws, so the coded error waits here for `fail`. */
let refused: OfframpError | undefined;
export const refusal = (): OfframpError | undefined => refused;

const { compile: COMPILE } = OPTIONS;

interface Budgets {
  readonly budgets: readonly number[];
  readonly budgetsMs: readonly number[];
}

/** `0.6,3ms`: costs relative to the original, and milliseconds. */
const budgets: Rule<Budgets> = {
  ...COMPILE.budgets,
  wanted: 'shares of the original such as 0.6, or times such as 3ms, above 0, separated by commas',
  accepts: (value): value is Budgets => {
    const { budgets, budgetsMs } = value as Record<string, unknown>;
    return COMPILE.budgets.accepts(budgets) && COMPILE.budgetsMs.accepts(budgetsMs);
  },
  read: (given) => {
    const words = listOf(text('')).read(given);
    const isTime = (word: unknown) => /ms$/.test(String(word));
    const all = (list: readonly unknown[], rule: Rule) => (list.length > 0 ? rule.read(list) : []);
    const times = words.filter(isTime).map((word) => String(word).slice(0, -'ms'.length));
    return {
      budgets: all(
        words.filter((word) => !isTime(word)),
        COMPILE.budgets,
      ),
      budgetsMs: all(times, COMPILE.budgetsMs),
    };
  },
};

/** Options that have another name in the API, or no place there in every command that has them. */
const OWN = {
  dim: COMPILE.dims,
  head: COMPILE.head,
  budget: budgets,
  'min-accuracy': COMPILE.minAccuracies,
  'max-accuracy-drop': COMPILE.maxAccuracyDrops,
  'first-preset': eachOf(FIRST.preset),
  'first-scale': eachOf(FIRST.scale),
  'first-mean': eachOf(FIRST.mean),
  'first-std': eachOf(FIRST.std),
  'first-layout': eachOf(FIRST.layout),
  'first-channels': eachOf(FIRST.channels),
  'first-rescale': eachOf(FIRST.rescale),
  'first-resize': eachOf(FIRST.resize),
  'first-resample': eachOf(FIRST.resample),
  'first-size': eachOf(FIRST.size),
  'first-output': eachOf(FIRST.output),
  'first-labels': eachOf(FIRST.labels),
  'dry-run': flag,
  'all-points': flag,
  'fail-if': bounds,
  metrics: text('a file'),
  strict: flag,
  all: flag,
  json: flag,
  quiet: flag,
  svg: text('a file'),
  out: text('a path'),
  shards: integer({ atLeast: 1 }),
  shard: text('i/n, such as 1/4 to 4/4'),
} satisfies Record<string, Rule>;

type Own = keyof typeof OWN;
export type Command = keyof typeof OPTIONS;

/** What `--<name>` of `command` may be; undefined when there is no such option. */
export function ruleOf(command: string, name: string): Rule | undefined {
  const api = new Map<string, Rule>(Object.entries(OPTIONS[command as Command] ?? {}));
  return new Map<string, Rule>(Object.entries(OWN)).get(name) ?? api.get(camelCase(name));
}

type RuleFor<C extends Command, N extends string> = N extends Own
  ? (typeof OWN)[N]
  : (typeof OPTIONS)[C][CamelCase<N> & keyof (typeof OPTIONS)[C]];
type ValueOf<R> = R extends { accepts: (value: unknown) => value is infer T } ? T : never;

/** What help says of an option. */
export interface Help {
  readonly describe: string;
  readonly alias?: string;
  readonly demandOption?: true;
  /** What holds when it is left out. Not a default of yargs': that would be taken for the value of an option that is given without one. */
  readonly defaultDescription?: string;
}

/** Only names that `command` has an option of. */
type Known<C extends Command, N> = N extends Own
  ? string | Help
  : N extends string
    ? CamelCase<N> extends keyof (typeof OPTIONS)[C]
      ? string | Help
      : never
    : never;

/** Options of `command` as yargs takes them, by name. */
export function from<C extends Command, const H extends { readonly [N in keyof H]: Known<C, N> }>(
  command: C,
  options: H,
) {
  const described = Object.entries<string | Help>(options).map(([name, help]) => {
    const rule = ruleOf(command, name)!;
    return [name, { ...(typeof help === 'string' ? { describe: help } : help), ...checked(name, rule) }];
  });
  return Object.fromEntries(described) as {
    [N in keyof H & string]: { coerce: (given: unknown) => ValueOf<RuleFor<C, N>> } & (H[N] extends {
      demandOption: true;
    }
      ? { demandOption: true }
      : unknown);
  };
}

/** An argument that is known by its place. */
export const place = <T>(name: string, rule: Rule<T>, describe: string) => ({
  ...{ describe, demandOption: true as const },
  ...checked(name, rule, `<${name}>`),
});

function checked<T>(name: string, rule: Rule<T>, shownAs = `--${name}`) {
  const { type } = rule.schema as { readonly type?: unknown };
  if (type === 'boolean') return { type, coerce: (given: unknown) => given as T } as const;
  return {
    // `type` is what help says; with `string` words stay as they were given.
    type: type === 'number' || type === 'integer' ? 'number' : 'string',
    string: true,
    ...(rule.choices && { choices: rule.choices as readonly string[] }),
    coerce: (given: unknown): T => {
      const isRepeated = Array.isArray(given) && !rule.isList;
      const value = rule.read(given);
      if (!isRepeated && rule.accepts(value)) return value;
      const wanted = isRepeated ? `it once: ${rule.wanted}` : rule.wanted;
      const bad = isRepeated ? undefined : rule.firstBad?.(value);
      const shown = typeof bad === 'string' && bad !== '' ? bad : String(given) || "''";
      refused = badOption(shownAs, shown, wanted, nearChoice(rule, given));
      throw refused;
    },
  } as const;
}
