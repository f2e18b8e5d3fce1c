/** What must hold of every lowered model: networks, heads and policy are run by themselves, and the decisions made by plain arithmetic. */
import * as assert from 'uvu/assert';
import { checkGraph } from '../../src/graph/check.ts';
import { Random, shuffled } from '../../src/graph/random.ts';
import type { Model } from '../../src/graph/types.ts';
import { type Feeds, Tensor, withSession } from '../../src/ort/session.ts';
import { numbersOf } from '../../src/ort/tensors.ts';
import { parseModel, serializeModel } from '../../src/parser/index.ts';
import type { Activation } from '../../src/passes/exits.ts';
import {
  EXIT_CONFIDENCE,
  EXIT_INDEX,
  type LowerOptions,
  lowerChain,
  type NetworkWithExits,
  THRESHOLDS,
} from '../../src/passes/lower-exits.ts';
import { lowerPart } from '../../src/passes/lower-part.ts';
import { ensembleLogits, withEnsemble } from '../../src/policies/final-answer.ts';
import { type PolicyName, type PolicyParameters, policyOf } from '../../src/policies/index.ts';
import { withParts } from '../passes/parts-by-hand.ts';
import { SCORES } from './net.ts';
import { ONE_THREAD } from './random-heads.ts';

/** Samples that thresholds are chosen on, and batches taken from. */
export const POOL = 14;
/** Of the largest number there is. */
const TOLERANCE = 1e-5;
/** No threshold is as close to a score. */
const TIE = 2e-5;
/** Where logits are rounded to float16, which is done to each number on its own. */
const HALF = 200;

/** How a subject is tried. */
export interface Trial {
  /** One for each exit, as `shares`. */
  readonly open: readonly boolean[];
  /** Of the samples that reach an open exit, how many leave there, in tenths. */
  readonly shares: readonly number[];
  readonly policy: PolicyName;
  /** Weight of the exits in the last answer, in tenths; undefined where they have no say. */
  readonly final: number | undefined;
  readonly batch: number;
  /** Which sample of the batch is all NaN. */
  readonly sick: number | undefined;
  readonly baked: boolean;
  readonly seed: number;
}

export interface Subject {
  /** The original last. */
  readonly networks: readonly NetworkWithExits[];
  readonly parameters: PolicyParameters;
  /** [POOL] Each with the numbers of all inputs side by side. */
  readonly samples: readonly Float32Array[];
  readonly feed: (samples: readonly Float32Array[]) => Feeds;
  readonly hand: Hand;
  /** Whether some logits are float16. */
  readonly isHalf: boolean;
}

/** What everything says about every sample, run by itself: per exit and sample. */
export interface Hand {
  readonly logits: readonly Float32Array[];
  readonly confidence: readonly Float32Array[];
  /** [POOL · classes] */
  readonly original: Float32Array;
}

const originalOf = ({ networks }: Pick<Subject, 'networks'>) => networks.at(-1)!.typed;
const exitsOf = ({ networks }: Pick<Subject, 'networks'>) => networks.flatMap(({ heads }) => heads).length;
/** Adapters and several networks round a few times more than one does. */
const slackOf = ({ isHalf, networks }: Pick<Subject, 'isHalf' | 'networks'>) =>
  isHalf ? HALF : networks.length > 1 ? 3 : 1;

const weightOf = ({ final }: Trial) => (final === undefined ? undefined : Math.fround(final / 10));

/** `subject` as one model; its thresholds are an input where there are no `baked`. */
export const lowered = (c: Trial, { networks, parameters }: Subject, baked?: LowerOptions['baked']): Model =>
  lowerChain(networks, { policy: c.policy, parameters, final: weightOf(c), dropOutputs: true, baked });

/** Runs `model` on `samples`: all at once, or one by one where the batch is fixed. Rows of every output. */
async function run(
  model: Model,
  subject: Subject,
  samples: readonly Float32Array[],
  thresholds: readonly number[] | undefined,
): Promise<Record<string, number[]>> {
  const isFixed = originalOf(subject).batch === 'fixed';
  const batches = isFixed ? samples.map((sample) => [sample]) : [samples];
  // No prototype: a value may be called `constructor`.
  const found: Record<string, number[]> = Object.create(null);
  await withSession(model, ONE_THREAD, async (session) => {
    for (const batch of batches) {
      const knobs = thresholds && {
        [THRESHOLDS]: new Tensor('float32', Float32Array.from(thresholds), [thresholds.length]),
      };
      const outputs = await session.run({ ...subject.feed(batch), ...knobs });
      for (const [name, tensor] of Object.entries(outputs)) {
        assert.is(tensor.dims[0], batch.length, `${name} has a row for every sample`);
        found[name] = [...(found[name] ?? []), ...numbersOf(tensor)!];
      }
    }
  });
  return found;
}

