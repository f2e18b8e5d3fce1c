/** What the commands can be told: how options of the API are spelled on the command line, and groups of options that commands share. */
import type { Argv } from 'yargs';
import { flag, integer, listOf, nearChoice, type Rule, text } from '../commands/option-rules.ts';
import { OPTIONS } from '../commands/options.ts';
import { badOption, type OfframpError } from '../errors/index.ts';
import { HEAD_KINDS } from '../passes/exits.ts';

/** yargs rewraps what a coercion throws, so the coded error waits here for `fail`. */
let refused: OfframpError | undefined;
export const refusal = (): OfframpError | undefined => refused;

const { compile: COMPILE } = OPTIONS;

/** `0.6,3ms`: costs relative to the original, and milliseconds. */
const budgets: Rule<{ readonly budgets: readonly number[]; readonly budgetsMs: readonly number[] }> = {
  ...COMPILE.budgets,
  wanted: 'shares of the original such as 0.6, or times such as 3ms, above 0, separated by commas',
  accepts: (value): value is never => {
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
  'dry-run': flag,
  'all-points': flag,
  all: flag,
  json: flag,
  quiet: flag,
  svg: text('a file'),
  out: text('a path'),
  shards: integer({ atLeast: 1 }),
  shard: text('i/n, such as 1/4 to 4/4'),
} satisfies Record<string, Rule>;

export type Command = keyof typeof OPTIONS;
/** `batch-size` → `batchSize` */
type CamelCase<S extends string> = S extends `${infer A}-${infer B}` ? `${A}${Capitalize<CamelCase<B>>}` : S;
const camelCase = (name: string) => name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());

/** What `--<name>` of `command` may be; undefined when there is no such option. */
export function ruleOf(command: string, name: string): Rule | undefined {
  const api = new Map<string, Rule>(Object.entries(OPTIONS[command as Command] ?? {}));
  return new Map<string, Rule>(Object.entries(OWN)).get(name) ?? api.get(camelCase(name));
}

type RuleFor<C extends Command, N extends string> = N extends keyof typeof OWN
  ? (typeof OWN)[N]
  : (typeof OPTIONS)[C][CamelCase<N> & keyof (typeof OPTIONS)[C]];
type ValueOf<R> = R extends { accepts: (value: unknown) => value is infer T } ? T : never;

interface Hints {
  readonly describe: string;
  readonly alias?: string;
  readonly demandOption?: true;
  /**
   * What holds when nothing is said. Not a default of yargs': that would be taken for the value of an option that is given without one.
   */
  readonly defaultDescription?: string;
}

/** What yargs is told of options of `command`: each by its name, with what help says of it. */
export function from<C extends Command, const H extends Readonly<Record<string, string | Hints>>>(
  command: C,
  options: H,
) {
  const asked = Object.entries(options).map(([name, hints]) => {
    const rule = ruleOf(command, name)!;
    return [name, { ...(typeof hints === 'string' ? { describe: hints } : hints), ...checked(name, rule) }];
  });
  return Object.fromEntries(asked) as {
    [N in keyof H & string]: { coerce: (given: unknown) => ValueOf<RuleFor<C, N>> };
  };
}

/** A word that is no option, but told by its place. */
export const place = <T>(name: string, rule: Rule<T>, describe: string) => ({
  ...{ describe, demandOption: true as const },
  ...checked(name, rule, `<${name}>`),
});

function checked<T>(name: string, rule: Rule<T>, told = `--${name}`) {
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
      refused = badOption(told, String(given) || "''", wanted, nearChoice(rule, given));
      throw refused;
    },
  } as const;
}

/** What of `args` are options of the API's function that `command` calls. */
export function asked<T>(command: Command, args: object): T {
  const known = Object.entries(args).filter(
    ([name, value]) => value !== undefined && Object.hasOwn(OPTIONS[command], name),
  );
  return Object.fromEntries(known) as T;
}

export const externalData = <T>(y: Argv<T>) =>
  y.options(
    from('compile', {
      'external-data-folder': "folder that the model's external data lie in (default: its own)",
    }),
  );

/** How a model is read: which output, and what is said of its inputs. */
export const readingOptions = <T>(y: Argv<T>) =>
  y.options(
    from('compile', {
      output: 'output with the class scores, when there are several',
      dim: 'size of a symbolic dimension, NAME=SIZE',
      set: 'value of an input that is not given with each sample, which becomes a constant, NAME=VALUE',
    }),
  );

export const modelOptions = <T>(y: Argv<T>) =>
  readingOptions(externalData(y)).options(
    from('compile', {
      'widen-batch': 'make a model that takes one sample at a time take any number, if that proves right',
      exits: 'how many exits (default: as many of 3 as fit)',
      placement: { describe: 'where exits go', defaultDescription: 'spread' },
      taps: 'explicit taps by value name, instead of --placement',
      'exit-outputs':
        'outputs of a model that has exits already, earliest first, its own last: trains nothing',
      head: {
        defaultDescription: 'token at tokens, else strided',
        describe: `branch family, or one an exit: ${HEAD_KINDS.join(', ')}`,
      },
    }),
  );

