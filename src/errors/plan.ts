/** Of models that exits do not fit, or not as asked. */
import { OfframpError } from './offramp-error.ts';

export const noSampleInput = () =>
  new OfframpError(
    'no-sample-input',
    "none of the model's inputs has a batch axis, so nothing carries a sample",
    'Export the model with the batch as the first axis of its inputs.',
  );

export const bakedUnlabelled = () =>
  new OfframpError(
    'baked-unlabelled',
    "thresholds are built into the model, so it cannot give the original's own answers, and the data have no labels",
    'Give labelled data, or compile without --thresholds baked.',
  );

export const cannotCarry = (tap: string, reason: string) =>
  new OfframpError(
    'cannot-carry',
    `no exit can stand at ${tap}: ${reason}`,
    'Name others: --taps; `offramp inspect` lists them.',
  );

/** `places`: e.g. `axis 1 of ids (sequence)`; `names`: what `--dim` calls them. */
export const unknownInputDims = (places: readonly string[], names: readonly string[]) =>
  new OfframpError(
    'unknown-input-dim',
    `the model does not say how large ${places.join(', ')} ${places.length === 1 ? 'is' : 'are'}`,
    `Give it: --dim ${names.map((name) => `${name}=SIZE`).join(',')}.`,
  );

export const unknownDim = (name: string, names: readonly string[]) =>
  new OfframpError(
    'unknown-dim',
    `--dim ${name}: no input has a dimension of that name`,
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
    `--set ${input}: the model has no such input`,
    `It has ${inputs.join(', ')}.`,
  );

export const badInputValue = (input: string, type: string, problem: string) =>
  new OfframpError(
    'bad-input-value',
    `--set ${input}: ${problem}`,
    `It is ${type}: give one number for all of it, or as many as it has elements, separated by commas.`,
  );

/** `inputs`: name, type and shape of each, e.g. `temperature float []`. */
export const inputsNotPerSample = (inputs: readonly string[], names: readonly string[]) =>
  new OfframpError(
    'input-not-per-sample',
    `${inputs.join(', ')}: not an input for each sample, so data cannot fill it`,
    `Give its value, which becomes a constant of the model: ${names.map((name) => `--set ${name}=VALUE`).join(' ')}.`,
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
    'Leave --widen-batch out: the early-exit model then takes one sample at a time too. Or export it with a dynamic batch.',
    { cause },
  );

export const unsupportedInputType = (input: string, dataType: string) =>
  new OfframpError(
    'unsupported-input-type',
    `input ${input}: elements of type ${dataType} are not supported`,
    'Export the model with float, double, float16, int64, int32, uint8, int8 or bool there; an input that is the same for all samples can be given once: --set NAME=VALUE.',
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
    'Floats were in [-1, 1), integers 0 or 1. If sizes must be others, say them: --dim NAME=SIZE. If an input takes only certain values, give it one: --set NAME=VALUE.',
    { cause },
  );

/** How `no-class-scores` lists an output that is a map or a sequence. */
export const NOT_A_TENSOR = 'not a tensor';

export const noClassScores = (outputs: readonly string[]) =>
  new OfframpError(
    'no-class-scores',
    `no output is a float [N, classes]; found ${outputs.join('; ') || 'none'}`,
    outputs.some((output) => output.includes(NOT_A_TENSOR))
      ? "A map of probabilities is no tensor. From scikit-learn export with options={'zipmap': False}."
      : 'Offramp needs a classifier: one float score per class and sample. Export the scores as an output.',
  );

/** How to get at an inner value. */
const useInner = (value: string, output: string) =>
  `--output ${value} has the early-exit model give that value in place of ${output}`;

/** `input`: what the Sigmoid reads. */
export const severalLabels = (
  output: string,
  classes: number,
  { name, outputs }: { readonly name: string; readonly outputs: readonly string[] },
  input: string,
) =>
  new OfframpError(
    'several-labels',
    `output ${output} comes of a Sigmoid (${name || outputs[0]}) over ${classes} classes, each by itself: several may be right for a sample (multi-label)`,
    `Exits choose one class, and their scores would be no such probabilities. If just one class is right for each sample, ${useInner(input, output)}.`,
  );

/** `scores`: what `node` reads, if those are class scores. */
export const notClassScores = (
  output: string,
  { opType, outputs }: { readonly opType: string; readonly outputs: readonly string[] },
  scores: string | undefined,
) =>
  new OfframpError(
    'not-class-scores',
    `output ${output} holds what ${opType} (${outputs[0]}) made of the class scores, not the scores of all classes`,
    scores === undefined
      ? 'Export the model with the scores themselves as an output: one float per class and sample.'
      : `Use the scores: ${useInner(scores, output)}.`,
  );

/** `why`: what makes the output. `logits`: a value before it with one score a class. */
export const noLogits = (output: string, why: string, logits: string | undefined) =>
  new OfframpError(
    'no-logits',
    `output ${output} holds no logits, and no Softmax of any: ${why}`,
    `Answers of early exits would not be in its units. ${
      logits === undefined
        ? 'Export the model with logits, one float [N, classes], as an output.'
        : `If ${logits} holds the scores that tell the class, ${useInner(logits, output)}.`
    }`,
  );

export const oneScore = (output: string) =>
  new OfframpError(
    'one-score',
    `output ${output} is one number a sample without a Sigmoid: the logit of a binary classifier, or a regression`,
    `If it is above 0 for class 1 and below for class 0, name it: --output ${output}. A regression has no classes to leave early with.`,
  );

