/** What the commands can be told: words to values, and groups of options that commands share. */
import type { Argv } from 'yargs';
import { badOption, type OfframpError } from '../errors.ts';
import { HEAD_KINDS, type HeadKind } from '../passes/exits.ts';
import { PLACEMENTS } from '../passes/plan-exits.ts';
import { POLICY_NAMES } from '../policies/index.ts';

/** yargs rewraps what a coercion throws, so the coded error waits here for `fail`. */
let refused: OfframpError | undefined;
export const refusal = (): OfframpError | undefined => refused;
function refuse(option: string, value: string, expected: string): OfframpError {
  refused = badOption(option, value, expected);
  return refused;
}

const numbers =
  (name: string, expected = 'numbers, separated by commas') =>
  (value: unknown) => {
    const list = [value]
      .flat()
      .flatMap((v) => String(v).split(','))
      .map((v) => Number(v.trim()));
    if (list.some((v) => !Number.isFinite(v))) throw refuse(`--${name}`, String(value), expected);
    return list;
  };
export const words = (value: unknown) =>
  [value]
    .flat()
    .flatMap((v) => String(v).split(','))
    .map((v) => v.trim());
const headKinds = (value: unknown) => {
  const odd = words(value).find((word) => !(HEAD_KINDS as readonly string[]).includes(word));
  if (odd !== undefined) throw refuse('--head', odd, HEAD_KINDS.join(', '));
  return words(value) as HeadKind[];
};
export const file =
  (name: string, what = 'a file') =>
  (value: unknown) => {
    if (typeof value !== 'string' || value === '') throw refuse(`--${name}`, String(value), what);
    return value;
  };
const BUDGETS = 'shares of the original such as 0.6, or times such as 3ms, separated by commas';

/** `0.6,3ms`: costs relative to the original, and milliseconds. */
const budgets = (value: unknown) => {
  const all = words(value);
  const isTime = (word: string) => word.endsWith('ms');
  return {
    budgets: numbers('budget', BUDGETS)(all.filter((word) => !isTime(word))),
    budgetsMs: numbers('budget', BUDGETS)(all.filter(isTime).map((word) => word.slice(0, -'ms'.length))),
  };
};
/** `8GB`, `500MB` or bytes. */
export const size = (name: string) => (value: unknown) => {
  const match = /^([\d.]+)\s*([KMGT]?)B?$/i.exec(String(value));
  if (!match) throw refuse(`--${name}`, String(value), 'a size such as 8GB or 500MB');
  return Number(match[1]) * 1000 ** ['', 'K', 'M', 'G', 'T'].indexOf(match[2]!.toUpperCase());
};
const settings = (value: unknown): Record<string, number> =>
  Object.fromEntries(
    words(value).map((pair) => {
      const [key, number] = pair.split('=');
      if (!key || !(Number(number) > 0)) throw refuse('--dim', pair, 'NAME=SIZE');
      return [key, Number(number)];
    }),
  );

export const externalData = <T>(y: Argv<T>) =>
  y.option('external-data-folder', {
    type: 'string',
    describe: "folder that the model's external data lie in (default: its own)",
  });

export const modelOptions = <T>(y: Argv<T>) =>
  externalData(y)
    .option('output', {
      type: 'string',
      describe:
        'output with the class scores, when there are several; or a value inside the model, to be given instead',
    })
    .option('widen-batch', {
      type: 'boolean',
      describe: 'make a model that takes one sample at a time take any number, if that proves right',
    })
    .option('dim', { describe: 'size of a symbolic dimension, NAME=SIZE', coerce: settings })
    .option('exits', { type: 'number', describe: 'how many exits (default: as many of 3 as fit)' })
    .option('placement', { choices: PLACEMENTS, default: 'spread' as const, describe: 'where exits go' })
    .option('taps', { coerce: words, describe: 'explicit taps by value name, instead of --placement' })
    .option('exit-outputs', {
      coerce: words,
      describe: 'outputs of a model that has exits already, earliest first, its own last: trains nothing',
    })
    .option('head', {
      coerce: headKinds,
      defaultDescription: 'token at tokens, else strided',
      describe: `branch family, or one an exit: ${HEAD_KINDS.join(', ')}`,
    });

export const dataOptions = <T>(y: Argv<T>) =>
  y
    .option('preset', {
      choices: ['imagenet', 'cifar10', 'mnist', 'unit', 'none'] as const,
      describe: 'usual preprocessing',
    })
    .option('scale', { type: 'number', describe: 'pixels are divided by this first, e.g. 255' })
    .option('mean', { coerce: numbers('mean'), describe: 'then this is subtracted, one value a channel' })
    .option('std', { coerce: numbers('std'), describe: 'then divided by this' })
    .option('layout', { choices: ['NCHW', 'NHWC', 'flat'] as const, describe: "axes of the model's input" })
    .option('channels', {
      choices: ['rgb', 'bgr', 'gray'] as const,
      describe: "colour order of the model's input",
    })
    .option('resize', {
      choices: ['stretch', 'cover', 'contain'] as const,
      describe: 'fit pictures of another size',
    })
    .option('skip-bad', {
      type: 'boolean',
      default: false,
      describe: 'leave unreadable pictures out instead of stopping',
    });

