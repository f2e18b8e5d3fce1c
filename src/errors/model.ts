/** Of models that Offramp cannot take: their inputs, their batch, their opset. */
import { OfframpError } from './offramp-error.ts';
import { option, optionFields } from './option.ts';

export const noSampleInput = () =>
  new OfframpError(
    'no-sample-input',
    "none of the model's inputs has a batch axis, so nothing carries a sample",
    'Export the model with the batch as the first axis of its inputs.',
  );

/** `places`: e.g. `axis 1 of ids (sequence)`; `names`: what `dims` calls them. */
export const unknownInputDims = (places: readonly string[], names: readonly string[]) =>
  new OfframpError(
    'unknown-input-dim',
    `the model does not say how large ${places.join(', ')} ${places.length === 1 ? 'is' : 'are'}`,
    `Give it: ${optionFields(
      'dims',
      names.map((name) => [name, 'SIZE']),
    )}.`,
  );

export const unknownDim = (name: string, names: readonly string[]) =>
  new OfframpError(
    'unknown-dim',
    `${option('dims')}: no input has a dimension ${name}`,
    names.length > 0 ? `There are ${names.join(', ')}.` : 'Leave it out: every size is in the model.',
  );

export const inputShapeUnknown = (input: string, isTensor: boolean) =>
  new OfframpError(
    'input-shape-unknown',
    isTensor
      ? `input ${input}: the model does not say how many axes it has`
      : `input ${input} is not a tensor`,
    isTensor
      ? 'Export the model with the shapes of its inputs; sizes in them may be symbolic.'
      : 'Export the model with tensors alone as its inputs.',
  );

export const unknownInput = (input: string, inputs: readonly string[]) =>
  new OfframpError(
    'unknown-input',
    `${option('set')}: the model has no input ${input}`,
    `It has ${inputs.join(', ')}.`,
  );

export const badInputValue = (input: string, type: string, problem: string) =>
  new OfframpError(
    'bad-input-value',
    `${option('set')} of ${input}: ${problem}`,
    `It is ${type}: give one number for all of it, or as many as it has elements, separated by commas.`,
  );

/** `inputs`: name, type and shape of each, e.g. `temperature float []`. */
export const inputsNotPerSample = (inputs: readonly string[], names: readonly string[]) =>
  new OfframpError(
    'input-not-per-sample',
    `${inputs.join(', ')}: not an input for each sample, so data cannot fill it`,
    `Give its value, which becomes a constant of the model: ${optionFields(
      'set',
      names.map((name) => [name, 'VALUE']),
    )}.`,
  );

export const fixedBatchTooLarge = (input: string, batch: number) =>
  new OfframpError(
    'fixed-batch',
    `input ${input}: the batch size is fixed at ${batch}`,
    'Export the model with a dynamic batch axis, or with batch size 1.',
  );

/** `inputs` and `outputs`: names and shapes, e.g. `image [224, 224, 3]`. */
export const noBatchAxis = (inputs: readonly string[], outputs: readonly string[]) =>
  new OfframpError(
    'no-batch-axis',
    `the model takes one sample without a batch axis: ${inputs.join(', ')} gives ${outputs.join(', ')}, a row for nothing in the first axis`,
    'Export it with the batch as first axis of inputs and outputs, of any size (N) or of 1.',
  );

export const batchNotWidened = (problem: string, cause?: unknown) =>
  new OfframpError(
    'batch-not-widened',
    `the model takes one sample at a time, and could not be made to take more: ${problem}`,
    'Leave `widenBatch` out: the early-exit model then takes one sample at a time too. Or export it with a dynamic batch.',
    { cause },
  );

export const unsupportedInputType = (input: string, dataType: string) =>
  new OfframpError(
    'unsupported-input-type',
    `input ${input}: elements of type ${dataType} are not supported`,
    'Export the model with float, double, float16, int64, int32, uint8, int8 or bool there; an input that is the same for all samples can be given once: `set: { NAME: VALUE }`.',
  );

/** `how`: what mixes samples, and where; `remedy`: a sentence. */
export const samplesNotIndependent = (output: string, how: string, remedy: string) =>
  new OfframpError(
    'samples-not-independent',
    `output ${output}: a sample's scores depend on the samples beside it: ${how}`,
    `Early exits regroup a batch, so the model must treat samples independently. ${remedy}`,
  );

/** `how`: what draws, and where. */
export const notDeterministic = (output: string, how: string) =>
  new OfframpError(
    'not-deterministic',
    `output ${output}: ${how}, so a sample gets other scores each time`,
    'Export the model in evaluation mode (PyTorch: model.eval(), and no training=TrainingMode.TRAINING), or without that operator.',
  );