export const ambiguousOutput = (outputs: readonly string[]) =>
  new OfframpError(
    'ambiguous-output',
    `several outputs carry class scores: ${outputs.join(', ')}`,
    `Choose one: --output ${outputs[0]}.`,
  );

export const unknownOutput = (output: string, outputs: readonly string[]) =>
  new OfframpError('unknown-output', `the model has no output ${output}`, `It has ${outputs.join(', ')}.`);

export const tooFewExitOutputs = (outputs: readonly string[]) =>
  new OfframpError(
    'too-few-exit-outputs',
    `--exit-outputs needs different outputs, at least two; got ${outputs.join(', ') || 'none'}`,
    "Name every exit's output, earliest first, and the whole model's own output last.",
  );

export const exitClassesDiffer = (exit: string, got: number, output: string, classes: number) =>
  new OfframpError(
    'exit-classes-differ',
    `exit output ${exit} has ${got} classes, ${output} has ${classes}`,
    'All exits must score the same classes.',
  );

export const exitNotApart = (exit: string, why: string) =>
  new OfframpError(
    'exit-not-apart',
    `the branch of exit output ${exit} cannot be taken out: ${why}`,
    'An exit must be a branch of its own that reads one value of the backbone. Leave this one out of --exit-outputs; where it then cannot stay as an output either, --output with the last one drops it.',
  );

export const noConfidenceHeads = () =>
  new OfframpError(
    'no-confidence-heads',
    'the exits that came with the model have no confidence heads',
    'Choose another --policy: max-prob, say.',
  );

export const trainingDataMissing = () =>
  new OfframpError(
    'training-data-missing',
    'no training data was given',
    'Give --train; or --calibration alone for a model with exits of its own (--exit-outputs).',
  );

export const unknownTap = (value: string, reason: string, near: readonly string[]) =>
  new OfframpError(
    'unknown-tap',
    `no exit can be placed at ${value}: ${reason}`,
    near.length ? `Possible taps: ${near.join(', ')}.` : 'See `offramp inspect` for possible taps.',
  );

/** `reasons`: how many values each turned down. `outside`: values that an exit could read, but too early or too late for one. */
export const noTaps = (reasons: ReadonlyMap<string, number>, outside: number, latest: number) => {
  const found = [...reasons].map(([reason, count]) => `${count} × ${reason}`);
  if (outside > 0)
    found.push(`${outside} × before anything is computed, or behind ${100 * latest} % of the MACs`);
  return new OfframpError(
    'no-taps',
    `the model has no place for an exit: ${found.join('; ') || 'nothing lies between input and scores'}`,
    '`offramp inspect --all` shows each value. Not every model gains from early exits.',
  );
};

export const nothingCounted = (uncounted: readonly string[]) =>
  new OfframpError(
    'nothing-counted',
    uncounted.length > 0
      ? `what the model computes cannot be counted in MACs: ${uncounted.join(', ')}`
      : 'the model multiplies nothing by weights, so there is nothing that an exit could save',
    'Offramp counts convolutions, matrix products, attention and recurrent layers of ONNX and ONNX Runtime. Export the model with those.',
  );

export const exitsDoNotFit = (asked: number, placed: number, rule: string) =>
  new OfframpError(
    'exits-do-not-fit',
    `${asked} exits were asked for, but placement ${rule} finds room for ${placed}`,
    `Ask for --exits ${placed} or fewer, or name the taps with --taps.`,
  );

/** What raises an opset outside of Offramp. */
const RAISE_OPSET =
  'Re-export it, or raise it: python -m onnxruntime.tools.update_onnx_opset --opset 13 in.onnx out.onnx.';

export const opsetTooOld = (
  opset: number,
  needed = 'exits inside a batch need 11 or more (ScatterND, GatherND)',
) => new OfframpError('opset-too-old', `the model's opset is ${opset}; ${needed}`, RAISE_OPSET);

export const cannotRaiseOpset = (opset: number, where: string, why: string) =>
  new OfframpError(
    'cannot-raise-opset',
    `the model's opset is ${opset}, and Offramp cannot raise it to 12: ${why} (${where})`,
    RAISE_OPSET,
  );

export const raisedModelDiffers = (opset: number, problem: string) =>
  new OfframpError(
    'raised-model-differs',
    `the model's opset is ${opset}; raised, it does not do what it did: ${problem}`,
    `${RAISE_OPSET} This is a bug in Offramp: please report it with the model.`,
  );

export const nameTaken = (name: string) =>
  new OfframpError(
    'name-taken',
    `the model already has an input or output named ${name}, as the early-exit model's own is called`,
    "Rename it, in Python: onnx.save(onnx.compose.add_prefix(onnx.load('in.onnx'), 'original_'), 'out.onnx').",
  );

export const alreadyCompiled = () =>
  new OfframpError(
    'already-compiled',
    'this model was compiled by Offramp: it has early exits already',
    'Give the original; for other thresholds, `offramp calibrate` the folder that compile wrote.',
  );

export const otherOutputs = (names: readonly string[], output: string) =>
  new OfframpError(
    'other-outputs',
    `outputs ${names.join(', ')} are not computed by samples that leave early`,
    `Drop them with --output ${output}, if nobody needs them.`,
  );
