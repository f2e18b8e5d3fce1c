/** The proof before anything is written: the emitted model does, sample by sample, what heads and policy do by hand. */
import type { ExitOutcomes, OutcomesAt } from '../calibrate/types.ts';
import { CLOSED } from '../calibrate/types.ts';
import { type Dataset, subset } from '../data/index.ts';
import { emittedModelDiffers } from '../errors/index.ts';
import { shown } from '../errors/offramp-error.ts';
import type { DataType } from '../graph/types.ts';
import { dependents, indexGraph } from '../graph/walk.ts';
import { largestFinite, largestGap } from '../ort/gap.ts';
import {
  type Feeds,
  type Outputs,
  type Session,
  type SessionOptions,
  type Tensor,
  withSession,
} from '../ort/session.ts';
import { floatsOf, tensorOf } from '../ort/tensors.ts';
import { behindLogits } from '../passes/behind-logits.ts';
import type { Head, TypedModel } from '../passes/exits.ts';
import { checkLowerable, EXIT_CONFIDENCE, EXIT_INDEX, THRESHOLDS } from '../passes/lower-exits.ts';
import { largestOf, ofSoftmax } from '../policies/rows.ts';
import { type Predictions, rowsOf } from './predict.ts';
import { sampleFeeds, thresholdsFeed } from './run-emitted.ts';
import { moreThresholds, samplesFor } from './verify-cases.ts';

/** Scores this close to a threshold may fall either way: batch size and memory layout move floats by 1e-6 to 1e-5. */
const TIE = 1e-5;
/** What an answer may deviate from the head's or the original's, relative to its own largest logit or the original's. */
export const TOLERANCE = 1e-5;
/** The same for an answer that heads have a part in: their sums may cancel, which leaves fewer digits (1.2e-5 was seen behind 512 channels). */
const HEAD_TOLERANCE = 1e-4;
/**
 * Types whose values ONNX Runtime fuses and rounds differently from one graph to another, so that floats move much further. Half floats are
 * computed in single precision where that saves a Cast: a few roundings to 11 bits more or less.
 */
const COARSE: Partial<Record<DataType, number>> = { float16: 2 ** -7, bfloat16: 2 ** -4, uint8: 0, int8: 0 };
/** Samples on which it is measured how far. */
const COARSE_SAMPLES = 16;
/** Samples on which it is measured how far heads' answers move with the batch: by 1e-3 where a kernel sums large batches in another order. */
const UNSTEADY_SAMPLES = 128;
/** How much is tried: `some` takes seconds, `all` every sample, in larger batches too. */
const EFFORT = {
  some: { samples: 128, batches: [1, 7] },
  all: { samples: Number.POSITIVE_INFINITY, batches: [1, 7, 64] },
} as const;
export type VerifyEffort = keyof typeof EFFORT;
/** Samples that are tried because they are near to a threshold keep this many ties away from it. */
const NEAR_TIES = 10;

export interface Verification {
  readonly model: Uint8Array;
  readonly typed: TypedModel;
  readonly heads: readonly Head[];
  readonly dataset: Dataset;
  /** What heads and policy say about `dataset`, by hand. */
  readonly outcomes: OutcomesAt<ExitOutcomes>;
  readonly predictions: Predictions;
  /** What heads say by hand with one sample a run. */
  readonly predictAlone: (dataset: Dataset) => Promise<Predictions>;
  /** Sets of thresholds to try. The proof adds some of its own, so that every exit answers samples and passes others on. */
  readonly thresholds: readonly (readonly number[])[];
  /** Set when these are built into the model, which is then only tried with them. */
  readonly baked: boolean;
  readonly session: SessionOptions;
  readonly effort: VerifyEffort;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (done: number, total: number) => void;
}

export interface Verified {
  /** Answers that were compared. */
  readonly compared: number;
  /** With every exit closed, against the original: relative to its largest score. Undefined for a baked model, which is not run so. */
  readonly deviation: number | undefined;
  /** What a deviation was allowed to be: more than 1e-5 where ONNX Runtime's optimizations, or the batch, move the original's own output further. */
  readonly tolerance: number;
  /** What heads' answers were allowed because by hand they move that far with the batch; 0 where that is less than they are allowed anyway. */
  readonly unsteady: number;
}

