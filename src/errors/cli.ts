/** Of what was asked for. */
import { OfframpError, shown } from './offramp-error.ts';
import { option, optionText } from './option.ts';

export const configMissing = (path: string) =>
  new OfframpError(
    'config-missing',
    `there is no settings file ${path}`,
    'Give the path of a JSON file, or leave --config out: offramp.config.json here is found by itself.',
  );

const CONFIG_HINT = "Option names are the command line's; the file's schema is schema/config.schema.json.";

export const badConfig = (path: string, where: string, problem: string) =>
  new OfframpError('bad-config', `${path}: ${where} ${problem}`, CONFIG_HINT);

export const unknownSetting = (
  path: string,
  name: string,
  near: string | undefined,
  command: string | undefined,
) =>
  new OfframpError(
    'unknown-setting',
    `${path}: there is no setting ${name}`,
    near === undefined
      ? `See npx onnx-offramp ${command === undefined ? '' : `${command} `}--help. ${CONFIG_HINT}`
      : `Did you mean ${near}?`,
  );

export const badUsage = (problem: string, near: string | undefined, command: string | undefined) =>
  new OfframpError(
    'bad-usage',
    problem,
    `${near === undefined ? '' : `Did you mean ${near}? `}See npx onnx-offramp ${command === undefined ? '' : `${command} `}--help.`,
  );

/** `isSplit`: what `split` wrote lies there. */
export const notAPackage = (folder: string, isSplit = false) =>
  new OfframpError(
    'not-a-package',
    `${folder} ${folder.endsWith('.onnx') ? 'is a file' : isSplit ? 'is a split, and no package itself' : 'holds no manifest.json'}`,
    isSplit
      ? 'Its halves are client/, a package of its own, and server/, for servers and `export kserve`. All else takes the folder that `npx onnx-offramp compile` wrote.'
      : 'Give the folder that `npx onnx-offramp compile` wrote.',
  );

export const notComparable = (a: string, b: string, problem: string, hint: string) =>
  new OfframpError('not-comparable', `${a} and ${b} cannot be compared: ${problem}`, hint);

export const unusableHeads = (file: string, problem: string) =>
  new OfframpError(
    'unusable-heads',
    `${file} ${problem}`,
    'Put back the file that compile wrote, or compile the model again: the heads are needed as they were trained.',
  );

export const packageIsChain = (folder: string, networks: number) =>
  new OfframpError(
    'package-is-chain',
    `${folder} is a chain of ${networks} networks itself`,
    `Give its networks one by one, in their order: ${option('first')} takes an ONNX file, or a package of one network, for each.`,
  );

export const packageWithoutHeads = (folder: string, file: string) =>
  new OfframpError(
    'package-without-heads',
    `the exits in ${folder} came with the model, so the package keeps no heads of its own`,
    `Give the ONNX file itself, ${file}: its last output then answers as a network of the chain.`,
  );

export const otherModel = (path: string, folder: string, sha256: string) =>
  new OfframpError(
    'other-model',
    `${path} is not the model that ${folder} was compiled from`,
    `Give the original, unchanged, with its external data beside it: its sha256 is ${sha256}.`,
  );

export const originalMissing = (folder: string, point: string) =>
  new OfframpError(
    'original-missing',
    `the thresholds of ${point} are not built into ${folder}/model.onnx, and the original to build them into was not given`,
    "Give it with `model`, or compile with `thresholds: 'baked'`.",
  );

export const cannotBatch = (output: string, dims: readonly number[]) =>
  new OfframpError(
    'cannot-batch',
    `output ${output} is declared as ${shown(dims)}: its first dimension is not the batch, and Triton batches no such model`,
    'Export the original with a dynamic batch axis on its outputs too, and compile it again.',
  );

export const calibrationDataMissing = () =>
  new OfframpError(
    'calibration-data-missing',
    'no calibration data was given',
    'Give `calibration`; or `train`, when compile cut the calibration data off it.',
  );

export const badLabelsFile = (path: string, problem: string, classes: number) =>
  new OfframpError(
    'bad-labels',
    `labels file ${path}: ${problem}`,
    `Write ${classes} class names, one a line or as a JSON list, in UTF-8.`,
  );

export const unknownPoint = (name: string, names: readonly string[]) =>
  new OfframpError(
    'unknown-operating-point',
    `there is no operating point ${name}`,
    `There are ${names.join(', ')}.`,
  );

export const pointNotBuiltIn = (name: string, folder: string, builtIn: string) =>
  new OfframpError(
    'point-not-built-in',
    `${folder} has the thresholds of ${builtIn} built in, so ${name} cannot be run`,
    `Leave ${option('at')} out, or build ${name} in: \`npx onnx-offramp calibrate\` with ${optionText('at', name)}; with ${optionText('thresholds', 'input')} all points are in one model.`,
  );

/** `broken`: what was measured beyond a bound, each with the bound. */
/** `costs`: some of what is broken is a cost or a latency; `loses`: some is an accuracy, an agreement or a drop. */
export const gateFailed = (broken: readonly string[], { costs, loses }: { costs: boolean; loses: boolean }) =>
  new OfframpError(
    'gate-failed',
    broken.join('; '),
    `${[
      ...(loses ? [`Take a point that loses less (${optionText('at', 'accurate')})`] : []),
      ...(costs ? [`Take a cheaper point (${optionText('at', 'fast')})`] : []),
    ].join(', or: ')}, have \`npx onnx-offramp calibrate\` make one, or loosen the bound.`,
  );

/** `where`: of which point, or of which model. */
export const notMeasured = (bound: string, where: string) =>
  new OfframpError(
    'not-measured',
    `${where} has nothing to hold against ${bound}: it was not measured`,
    'Accuracy and drop need labels: without them there is agreement. What is relative to the original needs a package whose thresholds are an input.',
  );

/** `losses`: what the compile warned of. */
export const namesBroken = (losses: string) =>
  new OfframpError(
    'names-broken',
    losses,
    'What was written stays, to be looked at. Asked less strictly, this is a warning.',
  );

/** `never`: what the compile warned of. */
export const ofNoUse = (never: string) =>
  new OfframpError(
    'never-pays',
    never,
    'What was written stays, to be looked at. Asked less strictly, this is a warning.',
  );

export const badOption = (option: string, value: string, expected: string, near?: string) =>
  new OfframpError(
    'bad-option',
    `${option} ${value} is not valid`,
    `Give ${expected}.${near === undefined ? '' : ` Did you mean ${near}?`}`,
  );

export const unknownOption = (name: string, near: string | undefined, known: readonly string[]) =>
  new OfframpError(
    'bad-option',
    `there is no option ${name}`,
    near === undefined ? `There are ${known.join(', ')}.` : `Did you mean ${near}?`,
  );

export const emittedModelDiffers = (problem: string) =>
  new OfframpError(
    'emitted-model-differs',
    `the emitted model does not do what heads and policy do by hand: ${problem}`,
    'Nothing was written. This is a bug in Offramp or in ONNX Runtime: please report it with the model.',
  );

export const notPrinted = (reason: string, cause: unknown) =>
  new OfframpError(
    'not-printed',
    `the result could not be printed: ${reason}`,
    'Send it to a place with room. Files that the command writes are there, whole.',
    { cause },
  );