export const trialRunFailed = (feeds: readonly string[], reason: string, cause: unknown) =>
  new OfframpError(
    'trial-run-failed',
    `ONNX Runtime could not run the model on random input (${feeds.join(', ')}): ${reason}`,
    'Floats were in [-1, 1), integers 0 or 1. If sizes must be others, give them: `dims: { NAME: SIZE }`. If an input takes only certain values, give it one: `set: { NAME: VALUE }`.',
    { cause },
  );

/** What raises an opset outside of Offramp. */
const raiseOutside = (to: number) =>
  `Re-export it, or raise it: python -m onnxruntime.tools.update_onnx_opset --opset ${Math.max(13, to)} in.onnx out.onnx.`;

/** `seconds`: that were waited. */
export const modelEndless = (loop: string, seconds: number) =>
  new OfframpError(
    'model-endless',
    `the model did not answer a few random samples in ${seconds} seconds: its Loop ${loop} may never end`,
    'Export it with loops that end after a fixed number of turns, or unrolled. If it is only slow, give smaller sizes: `dims: { NAME: SIZE }`.',
  );

export const opsetTooOld = (
  opset: number,
  needed = 'exits inside a batch need 11 or more (ScatterND, GatherND)',
) => new OfframpError('opset-too-old', `the model's opset is ${opset}; ${needed}`, raiseOutside(13));

/** `where`: the node. */
export const cannotRaiseOpset = (opset: number, to: number, where: string, why: string) =>
  new OfframpError(
    'cannot-raise-opset',
    `the model's opset is ${opset}, and Offramp cannot raise it to ${to}: ${why} (${where})`,
    raiseOutside(to),
  );

/** `reason`: ONNX Runtime's, which names the node. */
export const raisedNotImplemented = (opset: string, to: string, reason: string) =>
  new OfframpError(
    'cannot-raise-opset',
    `the model's opset is ${opset}, and raised to ${to} it does not run: ${reason}`,
    `ONNX Runtime lacks that operator in the newer form: export the network that has opset ${to} with an older one.`,
  );

/** `opset`, `to`: versions; of another domain with its name, e.g. `ai.onnx.ml 1`. */
export const raisedModelDiffers = (opset: string, to: string, problem: string) =>
  new OfframpError(
    'raised-model-differs',
    `the model's opset is ${opset}; raised to ${to}, it does not do what it did: ${problem}`,
    `${raiseOutside(Number.parseInt(to, 10) || 13)} This is a bug in Offramp: please report it with the model.`,
  );

/** Of two networks that go into one file. */
export const opsetsDiffer = (lower: Versioned, higher: Versioned, most: number) =>
  new OfframpError(
    'opsets-differ',
    `one file has one opset, and ${lower.name} has ${lower.version}, ${higher.name} ${higher.version}: Offramp raises to ${most} at most`,
    `Export ${higher.name} with opset ${most} or lower (above it, the WebGPU backend of browsers has no If), or both with ${higher.version}.`,
  );

/** As `opsetsDiffer`, of the operators of `domain`; `why`: what keeps the lower from being raised. */
export const domainVersionsDiffer = (domain: string, lower: Versioned, higher: Versioned, why: string) =>
  new OfframpError(
    'opsets-differ',
    `one file has one version of ${domain}, and ${lower.name} has ${lower.version}, ${higher.name} ${higher.version}: ${why}`,
    `Export both with the same version of ${domain}.`,
  );

interface Versioned {
  readonly name: string;
  readonly version: number;
}

const RENAME =
  "Rename it, in Python: onnx.save(onnx.compose.add_prefix(onnx.load('in.onnx'), 'original_'), 'out.onnx').";

export const nameTaken = (name: string) =>
  new OfframpError(
    'name-taken',
    `the model already has an input or output named ${name}, as the early-exit model's own is called`,
    RENAME,
  );

export const nameUnusable = (name: string) =>
  new OfframpError(
    'name-unusable',
    `the model has an input or output named ${name}, which no object of JavaScript can hold: ONNX Runtime's API loses it`,
    RENAME,
  );

export const exitsNotRemovable = (problem: string, cause?: unknown) =>
  new OfframpError(
    'exits-not-removable',
    `the exits cannot be taken out of this model again: ${problem}`,
    'Give the ONNX file that was compiled, or compile it again with this version of Offramp.',
    { cause },
  );

export const alreadyCompiled = () =>
  new OfframpError(
    'already-compiled',
    'this model was compiled by Offramp: it has early exits already',
    'Give the original; for other thresholds, `npx onnx-offramp calibrate` the folder that compile wrote.',
  );