/**
 * Runs the emitted model alone and in batches: on samples spread over `dataset`, and on those nearest to every threshold. Each sample must
 * leave where it does by hand, with that confidence, and every output must be what the original makes of the logits by hand. With every
 * exit closed, every output must be the original's. NaN and infinities are like nothing but themselves. Throws `emitted-model-differs`.
 */
export async function verifyEmitted(verification: Verification): Promise<Verified> {
  const { typed, dataset, outcomes, baked, session } = verification;
  const effort = EFFORT[verification.effort];
  const spread = spreadOver(dataset, effort.samples);
  const limits = await limitsOf(verification, spread);
  const { thresholds: given } = verification;
  const tried = baked
    ? given
    : [...given, ...moreThresholds(outcomes, verification.heads.length, spread, given)];
  const rounds = tried.map((thresholds) => {
    const seen = outcomes(thresholds);
    return { thresholds, seen, samples: samplesFor(seen, thresholds, spread, NEAR_TIES * limits.tie) };
  });
  const batches = typed.batch === 'fixed' ? [1] : effort.batches;
  const total = batches.length * rounds.reduce((sum, { samples }) => sum + samples.length, 0);
  const outputs = keptOutputs(verification);
  const behind = behindLogits(typed, outputs);
  let compared = 0;
  let deviation: number | undefined;
  await withSession(verification.model, session, async (emitted) => {
    checkInterface(emitted, verification, outputs);
    await withSession(behind.model, session, async (reference) => {
      const answers = new AnswerCheck(verification, limits, reference, behind.input);
      for (const batch of batches) {
        for (const { thresholds, seen, samples } of rounds) {
          for (const some of inBatches(samples, batch)) {
            verification.signal?.throwIfAborted();
            const feeds = await sampleFeeds(dataset, some);
            const found = await emitted.run({ ...feeds, ...thresholdsFeed(baked ? undefined : thresholds) });
            await answers.check({ found, feeds, samples: some, thresholds, seen });
            compared += some.length;
            verification.onProgress?.(compared, total);
          }
        }
      }
    });
    if (!baked)
      deviation = await checkExact(verification, {
        emitted,
        outputs,
        samples: spread,
        batch: batches.at(-1)!,
        limits,
      });
  });
  return { compared, deviation, tolerance: limits.original, unsteady: limits.unsteady };
}

function spreadOver({ size }: Dataset, most: number): number[] {
  const count = Math.min(most, size);
  return Array.from({ length: count }, (_, i) => Math.floor((i * size) / count));
}

function* inBatches(samples: readonly number[], batch: number): Generator<number[]> {
  for (let at = 0; at < samples.length; at += batch) yield samples.slice(at, at + batch);
}

interface Limits {
  /** For the original's answer, relative. */
  readonly original: number;
  /** For what heads have a part in, relative. */
  readonly heads: number;
  readonly unsteady: number;
  /** For the distance of a policy's score from a threshold. */
  readonly tie: number;
}

async function limitsOf(verification: Verification, spread: readonly number[]): Promise<Limits> {
  const coarse = await coarseness(verification, spread.slice(0, COARSE_SAMPLES));
  const moved = await unsteadiness(verification, spread.slice(0, UNSTEADY_SAMPLES));
  const original = Math.max(TOLERANCE, coarse, moved.original);
  const heads = Math.max(HEAD_TOLERANCE, original, moved.heads);
  const unsteady = moved.heads === heads ? moved.heads : 0;
  const tie = Math.max(TIE, Math.max(coarse, unsteady) * largestFinite(verification.predictions.original));
  return { original, heads, unsteady, tie };
}

/** The outputs of the original that the emitted model must have. */
function keptOutputs({ typed, heads, baked, thresholds }: Verification): string[] {
  const open = heads.filter((_, k) => !baked || thresholds[0]![k]! < CLOSED);
  const taps = open.map(({ exit }) => exit.tap.value);
  const { lostOutputs } = checkLowerable(typed, taps, true);
  return typed.model.graph.outputs.map(({ name }) => name).filter((name) => !lostOutputs.includes(name));
}

