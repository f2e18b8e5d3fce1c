/** Of outputs that hold no class scores, or not those that were asked for. */
import { OfframpError } from './offramp-error.ts';
import { option, optionText } from './option.ts';

/** How `no-class-scores` lists an output that is a map or a sequence. */
export const NOT_A_TENSOR = 'not a tensor';

/** `sequence`: an output that is a sequence, and the last of the tensors in it. `isDouble`: some output is of 64 bits. */
export const noClassScores = (
  outputs: readonly string[],
  sequence?: { readonly name: string; readonly last: string },
  isDouble = false,
) =>
  new OfframpError(
    'no-class-scores',
    `no output is a float [N, classes]; found ${outputs.join('; ') || 'none'}`,
    sequence
      ? `${sequence.name} is a sequence. If it holds the scores of exits, earliest first, ${option('exitOutputs', `['${sequence.name}']`)} takes it apart; ${optionText('output', sequence.last)} gives its last tensor in its place.`
      : outputs.some((output) => output.includes(NOT_A_TENSOR))
        ? "A map of probabilities is no tensor. From scikit-learn export with options={'zipmap': False}."
        : isDouble
          ? 'Scores of type double are not taken. Export the model in float: model.float() before torch.onnx.export in PyTorch, FloatTensorType as the type of inputs for skl2onnx. Or append a Cast of the logits to float as the output.'
          : 'Offramp needs a classifier: one float score per class and sample. Export the scores as an output.',
  );

/** How to get at an inner value. */
const useInner = (value: string, output: string) =>
  `${optionText('output', value)} has the early-exit model give that value in place of ${output}`;

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
    `If it is above 0 for class 1 and below for class 0, name it: ${optionText('output', output)}. A regression has no classes to leave early with.`,
  );

/** `who`: whose scores; `sample` of `path`, whose own numbers are finite. `weight`: what tensor holds NaN or infinite numbers, in words. */
export const scoresNotFinite = (who: string, sample: number, path: string, weight: string | undefined) =>
  new OfframpError(
    'scores-not-finite',
    `${who} gives NaN or infinite scores for sample ${sample} of ${path} (counted from 0)${weight === undefined ? '' : `: ${weight}`}`,
    weight === undefined
      ? `Some value inside overflows. Check what the model is fed (a wrong ${option('scale')} or ${option('std')}, say); a model of float16 may need to be exported in float32.`
      : 'Export the model again, from weights that are numbers.',
  );

export const ambiguousOutput = (outputs: readonly string[]) =>
  new OfframpError(
    'ambiguous-output',
    `several outputs carry class scores: ${outputs.join(', ')}`,
    `Choose one: ${optionText('output', outputs[0]!)}.`,
  );

export const unknownOutput = (output: string, outputs: readonly string[]) =>
  new OfframpError('unknown-output', `the model has no output ${output}`, `It has ${outputs.join(', ')}.`);

/** `logits`: the value that exits' scores stand in for. */
export const scoresLost = (output: string, logits: string) =>
  new OfframpError(
    'scores-lost',
    `output ${output} is made of ${logits} and of other values that samples which leave early have not computed`,
    `For the logits themselves: ${useInner(logits, output)}.`,
  );

export const otherOutputs = (names: readonly string[], output: string) =>
  new OfframpError(
    'other-outputs',
    `outputs ${names.join(', ')} are not computed by samples that leave early`,
    `Drop them with ${optionText('output', output)}, if nobody needs them.`,
  );
