/**
 * Every option of every function that `import 'onnx-offramp'` gives, by the command that calls it: what it may be, for callers of the API
 * and for the command line, whose names differ in a few places (`cli/options.ts`). Rules look at one option; what options say of each other
 * is checked where they are used, and here where one leaves another nothing to say.
 */

import type { ThresholdOptions } from '../calibrate/goals.ts';
import { PRESETS, type PreprocessingOptions, type Preset } from '../data/index.ts';
import { RESAMPLES } from '../data/resample.ts';
import type { SplitPaths } from '../data/splits.ts';
import type { Resize } from '../data/types.ts';
import type { Events } from '../errors/events.ts';
import { badOption, OfframpError, option } from '../errors/index.ts';
import type { KubernetesJobOptions } from '../export/kubernetes-job.ts';
import { DTYPES } from '../hub/folder.ts';
import type { ModelOptions } from '../model/inspect.ts';
import type { FirstOptions } from '../networks/open-first.ts';
import type { SessionOptions } from '../ort/session.ts';
import { HEAD_KINDS } from '../passes/exits.ts';
import { RUNTIMES } from '../passes/place-weights.ts';
import { PLACEMENTS } from '../passes/plan-exits.ts';
import { POLICY_NAMES, type PolicyName } from '../policies/index.ts';
import { AUGMENTS } from '../students/augment.ts';
import { EFFORTS } from '../students/effort.ts';
import { EXIT_LOSSES } from '../students/exit-losses.ts';
import { TEACHERS } from '../students/picture-source.ts';
import { FAMILIES } from '../students/student.ts';
import { RECIPES } from '../train/recipes.ts';
import type { MergeOptions, Shard } from '../train/shards.ts';
import { MOST_VIEWS } from '../train/views.ts';
import type { BakeOptions } from './bake.ts';
import type { CalibrateOptions } from './calibrate.ts';
import type { CompareOptions } from './compare.ts';
import type { CompileOptions } from './compile.ts';
import type { EmitOptions } from './emit.ts';
import type { EvaluateOptions } from './evaluate.ts';
import type { ExportKserveOptions } from './export-kserve.ts';
import type { ExportOnnxOptions } from './export-onnx.ts';
import type { ExportTransformersOptions } from './export-transformers.ts';
import type { ExportTritonOptions } from './export-triton.ts';
import type { ExtractShardOptions } from './extract-shard.ts';
import { type GrowthOptions, OF_STUDENTS, wantedGrowth } from './growth.ts';
import { asksForExits, PLACES, TRAINING } from './head-options.ts';
import type { HubModelOptions } from './hub-model.ts';
import type { InspectOptions } from './inspect.ts';
import {
  abortSignal,
  bytes,
  callback,
  checkOptions,
  flag,
  inputValues,
  integer,
  listOf,
  networks,
  number,
  oneNumberOf,
  oneOf,
  oneOrListOf,
  optionsOf,
  type Rule,
  type Rules,
  required,
  shown,
  sizes,
  text,
} from './option-rules.ts';
import type { ProjectOptions } from './project.ts';
import { BITS, SENDS, type SplitOptions } from './split-options.ts';

const atLeastOne = integer({ atLeast: 1 });
const samples = text('where the samples are');
const folder = text('a folder');
const model = text('an ONNX file, or a folder with one');
const share = number({ above: 0, below: 1 });
const pointNames = text('the name of an operating point');
const none = { ...oneOf(['none'] as const), wanted: 'the word none, or leave it out' };

/** ONNX Runtime starts as many as it is told, and hangs on thousands. */
const threads = integer({ atLeast: 1, atMost: 256 });

const MACHINE = {
  threads,
  provider: text('an execution provider, such as cpu or webgpu'),
  cache: folder,
};

/** How a model is read. */
const READING = {
  output: text('the name of an output'),
  dims: sizes,
  set: inputValues,
};

/** Of a model that may be a folder. */
const HUB = {
  dtype: oneOf(DTYPES),
  hfConfig: listOf(text('a config file of the model, or a folder with some'), { atLeast: 1 }),
} satisfies Rules<HubModelOptions>;

const INSPECTED = {
  ...READING,
  ...HUB,
  model: required(model),
  externalDataFolder: folder,
  widenBatch: flag,
  exits: atLeastOne,
  placement: oneOf(PLACEMENTS),
  taps: listOf(text('the name of a value'), { atLeast: 1 }),
  exitOutputs: listOf(text('the name of an output'), { atLeast: 1 }),
} satisfies Rules<Omit<ModelOptions, 'session'> & HubModelOptions>;

const HEAD = oneOrListOf(oneOf(HEAD_KINDS));