function checkInterface(emitted: Session, { typed, baked }: Verification, outputs: readonly string[]): void {
  const { graph } = typed.model;
  const { realInputs } = indexGraph(graph);
  const inputs = graph.inputs.map(({ name }) => name).filter((name) => realInputs.has(name));
  const expect = (what: string, found: readonly { name: string }[], expected: readonly string[]) => {
    const names = found.map(({ name }) => name);
    if (names.join() !== expected.join())
      throw emittedModelDiffers(`its ${what} are ${names.join(', ')}, not ${expected.join(', ')}`);
  };
  expect('inputs', emitted.inputMetadata, baked ? inputs : [...inputs, THRESHOLDS]);
  expect('outputs', emitted.outputMetadata, [...outputs, EXIT_INDEX, EXIT_CONFIDENCE]);
}

/** One run of the emitted model. */
interface Ran {
  readonly found: Outputs;
  readonly feeds: Feeds;
  readonly samples: readonly number[];
  readonly thresholds: readonly number[];
  /** By hand, at these thresholds. */
  readonly seen: ExitOutcomes;
}

/** The answer to a sample by hand, at the exit where it left. */
interface Answer {
  readonly logits: Float32Array;
  /** What they may deviate, and what the scores made of them, which move no further. */
  readonly allowed: number;
  /** For messages. */
  readonly told: string;
}

class AnswerCheck {
  private readonly fromLogits: ReadonlySet<string>;
  private readonly largest: number;

  /** `reference` tells what the original's outputs are for the logits in its input `logitsInput`. */
  constructor(
    private readonly verification: Verification,
    private readonly limits: Limits,
    private readonly reference: Session,
    private readonly logitsInput: string,
  ) {
    this.fromLogits = dependents(verification.typed.model.graph, [verification.typed.logits]);
    this.largest = largestFinite(verification.predictions.original);
  }

  async check(ran: Ran): Promise<void> {
    const { found, samples } = ran;
    checkKind(EXIT_INDEX, found[EXIT_INDEX], 'int64', [samples.length]);
    checkKind(EXIT_CONFIDENCE, found[EXIT_CONFIDENCE], 'float32', [samples.length]);
    const exits = Array.from(found[EXIT_INDEX]!.data as BigInt64Array, Number);
    const answers = samples.map((sample, i) => {
      const told = `sample ${sample} in a batch of ${samples.length}`;
      checkExit(ran, sample, exits[i]!, told, this.limits.tie);
      const answer = this.answerAt(ran.seen, sample, exits[i]!, told);
      this.checkConfidence(ran, sample, exits[i]!, floatsOf(found[EXIT_CONFIDENCE]!)[i]!, answer);
      return answer;
    });
    const expected = await this.reference.run(this.referenceFeeds(ran.feeds, answers));
    for (const [name, tensor] of Object.entries(expected))
      this.checkOutput(name, tensor, found[name], answers);
  }

  private answerAt(seen: ExitOutcomes, sample: number, exit: number, told: string): Answer {
    const { classes } = this.verification.typed;
    const all = seen.logits[exit]!;
    const logits = all.subarray(sample * classes, (sample + 1) * classes);
    const limit = all === this.verification.predictions.original ? this.limits.original : this.limits.heads;
    return { logits, allowed: limit * largestFinite(logits, this.largest), told };
  }

  /** The policy's score where the sample left, and above the threshold there; the largest probability of one that goes all the way. */
  private checkConfidence(
    { seen, thresholds }: Ran,
    sample: number,
    exit: number,
    confidence: number,
    { logits, told }: Answer,
  ): void {
    const early = exit < thresholds.length;
    if (early && !(confidence > Math.fround(thresholds[exit]!)))
      throw emittedModelDiffers(
        `${told} left at exit ${exit} with a confidence of ${confidence}, not above the threshold ${thresholds[exit]}`,
      );
    const byHand = early
      ? seen.scores[exit]![sample]!
      : ofSoftmax(logits, this.verification.typed.classes, largestOf)[0]!;
    const allowed = this.limits.heads * Math.max(1, largestFinite(logits, this.largest));
    if (largestGap([confidence], [byHand]) > allowed)
      throw emittedModelDiffers(
        `${told} left at exit ${exit} with a confidence of ${confidence}, by hand ${byHand}`,
      );
  }

