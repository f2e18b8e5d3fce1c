/** Groups of options that several commands have. */
import type { Argv } from 'yargs';
import { OPTIONS } from '../commands/options.ts';
import { HEAD_KINDS } from '../passes/exits.ts';
import { EFFORT } from '../students/effort.ts';
import { from, type Help, place } from './yargs-options.ts';

export const externalData = <T>(y: Argv<T>) =>
  y.options(
    from('compile', {
      'external-data-folder': "folder that the model's external data lie in (default: its own)",
    }),
  );

/** How a model is read: which output, and sizes and values of its inputs. */
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
      dtype: { describe: 'which ONNX file of a folder', defaultDescription: 'fp32' },
      'hf-config':
        "config.json, preprocessor_config.json or tokenizer.json, where they do not lie in the model's folder",
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

/** What the numbers of the model's input are. */
export const preprocessingOptions = <T>(y: Argv<T>) =>
  y.options(
    from('compile', {
      preset: 'usual preprocessing',
      scale: 'pixels are divided by this first, e.g. 255',
      rescale: 'in place of --scale: multiplied by this and rounded to float32, as Hugging Face does',
      mean: 'then this is subtracted, one value a channel',
      std: 'then divided by this',
      layout: "axes of the model's input",
      channels: "colour order of the model's input",
      resize:
        'fit pictures of another size: stretch, cover, contain; or cut the centre from shortest:256 or 256x256',
      resample: { describe: 'how their pixels are made', defaultDescription: 'bilinear' },
    }),
  );

export const dataOptions = <T>(y: Argv<T>) =>
  preprocessingOptions(y).options(
    from('compile', { 'skip-bad': 'leave unreadable pictures out instead of stopping' }),
  );

const FIRST = {
  first:
    'an ONNX file, its folder, or one that compile wrote; once for each network, in order: samples leave where one is sure',
  'first-preset': 'usual preprocessing of the k-th network (default: that of the model)',
  'first-scale': 'pixels are divided by this first',
  'first-rescale': 'in place of --first-scale: multiplied by this',
  'first-mean': 'then this is subtracted, one value a channel',
  'first-std': 'then divided by this',
  'first-layout': 'axes of its input',
  'first-channels': 'colour order of its input',
  'first-resize': 'how pictures of another shape fit it',
  'first-resample': 'how their pixels are made',
  'first-size': 'height and width of the pictures that it is given, where it takes any',
  'first-output': 'its output with the class scores, when there are several',
  'first-labels': 'text file, one class name a line, in the order of its outputs',
} as const;

/** Networks in front of the model; help shows them together. */
export const firstOptions = <T>(y: Argv<T>) =>
  y
    .options(from('compile', FIRST))
    .group(
      Object.keys(FIRST),
      'Networks in front of the model (--first-… once for each --first, or not at all):',
    );

const STUDENTS = {
  effort:
    'how much is grown: low (heads alone), medium (one student), high (two, trained for longer); default: medium, where nothing is said of heads or of other networks',
  student: "a student of this share of the model's MACs, e.g. 0.1; several times: several",
  'student-family':
    'what students look like (default: wide for pictures, bag for texts; of very small models the next that is small enough)',
  'student-exits': {
    describe: 'answers that each student gives on its way, its end included, trained together',
    defaultDescription: '1',
  },
  'student-loss': {
    describe: 'the loss that they are trained under',
    defaultDescription: 'branchynet',
  },
  'student-epochs': `passes over the samples (default: ${EFFORT.medium.epochs}, with --effort high ${EFFORT.high.epochs})`,
  augment: 'how training pictures are varied (default: as the data allow)',
  teacher: {
    describe: 'whether the model answers plain and mirrored pictures once, or every view anew',
    defaultDescription: 'cached',
  },
  'max-minutes': 'each student is trained for so long at most; the manifest says at which step it ended',
  steps: 'each student is trained for so many steps at most',
} as const;

/** Networks that Offramp grows; help shows them together. */
export const studentOptions = <T>(y: Argv<T>) =>
  y
    .options(from('compile', STUDENTS))
    .group(Object.keys(STUDENTS), 'Students, small networks that are grown in front of the model:');

export const tokenizer = <T>(y: Argv<T>) =>
  y.options(from('compile', { tokenizer: "the model's tokenizer.json, where data are text" }));

/** How samples are read, besides preprocessing. */
const sampleOptions = <T>(y: Argv<T>) =>
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
  firstOptions(machineOptions(sampleOptions(dataOptions(modelOptions(modelFile(y)))))).options(
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

/** Figures for other tools. */
export const METRICS = 'write figures into this file, as flat JSON';

export const runOptions = <T>(y: Argv<T>) =>
  y.options(
    from('compile', {
      metrics: METRICS,
      strict:
        'end with 1 when a named point loses more on the test samples than its name says, or when none is cheaper than the original',
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

/** `defaults`: of `compile`; `calibrate` keeps what is not given. */
export const thresholdOptions = <T>(y: Argv<T>, defaults: Readonly<Record<string, string>> = {}) => {
  const described = (name: string, describe: string): Help =>
    defaults[name] === undefined ? { describe } : { describe, defaultDescription: defaults[name] };
  return y.options(
    from('compile', {
      policy: described('policy', 'what makes a sample leave; auto compares all of them'),
      target: described('target', 'what thresholds preserve'),
      final:
        'who answers samples that go all the way: the original, or the original ensembled with the open exits (default: ensembled for accuracy where --policy is auto, or in a chain)',
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
      quiet: { alias: 'q', describe: 'no progress and no notes; warnings stay' },
    }),
  );

export const modelFile = <T>(y: Argv<T>) =>
  y.positional(
    'model',
    place('model', OPTIONS.compile.model, 'ONNX file, or a folder with one and its config files'),
  );

export const packageFolder = <T>(y: Argv<T>) =>
  y.positional('package', place('package', OPTIONS.evaluate.folder, 'folder that compile wrote'));