export const dataOptions = <T>(y: Argv<T>) =>
  y.options(
    from('compile', {
      preset: 'usual preprocessing',
      scale: 'pixels are divided by this first, e.g. 255',
      mean: 'then this is subtracted, one value a channel',
      std: 'then divided by this',
      layout: "axes of the model's input",
      channels: "colour order of the model's input",
      resize: 'fit pictures of another size',
      'skip-bad': 'leave unreadable pictures out instead of stopping',
    }),
  );

export const tokenizer = <T>(y: Argv<T>) =>
  y.options(from('compile', { tokenizer: "the model's tokenizer.json, where data are text" }));

/** How samples are read, besides preprocessing. */
export const sampleOptions = <T>(y: Argv<T>) =>
  tokenizer(y).options(
    from('compile', { labels: 'text file, one class name a line; or none: nothing is labelled' }),
  );

export const UNLABELLED = 'none: nothing is labelled';
export const SAMPLES_A_RUN = { describe: 'samples a run', defaultDescription: '32' } as const;

/** The same, of a model whose classes and preprocessing are known. */
export const samplesAgainOptions = <T>(y: Argv<T>) =>
  tokenizer(y).options(from('evaluate', { labels: UNLABELLED, 'skip-bad': 'leave unreadable pictures out' }));

/** How models are run. */
export const machineOptions = <T>(y: Argv<T>) =>
  y.options(
    from('compile', {
      cache: 'folder for decoded data and features (default: ~/.cache/offramp)',
      threads: 'threads of ONNX Runtime (default: all cores)',
      provider: "ONNX Runtime's execution provider: cpu, webgpu, cuda, … (default: cpu)",
    }),
  );

/** What heads are trained from, and which features of it they read: the same for `compile` and `features`. */
export const projectOptions = <T>(y: Argv<T>) =>
  machineOptions(sampleOptions(dataOptions(modelOptions(modelFile(y))))).options(
    from('compile', {
      train: 'image folder, CIFAR, Parquet, JSONL, IDX, npz, npy or random: fits the heads',
      validation: 'fits the confidence heads',
      calibration: 'chooses thresholds',
      test: 'only reported',
      views:
        'cached views of each training picture: 1 plain, 2 mirrored too, up to 6 shifted too (default: 2)',
      seed: { describe: 'of every random choice', defaultDescription: '1' },
    }),
  );

export const runOptions = <T>(y: Argv<T>) =>
  y.options(
    from('compile', {
      force: 'replace what is in --out',
      report: { describe: 'report.html, to look at; --no-report', defaultDescription: 'true' },
      timing: {
        describe: 'latencies; --no-timing: without them, and the same run writes the same bytes',
        defaultDescription: 'true',
      },
      verify: {
        describe: 'how many reported samples the emitted model is checked on',
        defaultDescription: 'some',
      },
    }),
  );

/** `defaults`: of `compile`; `calibrate` leaves what is not said as it was. */
export const thresholdOptions = <T>(y: Argv<T>, defaults: Readonly<Record<string, string>> = {}) => {
  const described = (name: string, describe: string): Hints =>
    defaults[name] === undefined ? { describe } : { describe, defaultDescription: defaults[name] };
  return y.options(
    from('compile', {
      policy: described('policy', 'what makes a sample leave; auto compares all of them'),
      target: described('target', 'what thresholds preserve'),
      final:
        'who answers samples that go all the way: the original, or the original ensembled with the open exits (default: ensembled where --policy auto is for accuracy)',
      budget: 'average cost relative to the original, e.g. 0.6, or average time on this machine, e.g. 3ms',
      'min-accuracy': 'least accuracy, e.g. 0.92',
      'max-accuracy-drop': 'largest loss of accuracy on new samples, e.g. 0.005 for half a point',
      confidence: 'promise every --max-accuracy-drop with this probability, e.g. 0.95',
      thresholds: described('thresholds', 'an input of the model, or built in'),
      at: described('at', 'operating point by default, and the one to bake'),
    }),
  );
};

export const shared = <T>(y: Argv<T>) =>
  y.options(
    from('compile', {
      json: 'machine-readable result on stdout',
      quiet: { alias: 'q', describe: 'no progress' },
    }),
  );

export const modelFile = <T>(y: Argv<T>) => y.positional('model', place('model', COMPILE.model, 'ONNX file'));

export const packageFolder = <T>(y: Argv<T>) =>
  y.positional('package', place('package', OPTIONS.evaluate.folder, 'folder that compile wrote'));

/** Options of thresholds and of dimensions by the names that the API has for them. */
export const renamed = ({ budget, minAccuracy, maxAccuracyDrop, dim }: Renamed) => ({
  ...budget,
  minAccuracies: minAccuracy,
  maxAccuracyDrops: maxAccuracyDrop,
  dims: dim,
});

interface Renamed {
  readonly budget?: ValueOf<typeof budgets> | undefined;
  readonly minAccuracy?: readonly number[] | undefined;
  readonly maxAccuracyDrop?: readonly number[] | undefined;
  readonly dim?: Readonly<Record<string, number>> | undefined;
}
