/** Before anything is written: whether the emitted model does, sample by sample, what heads and policy do by hand. */
import type { ExitOutcomes, OutcomesAt } from '../calibrate/types.ts';
import { CLOSED } from '../calibrate/types.ts';
import type { Dataset } from '../data/index.ts';
import { emittedModelDiffers } from '../errors/index.ts';
import { indexGraph } from '../graph/walk.ts';
import { largestFinite, largestGap } from '../ort/gap.ts';
import { type Session, withSession } from '../ort/session.ts';
import { behindLogits } from '../passes/behind-logits.ts';
import {
  checkLowerable,
  EXIT_CONFIDENCE,
  EXIT_INDEX,
  type NetworkWithExits,
  THRESHOLDS,
} from '../passes/lower-exits.ts';
import { sampleFeeds, thresholdsFeed } from './run-emitted.ts';
import { AnswerCheck, elementsOf } from './verify-answers.ts';
import { moreThresholds, samplesFor } from './verify-cases.ts';
import { type Limits, limitsOf, type Reference } from './verify-limits.ts';

/** How much is tried: `some` takes seconds, `all` every sample, in larger batches too. */
export const EFFORT = {
  some: { samples: 128, batches: [1, 7] },
  all: { samples: Number.POSITIVE_INFINITY, batches: [1, 7, 64] },
} as const;
export type VerifyEffort = keyof typeof EFFORT;
/** Samples that are tried because they are near to a threshold keep this many ties away from it. */
const NEAR_TIES = 10;

export interface Verification extends Reference {
  /** The emitted model. */
  readonly model: Uint8Array;
  /** As they were lowered, the original last. */
  readonly networks: readonly NetworkWithExits[];
  /** What heads and policy make of `dataset`, by hand. */
  readonly outcomes: OutcomesAt<ExitOutcomes>;
  /** Sets of thresholds to try. `verifyEmitted` adds some of its own, so that every exit answers samples and passes others on. */
  readonly thresholds: readonly (readonly number[])[];
  /** Set when these are built into the model, which is then only tried with them. */
  readonly baked: boolean;
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
 * exit closed, every output must be the original's. NaN and infinities are equal to themselves only. Throws `emitted-model-differs`.
 */
export async function verifyEmitted(verification: Verification): Promise<Verified> {
  const { typed, dataset, outcomes, baked, session } = verification;
  const effort = EFFORT[verification.effort];
  const spread = spreadOver(dataset, effort.samples);
  const limits = await limitsOf(verification, spread);
  const { thresholds: given } = verification;
  const tried = baked
    ? given
    : [...given, ...moreThresholds(outcomes, outcomes().scores.length, spread, given)];
  const rounds = tried.map((thresholds) => {
    const here = outcomes(thresholds);
    return {
      thresholds,
      outcomes: here,
      samples: samplesFor(here, thresholds, spread, NEAR_TIES * limits.tie),
    };
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
        for (const { thresholds, outcomes, samples } of rounds) {
          for (const some of inBatches(samples, batch)) {
            verification.signal?.throwIfAborted();
            const feeds = await sampleFeeds(dataset, some);
            const found = await emitted.run({ ...feeds, ...thresholdsFeed(baked ? undefined : thresholds) });
            await answers.check({ found, feeds, samples: some, thresholds, outcomes });
            compared += some.length;
            verification.onProgress?.(compared, total);
          }
        }
      }
    });
    if (!baked)
      deviation = await checkExact(verification, {
        emitted,
        outputs: tensorsAmong(verification, outputs),
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

/** The outputs of the original that the emitted model must have. */
function keptOutputs({ typed, networks, baked, thresholds }: Verification): string[] {
  const heads = networks.flatMap((network) => network.heads);
  const open = heads.filter((_, k) => !baked || thresholds[0]![k]! < CLOSED);
  const own = networks.at(-1)!.heads;
  const taps = open.filter((head) => own.includes(head)).map(({ exit }) => exit.tap.value);
  const isNested = open.length > taps.length;
  const { lostOutputs } = checkLowerable(typed, taps, { dropOutputs: true, isNested });
  return typed.model.graph.outputs.map(({ name }) => name).filter((name) => !lostOutputs.includes(name));
}

/** Those of `outputs` that can be compared: maps and sequences cannot be fetched. */
const tensorsAmong = ({ typed }: Verification, outputs: readonly string[]) =>
  outputs.filter((name) => typed.facts.has(name));

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

interface Exact {
  readonly emitted: Session;
  readonly outputs: readonly string[];
  readonly samples: readonly number[];
  readonly batch: number;
  readonly limits: Limits;
}

/** With every exit closed, the emitted model against the original itself: the largest relative deviation of the scores. */
async function checkExact(
  { typed, dataset, session, outcomes, signal }: Verification,
  { emitted, outputs, samples, batch, limits }: Exact,
): Promise<number> {
  const closed = thresholdsFeed(outcomes().scores.map(() => CLOSED));
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