  private referenceFeeds(feeds: Feeds, answers: readonly Answer[]): Feeds {
    const { facts, logits, classes } = this.verification.typed;
    const { dataType, dims } = facts.get(logits)!;
    const values = new Float32Array(answers.length * classes);
    for (const [i, answer] of answers.entries()) values.set(answer.logits, i * classes);
    const given = tensorOf(dataType, values, [answers.length, ...dims.slice(1)]);
    const all: Feeds = { ...feeds, [this.logitsInput]: given };
    return Object.fromEntries(this.reference.inputMetadata.map(({ name }) => [name, all[name]!]));
  }

  /** What output `name` of `answers` may deviate, whose largest element is `largest`. The scores grow no faster than logits do; how others grow is not known. */
  private allowedFor(name: string, answers: readonly Answer[], largest: number): number {
    if (!this.fromLogits.has(name)) return this.limits.heads * largest;
    const allowed = Math.max(...answers.map((answer) => answer.allowed));
    return name === this.verification.typed.output
      ? allowed
      : Math.max(allowed, this.limits.heads) * Math.max(1, largest);
  }

  /** Sample by sample, where the output has a row for each. */
  private checkOutput(
    name: string,
    expected: Tensor,
    found: Tensor | undefined,
    answers: readonly Answer[],
  ): void {
    checkKind(name, found, expected.type, expected.dims);
    const hasRows = this.verification.typed.facts.get(name)?.batchAxis === 0;
    const [wanted, given] = [elementsOf(expected), elementsOf(found!)];
    const width = hasRows ? wanted.length / answers.length : wanted.length;
    for (const [i, some] of (hasRows ? answers.map((answer) => [answer]) : [answers]).entries()) {
      const [a, b] = [wanted, given].map((all) => all.slice(i * width, (i + 1) * width));
      const told = some.length === 1 ? some[0]!.told : `${some.length} samples`;
      if (a instanceof Float32Array && b instanceof Float32Array) {
        const largest = largestFinite(wanted as Float32Array);
        refuseGap(`${told}: ${name}`, a, b, this.allowedFor(name, some, largest));
      } else if (a!.some((value, at) => value !== b![at])) {
        if (this.fromLogits.has(name) && some.some((answer) => isTied(answer, width))) continue;
        throw emittedModelDiffers(`${told}: ${name} is ${b!.join(', ')}, by hand ${a!.join(', ')}`);
      }
    }
  }
}

/** Refuses a tensor that is missing or of another type or shape. */
function checkKind(name: string, found: Tensor | undefined, type: string, dims: readonly number[]): void {
  if (found?.type !== type || found.dims.join() !== dims.join())
    throw emittedModelDiffers(
      `output ${name} is ${found ? `${found.type} ${shown(found.dims)}` : 'missing'}, not ${type} ${shown(dims)}`,
    );
}

function refuseGap(what: string, expected: Float32Array, found: Float32Array, allowed: number): void {
  const gap = largestGap(expected, found);
  if (gap <= allowed) return;
  const largest = largestFinite(expected);
  const far = Number.isFinite(gap)
    ? `deviates by ${(gap / largest).toExponential(1)} of its largest element`
    : 'is NaN or infinite in another place than by hand';
  throw emittedModelDiffers(`${what} ${far}`);
}

function elementsOf(tensor: Tensor): Float32Array | unknown[] {
  return tensor.type.startsWith('float') ? floatsOf(tensor) : Array.from(tensor.data as ArrayLike<unknown>);
}

/** Whether two of the `count` + 1 largest logits lie so close that what follows from their order may be either. */
function isTied({ logits, allowed }: Answer, count: number): boolean {
  const sorted = [...logits].sort((a, b) => b - a).slice(0, count + 1);
  return sorted.some((value, i) => i > 0 && !(sorted[i - 1]! - value > 2 * allowed));
}