/** Property (a): with every exit closed the original's outputs are the original's, and so they are once written and read. */
export async function checkExactPath(c: Trial, subject: Subject, model: Model): Promise<void> {
  const exits = exitsOf(subject);
  const { model: original } = originalOf(subject);
  const batch = Array.from({ length: c.batch }, (_, row) => subject.samples[row % POOL]!);
  const closed = Array.from({ length: exits }, (_, k) => [1, 2, Number.POSITIVE_INFINITY][(c.seed + k) % 3]!);
  const expected = await run(original, subject, batch, undefined);
  const got = await run(model, subject, batch, closed);
  assert.ok(got[EXIT_INDEX]!.every((k) => k === exits));
  assert.ok(SCORES in got);
  const tolerance = TOLERANCE * slackOf(subject);
  for (const [name, values] of Object.entries(expected)) {
    if (name in got) expectClose(got[name]!, values, tolerance, `closed: ${name}`);
  }
  if (c.baked) {
    const allClosed = lowered(
      c,
      subject,
      closed.map(() => 1),
    );
    const without = await run(allClosed, subject, batch, undefined);
    expectClose(without[SCORES]!, expected[SCORES]!, tolerance, 'baked closed');
  }
  const again = parseModel(serializeModel(anew(parseModel(serializeModel(model)))));
  // As entries: an output may be called `constructor`, which `equal` takes for the object's own.
  const reread = await run(again, subject, batch, closed);
  assert.equal(Object.entries(reread), Object.entries(got), 'written and read again');
}

/** A deep copy that shares no object, and so no source bytes, with `x`. */
export function anew<T>(x: T): T {
  if (Array.isArray(x)) return x.map(anew) as T;
  if (typeof x !== 'object' || x === null || x instanceof Uint8Array) return x;
  return Object.fromEntries(Object.entries(x).map(([key, v]) => [key, anew(v)])) as T;
}

function expectClose(
  got: readonly number[],
  expected: readonly number[],
  tolerance: number,
  what: string,
): void {
  assert.is(got.length, expected.length, `${what}: as many`);
  const largest = Math.max(...expected.filter(Number.isFinite).map(Math.abs), 1e-3);
  for (const [i, value] of expected.entries()) {
    const error = Object.is(got[i], value) ? 0 : Math.abs(got[i]! - value) / largest;
    assert.ok(
      error <= tolerance,
      `${what}: element ${i} is ${got[i]} where ${value} belongs (of ${largest})`,
    );
  }
}

/**
 * Property (b): every sample of a batch leaves where it does by hand, with the score and the answer it has there. Returns at how many places.
 */
export const checkDecisions = (c: Trial, subject: Subject, model: Model): Promise<number> =>
  expectDecisions(c, subject, (rows, thresholds) =>
    c.baked
      ? run(lowered(c, subject, thresholds), subject, rows, undefined)
      : run(model, subject, rows, thresholds),
  );

/** The same of the chain in parts, cut behind some of its exits, which are drawn; each has the thresholds built in or as an input. */
export function checkParts(c: Trial, subject: Subject): Promise<number> {
  const { networks, parameters } = subject;
  const exits = exitsOf(subject);
  const random = new Random(c.seed, 'cuts');
  const cuts = Array.from({ length: exits }, (_, k) => k + 1).filter(() => random.uniform() * exits < 2);
  const isFixed = originalOf(subject).batch === 'fixed';
  return expectDecisions(c, subject, async (rows, thresholds) => {
    const baked = c.baked ? thresholds : undefined;
    const how = { policy: c.policy, parameters, final: weightOf(c), dropOutputs: true, baked };
    const parts = [0, ...cuts].map((from, i) =>
      lowerPart(networks, cuts[i] === undefined ? { from } : { from, to: cuts[i] }, how),
    );
    for (const { model } of parts) checkGraph(model.graph);
    const found: Record<string, number[]> = { [SCORES]: [], [EXIT_INDEX]: [], [EXIT_CONFIDENCE]: [] };
    await withParts(parts, { exits, scores: SCORES }, async (ask) => {
      for (const batch of isFixed ? rows.map((row) => [row]) : [rows]) {
        const got = await ask(subject.feed(batch), baked ? undefined : thresholds);
        found[SCORES]!.push(...got.scores);
        found[EXIT_INDEX]!.push(...got.exits);
        found[EXIT_CONFIDENCE]!.push(...got.confidences);
      }
    });
    return found;
  });
}