/** How images are fitted. */
const resizing = text<Resize>(
  'stretch, cover, contain, or a size to cut the centre from, such as shortest:256 or 256x256',
  /^(stretch|cover|contain|(shortest|longest):[1-9]\d{0,4}|[1-9]\d{0,4}x[1-9]\d{0,4})$/,
);

const PREPROCESSING = {
  preset: oneOf(Object.keys(PRESETS) as Preset[]),
  scale: number({ above: 0 }),
  rescale: number({ above: 0 }),
  mean: listOf(number(), { atLeast: 1 }),
  std: listOf(number({ above: 0 }), { atLeast: 1 }),
  layout: oneOf(['NCHW', 'NHWC', 'flat'] as const),
  channels: oneOf(['rgb', 'bgr', 'gray'] as const),
  resize: resizing,
  resample: oneOf(RESAMPLES),
} satisfies Rules<PreprocessingOptions>;

const SPLIT_PATHS = {
  train: samples,
  validation: samples,
  calibration: samples,
  test: samples,
} satisfies Rules<SplitPaths>;

/** Of a network in front of the original. */
export const FIRST = {
  ...READING,
  ...PREPROCESSING,
  model: required(text('an ONNX file, its folder, or one that compile wrote')),
  externalDataFolder: folder,
  size: oneOrListOf(atLeastOne),
  labels: text('a file of class names'),
} satisfies Rules<FirstOptions>;

const TOKENIZER = text('a tokenizer.json');

const PROJECT = {
  ...INSPECTED,
  ...SPLIT_PATHS,
  ...PREPROCESSING,
  ...MACHINE,
  first: networks<FirstOptions>(FIRST),
  labels: text('a file of class names, or none'),
  tokenizer: TOKENIZER,
  head: HEAD,
  seed: integer(),
  skipBad: flag,
} satisfies Rules<ProjectOptions>;

const THRESHOLDS = {
  policy: oneOf<PolicyName | 'auto'>([...POLICY_NAMES, 'auto']),
  target: oneOf(['accuracy', 'agreement'] as const),
  final: oneOf(['original', 'ensembled'] as const),
  budgets: listOf(number({ above: 0 })),
  budgetsMs: listOf(number({ above: 0 })),
  minAccuracies: listOf(share),
  maxAccuracyDrops: listOf(number({ atLeast: 0, below: 1 })),
  confidence: share,
  thresholds: oneOf(['input', 'baked'] as const),
  at: pointNames,
} satisfies Rules<ThresholdOptions>;

/** As npm takes them. */
const PACKAGE_NAME = /^(?=.{1,214}$)(@[a-z0-9~-][a-z0-9._~-]*\/)?[a-z0-9~-][a-z0-9._~-]*$/;

const WRITING = {
  force: flag,
  verify: oneOf(['some', 'all'] as const),
  report: flag,
  timing: flag,
};

const STUDENTS = {
  student: listOf(number({ above: 0, below: 1 }), { atLeast: 1 }),
  effort: oneOf(EFFORTS),
  studentFamily: oneOf(FAMILIES),
  studentExits: atLeastOne,
  studentLoss: oneOf(EXIT_LOSSES),
  studentEpochs: atLeastOne,
  augment: oneOf(AUGMENTS),
  teacher: oneOf(TEACHERS),
  maxMinutes: number({ above: 0 }),
  steps: atLeastOne,
  cacheLimit: bytes,
} satisfies Rules<GrowthOptions>;

const COMPILE = {
  ...PROJECT,
  ...THRESHOLDS,
  ...WRITING,
  keepAll: flag,
  name: text('a name of an npm package, such as my-net or @me/my-net', PACKAGE_NAME),
  runtime: oneOf(RUNTIMES),
  out: required(folder),
  views: integer({ atLeast: 1, atMost: MOST_VIEWS }),
  features: folder,
  recipe: oneOf(RECIPES),
  lambda: number({ atLeast: 0 }),
  survivors: flag,
  epochs: atLeastOne,
  batch: atLeastOne,
  learningRate: number({ above: 0 }),
  ...STUDENTS,
} satisfies Rules<CompileOptions>;

/** Of runs of a compiled model. */
const AGAIN = {
  ...MACHINE,
  labels: none,
  tokenizer: TOKENIZER,
  skipBad: flag,
};

const { provider: _, ...AGAIN_ON_CPU } = AGAIN;

/** As Triton takes them. */
const servedName = text('letters, digits, - and _', /^[A-Za-z0-9_-]+$/);

const BAKE = {
  folder: required(folder),
  model,
  first: PROJECT.first,
  externalDataFolder: folder,
  at: pointNames,
} satisfies Rules<BakeOptions>;