function checkExit(
  { seen, thresholds }: Ran,
  sample: number,
  taken: number,
  told: string,
  tie: number,
): void {
  for (const [k, threshold] of thresholds.entries()) {
    const score = seen.scores[k]![sample]!;
    if (threshold >= CLOSED) continue;
    const either = Math.abs(score - threshold) < tie;
    if (taken === k && (either || score > threshold)) return;
    if (either || !(score > threshold)) continue;
    throw emittedModelDiffers(`${told} left at exit ${taken}, by hand at ${k}`);
  }
  if (taken !== thresholds.length)
    throw emittedModelDiffers(`${told} left at exit ${taken}, by hand it goes all the way`);
}

interface Exact {
  readonly emitted: Session;
  readonly outputs: readonly string[];
  readonly samples: readonly number[];
  readonly batch: number;
  readonly limits: Limits;
}

/** With every exit closed, the emitted model against the original itself: the largest relative deviation of the scores. */
async function checkExact(
  { typed, dataset, session, heads, signal }: Verification,
  { emitted, outputs, samples, batch, limits }: Exact,
): Promise<number> {
  const closed = thresholdsFeed(heads.map(() => CLOSED));
  const worst = new Map(outputs.map((name) => [name, { gap: 0, largest: 0 }]));
  await withSession(typed.model, session, async (original) => {
    for (const some of inBatches(samples, batch)) {
      signal?.throwIfAborted();
      const feeds = await sampleFeeds(dataset, some);
      const found = await emitted.run({ ...feeds, ...closed });
      const expected = await original.run(feeds, outputs);
      for (const [name, so] of worst) {
        const [a, b] = [elementsOf(expected[name]!), elementsOf(found[name]!)];
        if (!(a instanceof Float32Array && b instanceof Float32Array)) continue;
        so.gap = Math.max(so.gap, largestGap(a, b));
        so.largest = largestFinite(a, so.largest);
      }
    }
  });
  for (const [name, { gap, largest }] of worst) {
    const limit = name === typed.output ? limits.original : limits.heads;
    if (gap > limit * largest)
      throw emittedModelDiffers(
        `with all exits closed, ${name} deviates from the original's by ${(gap / largest).toExponential(1)} of its largest element`,
      );
  }
  const { gap, largest } = worst.get(typed.output)!;
  return gap === 0 ? 0 : gap / largest;
}

/**
 * How far ONNX Runtime's own optimizations move the original's output, relative to its largest element, doubled, and at least what
 * `COARSE` says; 0 for a model that computes in float32 throughout.
 */
async function coarseness(
  { typed, dataset, session }: Verification,
  indices: readonly number[],
): Promise<number> {
  const coarse = [...typed.facts.values()].flatMap((fact) => COARSE[fact.dataType] ?? []);
  if (coarse.length === 0) return 0;
  const run = (options: SessionOptions) =>
    withSession(typed.model, options, async (running) => {
      const all: number[] = [];
      for (const sample of indices)
        all.push(...floatsOf((await running.run(await sampleFeeds(dataset, [sample])))[typed.output]!));
      return all;
    });
  const [fast, plain] = [await run(session), await run({ ...session, optimization: 'disabled' })];
  return Math.max(...new Set(coarse), movedBy(fast, plain));
}

/**
 * How far answers to `indices` move by hand from a sample a run to many, relative to the largest logit, doubled. Where the original forgets
 * such noise before its end, a head in the middle need not.
 */
async function unsteadiness(
  { typed, dataset, predictions, predictAlone }: Verification,
  indices: readonly number[],
): Promise<{ readonly heads: number; readonly original: number }> {
  if (typed.batch === 'fixed') return { heads: 0, original: 0 };
  const alone = await predictAlone(subset(dataset, indices));
  const together = rowsOf(predictions, Int32Array.from(indices));
  const largest = largestFinite(together.original);
  const heads = alone.logits.map((logits, k) => movedBy(logits, together.logits[k]!, largest));
  return { heads: Math.max(0, ...heads), original: movedBy(alone.original, together.original, largest) };
}

/** Twice the largest finite difference, relative to the largest of `to` and `atLeast`: a limit is no use where it is infinite. */
function movedBy(from: ArrayLike<number>, to: ArrayLike<number>, atLeast = 0): number {
  const apart = Float64Array.from(from, (value, i) => value - to[i]!);
  return (2 * largestFinite(apart)) / (largestFinite(to, atLeast) || 1);
}