/** `ask`: the outputs for some samples under some thresholds. */
async function expectDecisions(
  c: Trial,
  subject: Subject,
  ask: (
    rows: readonly Float32Array[],
    thresholds: readonly number[],
  ) => Promise<Readonly<Record<string, number[]>>>,
): Promise<number> {
  const { samples } = subject;
  const { classes, activation } = originalOf(subject);
  const { thresholds, scores, answers, full, leaves } = decide(c, subject);
  const order = takeTurns(shuffled(POOL, c.seed, 'order'), leaves);
  const batch = Array.from({ length: c.batch }, (_, row) => order[row % POOL]!);
  const sick = c.sick === undefined ? undefined : c.sick % c.batch;
  const rows = batch.map((i, row) => (row === sick ? samples[i]!.map(() => Number.NaN) : samples[i]!));
  const got = await ask(rows, thresholds);
  const final = thresholds.length;
  const largest = Math.max(...[...answers, full].flatMap((a) => [...a]).map(Math.abs));
  const tolerance = TOLERANCE * slackOf(subject);
  for (const [row, i] of batch.entries()) {
    const where = `${c.policy}: row ${row} of ${batch.length}, sample ${i}`;
    const k = got[EXIT_INDEX]![row]!;
    if (row === sick) {
      assert.is(k, final, `${where}: NaN goes all the way`);
      continue;
    }
    assert.is(k, leaves[i], `${where}: exit`);
    const answer = [...(answers[k] ?? full).subarray(i * classes, (i + 1) * classes)];
    const expected = activated(answer, activation);
    const scale = isLinear(activation) ? largest : Math.max(1, ...expected.map(Math.abs));
    for (const [at, value] of expected.entries()) {
      const found = got[SCORES]![row * expected.length + at]!;
      assert.ok(
        Math.abs(found - value) <= tolerance * scale,
        `${where}: class ${at} is ${found}, by hand ${value}`,
      );
    }
    const sure = k < final ? scores[k]![i]! : Math.max(...activated(answer, 'softmax'));
    const told = got[EXIT_CONFIDENCE]![row]!;
    assert.ok(
      Math.abs(told - sure) <= tolerance * Math.max(1, Math.abs(sure)),
      `${where}: confidence ${told}, by hand ${sure}`,
    );
  }
  return new Set(batch.map((i) => leaves[i])).size;
}

/** The policy's plain arithmetic, for all samples: where each leaves under thresholds that suit the trial. */
function decide(c: Trial, subject: Subject) {
  const { parameters, hand } = subject;
  const { classes } = originalOf(subject);
  const exits = exitsOf(subject);
  const weight = weightOf(c);
  const own = policyOf(c.policy);
  const policy = weight === undefined ? own : withEnsemble(own);
  const state = new Float32Array(POOL * policy.state(exits, classes));
  const tie = TIE * slackOf(subject);
  const decided = hand.logits.map((logits, exit) => {
    const closed = { score: new Float32Array(POOL), logits, threshold: 1 };
    if (!c.open[exit]) return closed;
    const before = state.slice();
    const confidence = hand.confidence[exit]!;
    const made = policy.decide({ logits, confidence, exit, exits, classes, state }, parameters);
    const threshold = thresholdFor(made.score, c.shares[exit]! / 10, tie);
    if (threshold < 1) return { ...made, threshold };
    // No threshold tells the samples apart: the exit is closed, and has no part in the state.
    state.set(before);
    return closed;
  });
  const scores = decided.map((d) => d.score);
  const thresholds = decided.map((d) => d.threshold);
  const leaves = Array.from({ length: POOL }, (_, i) => {
    const k = thresholds.findIndex((t, e) => t < 1 && scores[e]![i]! > t);
    return k < 0 ? exits : k;
  });
  const full = weight === undefined ? hand.original : ensembleLogits(hand.original, state, classes, weight);
  return { thresholds, scores, answers: decided.map((d) => d.logits), full, leaves };
}

/** Midway between two neighbouring scores, so that about `share` of all are above; below all of them when they are all one. */
function thresholdFor(scores: Float32Array, share: number, tie: number): number {
  const sorted = [...scores].sort((a, b) => b - a);
  const middles = sorted.flatMap((score, i) => {
    const next = sorted[i + 1] ?? score - 1;
    const middle = Math.fround((score + next) / 2);
    return score - next > 2 * tie && middle < 1 - tie ? [middle] : [];
  });
  return middles[Math.min(middles.length - 1, Math.floor(share * middles.length))] ?? 1;
}

/** `order` rearranged so that samples of different exits come first. */
function takeTurns(order: Iterable<number>, leaves: readonly number[]): number[] {
  const seen = new Map<number, number>();
  const turns = [...order].map((i) => {
    const turn = seen.get(leaves[i]!) ?? 0;
    seen.set(leaves[i]!, turn + 1);
    return [turn, i] as const;
  });
  return turns.sort(([a], [b]) => a - b).map(([, i]) => i);
}

const isLinear = (activation: Activation) => activation === 'none' || activation === 'logit';

function activated(logits: readonly number[], activation: Activation): number[] {
  const difference = logits[1]! - logits[0]!;
  if (activation === 'none') return [...logits];
  if (activation === 'logit') return [difference];
  if (activation === 'sigmoid') return [1 / (1 + Math.exp(-difference))];
  const largest = Math.max(...logits);
  const sum = logits.reduce((all, z) => all + Math.exp(z - largest), 0);
  const logs = logits.map((z) => z - largest - Math.log(sum));
  return activation === 'softmax' ? logs.map(Math.exp) : logs;
}