/** As Kubernetes writes quantities. */
const CPU = text('cores, such as 2 or 1500m', /^(?=.*[1-9])\d+(\.\d+)?m?$/);
const MEMORY = text('bytes, such as 4Gi', /^[1-9]\d*([kMGT]|[KMGT]i)?$/);

const shard: Rule<Shard> = {
  wanted: '{ index, count }, whole numbers, index from 1 to count',
  accepts: (value): value is Shard => {
    const { index, count } = (value ?? {}) as Partial<Shard>;
    return integer({ atLeast: 1 }).accepts(count) && integer({ atLeast: 1, atMost: count }).accepts(index);
  },
  read: (given) => given,
  schema: {},
};

export const OPTIONS = {
  /** Of `loadModel`. */
  load: { path: required(model), dataFolder: folder } satisfies Rules<{ path: string; dataFolder?: string }>,
  inspect: {
    ...INSPECTED,
    ...PREPROCESSING,
    first: PROJECT.first,
    head: HEAD,
    session: optionsOf<SessionOptions>({
      threads,
      parallelOps: atLeastOne,
      provider: MACHINE.provider,
      optimization: oneOf(['disabled', 'basic', 'extended', 'all'] as const),
      spinning: flag,
      externalDataFolder: folder,
    }),
  } satisfies Rules<InspectOptions>,
  compile: COMPILE,
  /** Of `planCompile`: a folder to write need not be known. */
  plan: { ...COMPILE, out: folder },
  features: {
    ...PROJECT,
    out: required(folder),
    shard,
    views: COMPILE.views,
  } satisfies Rules<ExtractShardOptions>,
  'features merge': {
    folder: required(folder),
    onProgress: callback(),
    onNote: callback(),
    signal: abortSignal,
  } satisfies Rules<MergeOptions & { folder: string }>,
  calibrate: {
    ...SPLIT_PATHS,
    ...THRESHOLDS,
    ...WRITING,
    ...AGAIN,
    folder: required(folder),
    model: required(model),
    first: PROJECT.first,
    externalDataFolder: folder,
    out: folder,
  } satisfies Rules<CalibrateOptions>,
  evaluate: {
    ...AGAIN,
    folder: required(folder),
    test: required(samples),
    at: listOf(pointNames, { atLeast: 1 }),
    batch: atLeastOne,
  } satisfies Rules<EvaluateOptions>,
  compare: {
    ...AGAIN,
    ...PREPROCESSING,
    ...READING,
    a: required(text('a folder that compile wrote, or an ONNX file')),
    b: required(text('a folder that compile wrote, or an ONNX file')),
    test: required(samples),
    at: listOf(pointNames, { atLeast: 1, atMost: 2 }),
    batch: atLeastOne,
  } satisfies Rules<CompareOptions>,
  split: {
    ...AGAIN_ON_CPU,
    folder: required(folder),
    model: required(model),
    first: PROJECT.first,
    externalDataFolder: folder,
    out: required(folder),
    after: text('the id of an exit, such as exit_1'),
    at: listOf(pointNames, { atLeast: 1 }),
    bits: oneNumberOf(BITS),
    send: oneOf(SENDS),
    calibration: samples,
    test: samples,
    name: servedName,
    force: flag,
  } satisfies Rules<SplitOptions>,
  emit: { folder: required(folder), check: flag, stubOnly: text('a file') } satisfies Rules<EmitOptions>,
  'export transformers': {
    ...BAKE,
    out: required(folder),
    hfConfig: HUB.hfConfig,
    force: flag,
  } satisfies Rules<ExportTransformersOptions>,
  'export onnx': { ...BAKE, file: required(text('a file')), force: flag } satisfies Rules<ExportOnnxOptions>,
  'export triton': {
    ...BAKE,
    repository: required(folder),
    name: servedName,
    maxBatch: atLeastOne,
    perNetwork: flag,
    instances: atLeastOne,
    threads,
    force: flag,
  } satisfies Rules<ExportTritonOptions>,
  'export kserve': {
    ...BAKE,
    out: required(folder),
    storage: required(
      text(
        'where the cluster finds the models, such as s3://bucket/models or pvc://claim/models',
        /^[a-z][a-z0-9+.-]*:\/\/\S+$/,
      ),
    ),
    service: text('lower-case letters, digits and -, a letter first', /^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/),
    name: servedName,
    maxBatch: atLeastOne,
    instances: atLeastOne,
    threads,
    cpu: CPU,
    memory: MEMORY,
    minReplicas: integer({ atLeast: 0 }),
    maxReplicas: atLeastOne,
    force: flag,
  } satisfies Rules<ExportKserveOptions>,
  'export k8s': {
    words: required(listOf(text('what `features` is told'))),
    shards: required(atLeastOne),
    image: required(text('an image')),
    claim: required(text('the name of a claim', /^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$/)),
    mount: text('an absolute path without a colon', /^\/[^:]*$/),
    name: text('lower-case letters, digits and -, a letter first', /^[a-z]([-a-z0-9]*[a-z0-9])?$/),
    cpu: CPU,
    memory: MEMORY,
    gpus: integer({ atLeast: 0 }),
    parallelism: atLeastOne,
    retries: integer({ atLeast: 0 }),
  } satisfies Rules<KubernetesJobOptions>,
} as const;