export const tokenizer = <T>(y: Argv<T>) =>
  y.option('tokenizer', {
    coerce: file('tokenizer'),
    describe: "the model's tokenizer.json, where data are text",
  });

/** How samples are read, besides preprocessing. */
export const sampleOptions = <T>(y: Argv<T>) =>
  tokenizer(y).option('labels', {
    coerce: file('labels'),
    describe: 'text file, one class name a line; or none: nothing is labelled',
  });

export const unlabelled = { choices: ['none'] as const, describe: 'none: nothing is labelled' };
export const samplesARun = { type: 'number', default: 32, describe: 'samples a run' } as const;

/** The same, of a model whose classes and preprocessing are known. */
export const samplesAgainOptions = <T>(y: Argv<T>) =>
  tokenizer(y)
    .option('labels', unlabelled)
    .option('skip-bad', { type: 'boolean', default: false, describe: 'leave unreadable pictures out' });

/** How models are run. */
export const machineOptions = <T>(y: Argv<T>) =>
  y
    .option('cache', {
      type: 'string',
      describe: 'folder for decoded data and features (default: ~/.cache/offramp)',
    })
    .option('threads', { type: 'number', describe: 'threads of ONNX Runtime (default: all cores)' })
    .option('provider', {
      coerce: file('provider', 'an execution provider'),
      describe: "ONNX Runtime's execution provider: cpu, webgpu, cuda, … (default: cpu)",
    });

/** What heads are trained from, and which features of it they read: the same for `compile` and `features`. */
export const projectOptions = <T>(y: Argv<T>) =>
  machineOptions(sampleOptions(dataOptions(modelOptions(modelFile(y)))))
    .option('train', {
      type: 'string',
      describe: 'image folder, CIFAR, Parquet, JSONL, IDX, npz, npy or random: fits the heads',
    })
    .option('validation', { type: 'string', describe: 'fits the confidence heads' })
    .option('calibration', { type: 'string', describe: 'chooses thresholds' })
    .option('test', { type: 'string', describe: 'only reported' })
    .option('views', {
      type: 'number',
      describe:
        'cached views of each training picture: 1 plain, 2 mirrored too, up to 6 shifted too (default: 2)',
    })
    .option('seed', { type: 'number', default: 1 });

export const runOptions = <T>(y: Argv<T>) =>
  y
    .option('force', { type: 'boolean', default: false, describe: 'replace what is in --out' })
    .option('report', { type: 'boolean', default: true, describe: 'report.html, to look at; --no-report' })
    .option('prove', {
      choices: ['some', 'all'] as const,
      default: 'some' as const,
      describe: 'how many reported samples the emitted model is checked on',
    });

/** Without defaults of their own: `calibrate` leaves what is not said as it was. */
export const thresholdOptions = <T>(y: Argv<T>) =>
  y
    .option('policy', {
      choices: [...POLICY_NAMES, 'auto'] as const,
      describe: 'what makes a sample leave; auto compares all of them',
    })
    .option('target', { choices: ['accuracy', 'agreement'] as const, describe: 'what thresholds preserve' })
    .option('last', {
      choices: ['original', 'joined'] as const,
      describe:
        'who answers samples that go all the way: the original, or joined by the open exits (default: joined where --policy auto is for accuracy)',
    })
    .option('budget', {
      coerce: budgets,
      describe: 'average cost relative to the original, e.g. 0.6, or average time on this machine, e.g. 3ms',
    })
    .option('min-accuracy', {
      coerce: numbers('min-accuracy'),
      describe: 'least accuracy on the calibration data, e.g. 0.92',
    })
    .option('max-accuracy-drop', {
      coerce: numbers('max-accuracy-drop'),
      describe: 'e.g. 0.005 for half a point',
    })
    .option('confidence', {
      type: 'number',
      describe: 'promise every --max-accuracy-drop with this probability, e.g. 0.95',
    })
    .option('thresholds', {
      choices: ['input', 'baked'] as const,
      describe: 'an input of the model, or built in',
    })
    .option('at', { type: 'string', describe: 'operating point by default, and the one to bake' });

export const shared = <T>(y: Argv<T>) =>
  y
    .option('json', { type: 'boolean', default: false, describe: 'machine-readable result on stdout' })
    .option('quiet', { alias: 'q', type: 'boolean', default: false, describe: 'no progress' });

export const modelFile = <T>(y: Argv<T>) =>
  y.positional('model', { type: 'string', demandOption: true, describe: 'ONNX file' });

export const packageFolder = <T>(y: Argv<T>) =>
  y.positional('package', { type: 'string', demandOption: true, describe: 'folder that compile wrote' });

/** The options of thresholds by the names that the compiler has for them. */
export const thresholdsAsked = ({ budget, minAccuracy, maxAccuracyDrop }: ThresholdArguments) => ({
  ...budget,
  minAccuracies: minAccuracy,
  maxAccuracyDrops: maxAccuracyDrop,
});

interface ThresholdArguments {
  readonly budget: ReturnType<typeof budgets> | undefined;
  readonly minAccuracy: number[] | undefined;
  readonly maxAccuracyDrop: number[] | undefined;
}
