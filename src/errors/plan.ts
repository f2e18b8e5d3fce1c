/** Of exits that cannot be placed, or not as asked. */
import { OfframpError } from './offramp-error.ts';
import { option } from './option.ts';

export const cannotCarry = (tap: string, reason: string) =>
  new OfframpError(
    'cannot-carry',
    `no exit can stand at ${tap}: ${reason}`,
    'Name others: `taps`; `npx onnx-offramp inspect` lists them.',
  );

/** `where`: an exit, or what else the cut stands at. */
export const cannotSplit = (
  where: string,
  reason: string,
  remedy = "Cut it behind another exit: at the end of a network only the original's inputs travel.",
) => new OfframpError('cannot-split', `the chain cannot be cut ${where}: ${reason}`, remedy);

export const inputNotSplit = (input: string, exit: string) =>
  cannotSplit(
    `behind ${exit}`,
    `${input} is read there and has no row for each sample, so it cannot travel with them`,
    `Compile the model with ${input} built in: \`set\`.`,
  );

export const scoresNotSplit = (output: string, logits: string) =>
  cannotSplit(
    'behind any exit',
    `output ${output} is made of ${logits} and of other values, which the other part computes`,
    'Compile the model with its logits as `output`.',
  );

export const noPixels = (input: string, dataType: string) =>
  new OfframpError(
    'cannot-split',
    `${input} cannot travel as pixels: its elements are of type ${dataType}, and what is fed for a pixel is none of those`,
    `Let ${input} travel as it is fed.`,
  );

export const bakedUnlabelled = () =>
  new OfframpError(
    'baked-unlabelled',
    "thresholds are built into the model, so it cannot give the original's own answers, and the data have no labels",
    "Give labelled data, or compile without `thresholds: 'baked'`.",
  );

export const tooFewExitOutputs = (outputs: readonly string[]) =>
  new OfframpError(
    'too-few-exit-outputs',
    `${option('exitOutputs')} needs different outputs, at least two; got ${outputs.join(', ') || 'none'}`,
    "Name every exit's output, earliest first, and the whole model's own output last.",
  );

export const exitClassesDiffer = (exit: string, got: number, output: string, classes: number) =>
  new OfframpError(
    'exit-classes-differ',
    `exit output ${exit} has ${got} classes, ${output} has ${classes}`,
    'All exits must score the same classes.',
  );

/** `opType`: what makes `value`. */
export const elementsUnknown = (value: string, opType: string, isCounted: boolean) =>
  isCounted
    ? new OfframpError(
        'exit-elements-unknown',
        `the graph does not say how many elements the sequence ${value} has: ${opType} makes it`,
        `Name them one by one: ${option('exitOutputs', `['${value}[0]', '${value}[1]']`)}.`,
      )
    : new OfframpError(
        'exit-elements-unknown',
        `the graph does not say which tensors ${value} consists of: ${opType} makes it`,
        `Name in ${option('exitOutputs')} the value inside the model that holds each exit's scores, or export the scores of each exit as an output of their own.`,
      );

export const noSuchElement = (name: string, value: string, count: number) =>
  new OfframpError(
    'unknown-output',
    `there is no ${name}: ${value} consists of ${count} tensors`,
    `They are ${value}[0] to ${value}[${count - 1}].`,
  );

export const unknownExitOutput = (name: string, outputs: readonly string[]) =>
  new OfframpError(
    'unknown-output',
    `${option('exitOutputs')}: the model has no output and no value ${name}`,
    `Its outputs are ${outputs.join(', ')}. A value inside the model goes by its own name, an element of a sequence by its place, which counts from 0: ${outputs[0]}[0].`,
  );

export const exitNotApart = (exit: string, why: string) =>
  new OfframpError(
    'exit-not-apart',
    `the branch of exit output ${exit} cannot be taken out: ${why}`,
    'An exit must have scores of its own, and read one value of the backbone. Leave this one out of `exitOutputs`; where it then cannot stay as an output either, `output` with the last one drops it.',
  );

export const noConfidenceHeads = () =>
  new OfframpError(
    'no-confidence-heads',
    'the exits that came with the model have no confidence heads',
    'Choose another `policy`: max-prob, say.',
  );

export const trainingDataMissing = () =>
  new OfframpError(
    'training-data-missing',
    'no training data was given',
    'Give `train`; or `calibration` alone for a model with exits of its own (`exitOutputs`), or with small networks in front (`first`).',
  );

export const unknownTap = (value: string, reason: string, near: readonly string[]) =>
  new OfframpError(
    'unknown-tap',
    `no exit can be placed at ${value}: ${reason}`,
    near.length ? `Possible taps: ${near.join(', ')}.` : 'See `npx onnx-offramp inspect` for possible taps.',
  );

/** `reasons`: how many values each turned down. `outside`: values that an exit could read, but too early or too late for one. */
export const noTaps = (reasons: ReadonlyMap<string, number>, outside: number, latest: number) => {
  const found = [...reasons].map(([reason, count]) => `${count} × ${reason}`);
  if (outside > 0)
    found.push(`${outside} × before anything is computed, or behind ${100 * latest} % of the MACs`);
  return new OfframpError(
    'no-taps',
    `the model has no place for an exit: ${found.join('; ') || 'nothing lies between input and scores'}`,
    '`npx onnx-offramp inspect --all` shows each value. Not every model gains from early exits.',
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
    `Ask for ${option('exits', `${placed}`)} or fewer, or name the taps with ${option('taps')}.`,
  );