const EVENTS = { onProgress: callback(), onNote: callback(), signal: abortSignal } satisfies Rules<Events>;

type Compile = keyof typeof COMPILE;

/** Options of a compile that others leave nothing to say. */
function refuseUnused(options: Partial<CompileOptions>): void {
  const refuse = (names: readonly Compile[], why: string) => {
    const name = names.find((one) => options[one] !== undefined && options[one] !== false);
    if (name !== undefined) throw badOption(option(name), shown(options[name]), why);
  };
  const isOurs = options.recipe === undefined || options.recipe === 'distill';
  if (options.exitOutputs)
    refuse(
      ['taps', ...PLACES, ...TRAINING, 'cacheLimit'],
      'it without `exitOutputs`: those exits are in place and trained',
    );
  const growth = wantedGrowth(options);
  if (options.effort === 'low')
    refuse(['student', ...OF_STUDENTS], "it without `effort: 'low'`, which grows no student");
  const isChain = growth || options.first?.length;
  if (isChain && !options.exitOutputs && !asksForExits(options))
    refuse(
      TRAINING,
      'it with `exits`, `placement` or `taps`: beside other networks heads are trained only where these ask for them',
    );
  if ((options.studentExits ?? 1) === 1) refuse(['studentLoss'], 'it with `studentExits` of 2 or more');
  if (isOurs) refuse(['lambda'], "it with `recipe: 'pteenet-v1'` or `recipe: 'pteenet-v2'`");
  else refuse(['survivors'], "it with `recipe: 'distill'`");
}

/** Two ways to say where exits are. */
function refusePlaces(options: Partial<CompileOptions>): void {
  const placed = options.taps && PLACES.find((name) => options[name] !== undefined);
  if (placed)
    throw badOption(option(placed), String(options[placed]), 'it without `taps`, which are all the exits');
}

/** Two ways to say one number. */
function refuseTwice({ scale, rescale }: PreprocessingOptions): void {
  if (scale !== undefined && rescale !== undefined)
    throw badOption(option('rescale'), String(rescale), 'it without `scale`: it stands in its place');
}

/**
 * What `work` of `command`, which runs a compiled model, gives. An error whose remedy is an option that only compile has says that too: what a
 * package was compiled with cannot be said later.
 */
export async function withRemedies<T>(command: keyof typeof OPTIONS, work: () => Promise<T>): Promise<T> {
  const own: Readonly<Record<string, Rule>> = OPTIONS[command];
  const isElsewhere = ([, name = '', text]: RegExpExecArray) => {
    const rule = Object.hasOwn(own, name) ? own[name] : undefined;
    return Object.hasOwn(COMPILE, name) && (!rule || (text !== undefined && !rule.accepts(text)));
  };
  return await work().catch((error: unknown) => {
    if (error instanceof OfframpError && [...error.hint.matchAll(NAMED)].some(isElsewhere))
      error.hint += ' That is said when the model is compiled: compile it again.';
    throw error;
  });
}

/** `` `resize` ``, or with a text as the value, `` `labels: 'names.txt'` `` (`errors/option.ts`). */
const NAMED = /`([A-Za-z]+)(?:: '([^'`]*)'|: [^'`]+)?`/g;

/** Throws `bad-option` where `options` or `events` of the function that `name` calls are not what they may be. To be called before anything else. */
export function checkCall(name: keyof typeof OPTIONS, options: unknown, events: unknown = {}): void {
  checkOptions(OPTIONS[name], options);
  checkOptions(EVENTS, events);
  const { first = [] } = options as { readonly first?: readonly unknown[] };
  for (const [n, one] of first.entries())
    if (typeof one === 'object') checkOptions(FIRST, one, `first[${n}].`);
  refuseTwice(options as PreprocessingOptions);
  refusePlaces(options as Partial<CompileOptions>);
  if (name === 'compile' || name === 'plan') refuseUnused(options as Partial<CompileOptions>);
}
