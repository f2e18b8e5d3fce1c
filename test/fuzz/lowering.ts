/** A random classifier with random exits under a random policy: what must hold of every one of them. */
import * as fc from 'fast-check';
import * as assert from 'uvu/assert';
import { inferenceForm } from '../../src/autodiff/training-form.ts';
import { OfframpError } from '../../src/errors/index.ts';
import { makeModel } from '../../src/graph/builder.ts';
import { checkGraph } from '../../src/graph/check.ts';
import { Random, shuffled } from '../../src/graph/random.ts';
import { elementCount } from '../../src/graph/tensor.ts';
import type { Model } from '../../src/graph/types.ts';
import { observeFacts } from '../../src/model/observe-facts.ts';
import { type Outputs, Tensor, withSession } from '../../src/ort/session.ts';
import { parseModel, serializeModel } from '../../src/parser/index.ts';
import { attachExits } from '../../src/passes/attach-exits.ts';
import { HEAD_KINDS, type Head, type HeadKind, type Tap, type TypedModel } from '../../src/passes/exits.ts';
import { buildHead } from '../../src/passes/heads.ts';
import { EXIT_CONFIDENCE, EXIT_INDEX, lowerExits, THRESHOLDS } from '../../src/passes/lower-exits.ts';
import { runPasses } from '../../src/passes/pass.ts';
import { planExits } from '../../src/passes/plan-exits.ts';
import { ensembleLogits, withEnsemble } from '../../src/policies/final-answer.ts';
import { POLICY_NAMES, type PolicyName, type PolicyParameters, policyOf } from '../../src/policies/index.ts';
import { noise } from '../models.ts';
import { buildBackbone, recipes } from './backbone.ts';
import { INPUT, type Recipe, SCORES } from './net.ts';

export interface Case {
  readonly recipe: Recipe;
  /** Which taps, of those there are, wrapping round. */
  readonly taps: readonly number[];
  /** One for each of at most four exits, as `open` and `shares`. */
  readonly kinds: readonly HeadKind[];
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

const hasState = (policy: PolicyName) => policyOf(policy).state(2, 2) > 0;
const four = <T>(of: fc.Arbitrary<T>) => fc.array(of, { minLength: 4, maxLength: 4 });

export const cases: fc.Arbitrary<Case> = fc.record({
  recipe: recipes,
  taps: fc.array(fc.nat({ max: 40 }), { minLength: 1, maxLength: 8 }),
  kinds: four(fc.constantFrom(...HEAD_KINDS)),
  open: four(fc.constantFrom(true, true, true, false)),
  shares: four(fc.integer({ min: 0, max: 9 })),
  policy: fc.constantFrom(...POLICY_NAMES, ...POLICY_NAMES.filter(hasState)),
  final: fc.option(fc.integer({ min: 1, max: 9 }), { nil: undefined, freq: 2 }),
  batch: fc.integer({ min: 1, max: 9 }),
  sick: fc.option(fc.nat({ max: 8 }), { nil: undefined, freq: 2 }),
  baked: fc.boolean(),
  seed: fc.nat({ max: 1e6 }),
});

/** Samples that thresholds are chosen on, and batches taken from. */
const POOL = 14;
/** Of the largest number there is. */
const TOLERANCE = 1e-5;
/** No threshold is as close to a score. */
const TIE = 2e-5;

/** What happened, so that one can tell whether the cases were worth anything. */
export interface Seen {
  /** No exit can be placed. */
  skipped: boolean;
  /** Exits, and how many different ones (the end included) a batch left at. */
  exits: number;
  ways: number;
}

/** Builds the case and checks it; throws what uvu's assertions throw. */
export async function checkCase(c: Case): Promise<Seen> {
  const subject = await prepare(c);
  if (!subject) return { skipped: true, exits: 0, ways: 0 };
  const { typed, heads, parameters } = subject;
  const lowered = lowerExits(typed, heads, optionsOf(c, parameters));
  checkGraph(lowered.graph);
  await checkExactPath(c, subject, lowered);
  const ways = await checkDecisions(c, subject, lowered);
  return { skipped: false, exits: heads.length, ways };
}

/** The case's classifier, and the same with its exits inside, closed ones among them where thresholds are built in. */
export async function loweredCase(c: Case): Promise<{ original: Model; lowered: Model } | undefined> {
  const subject = await prepare(c);
  if (!subject) return undefined;
  const { typed, heads, parameters } = subject;
  const baked = c.baked ? heads.map((_, k) => (c.open[k] ? 0.5 : 1)) : undefined;
  return {
    original: typed.model,
    lowered: lowerExits(typed, heads, { ...optionsOf(c, parameters), baked }),
  };
}

const weightOf = ({ final }: Case) => (final === undefined ? undefined : Math.fround(final / 10));

const optionsOf = (c: Case, parameters: PolicyParameters) => ({
  policy: c.policy,
  parameters,
  final: weightOf(c),
  dropOutputs: true,
});

interface Subject {
  readonly typed: TypedModel;
  readonly heads: readonly Head[];
  readonly parameters: PolicyParameters;
  /** [POOL] */
  readonly samples: readonly Float32Array[];
  readonly hand: Hand;
}

/** What everything says about every sample, run by itself: per exit and sample. */
interface Hand {
  readonly logits: readonly Float32Array[];
  readonly confidence: readonly Float32Array[];
  /** [POOL · classes] */
  readonly original: Float32Array;
}

async function prepare(c: Case): Promise<Subject | undefined> {
  const model = buildBackbone(c.recipe);
  const typed = await observeFacts(model, { output: SCORES, session: ONE_THREAD });
  const { taps } = planExits(typed, { taps: [] });
  if (taps.length === 0) return undefined;
  const chosen = [...new Set(c.taps.map((tap) => taps[tap % taps.length]!.value))].slice(0, 4);
  const plan = planExits(typed, { taps: chosen });
  const kind = plan.exits.map(({ tap }, k) => (fits(c.kinds[k]!, tap) ? c.kinds[k]! : 'pool'));
  const attached = attachExits(plan, { kind, seed: c.seed });
  const plain = attached.map((head) => ({ ...head, graph: runPasses(head.graph, [inferenceForm]) }));
  const samples = Array.from({ length: POOL }, (_, i) =>
    noise(elementCount(c.recipe.input), c.seed + i).map((v) => v * (0.4 + i / 8)),
  );
  const features = await featuresOf(typed, c.recipe, samples);
  const heads = await Promise.all(plain.map((head) => varied(head, features, typed.classes)));
  const hand = await byHand(typed, heads, features);
  const parameters = PARAMETERS[c.policy](heads.length, typed.classes, new Random(c.seed, 'parameters'));
  return { typed, heads, parameters, samples, hand };
}

/** Not every family takes every kind of tap. */
function fits(kind: HeadKind, { dims, channelAxis }: Tap): boolean {
  try {
    buildHead(kind, dims, 2, { seed: 0, channelAxis });
    return true;
  } catch (error) {
    if (error instanceof OfframpError && error.code === 'cannot-head') return false;
    throw error;
  }
}

const ONE_THREAD = { threads: 1 };

const feed = (recipe: Recipe, samples: readonly Float32Array[]) => {
  const data = Float32Array.from(samples.flatMap((sample) => [...sample]));
  return { [INPUT]: new Tensor('float32', data, [samples.length, ...recipe.input]) };
};

/** Per sample: every tap, and the logits. */
async function featuresOf(
  typed: TypedModel,
  recipe: Recipe,
  samples: readonly Float32Array[],
): Promise<Outputs[]> {
  const { graph } = typed.model;
  const { taps } = planExits(typed, { taps: [] });
  const outputs = [...taps.map((tap) => tap.value), typed.logits].map((name) => ({ name, type: undefined }));
  return withSession({ ...typed.model, graph: { ...graph, outputs } }, ONE_THREAD, async (session) => {
    const found: Outputs[] = [];
    for (const sample of samples) found.push(await session.run(feed(recipe, [sample])));
    return found;
  });
}

async function runHead(head: Head, features: readonly Outputs[]) {
  const logits: number[] = [];
  const confidence: number[] = [];
  await withSession(makeModel(head.graph), ONE_THREAD, async (session) => {
    for (const values of features) {
      const out = await session.run({ features: values[head.exit.tap.value]! });
      logits.push(...(out.logits!.data as Float32Array));
      confidence.push(...(out.confidence!.data as Float32Array));
    }
  });
  return { logits: Float32Array.from(logits), confidence: Float32Array.from(confidence) };
}

/** An untrained head says nearly the same of every sample. This one differs by sample: its classifier is spread, its bias balanced. */
async function varied(head: Head, features: readonly Outputs[], classes: number): Promise<Head> {
  const { logits, confidence } = await runHead(head, features);
  const odds = confidence.map((p) => Math.log(p / (1 - p)));
  const initializers = head.graph.initializers.map((tensor) => {
    const [layer, part] = tensor.name.split('/');
    if (layer !== 'classifier' && layer !== 'confidence') return tensor;
    const [said, width] = layer === 'classifier' ? [logits, classes] : [odds, 1];
    const mean = new Float32Array(width);
    for (const [i, v] of said.entries()) mean[i % width]! += v / POOL;
    const spread = Math.sqrt(said.reduce((sum, v, i) => sum + (v - mean[i % width]!) ** 2, 0) / said.length);
    const scale = Math.min(2 / spread, 1e3);
    const values = new Float32Array(Uint8Array.from(tensor.bytes).buffer);
    const changed =
      part === 'bias' ? values.map((v, i) => scale * (v - mean[i]!)) : values.map((v) => scale * v);
    return { ...tensor, bytes: new Uint8Array(changed.buffer) };
  });
  return { ...head, graph: { ...head.graph, initializers } };
}

async function byHand(
  typed: TypedModel,
  heads: readonly Head[],
  features: readonly Outputs[],
): Promise<Hand> {
  const said = await Promise.all(heads.map((head) => runHead(head, features)));
  const original = features.flatMap((values) => [...(values[typed.logits]!.data as Float32Array)]);
  return {
    logits: said.map((s) => s.logits),
    confidence: said.map((s) => s.confidence),
    original: Float32Array.from(original),
  };
}

/** Random parameters in the shape that each policy has them in. */
const PARAMETERS: Record<PolicyName, (exits: number, classes: number, random: Random) => PolicyParameters> = {
  'max-prob': () => ({}),
  confidence: () => ({}),
  entropy: () => ({}),
  margin: () => ({}),
  patience: () => ({}),
  ensemble: (k, c, random) => ({
    rho: normals(k, 0.5, random).map(Math.abs),
    bias: normals(k * c, 0.3, random),
  }),
  gain: (k, c, random) => ({
    weight: normals(k * (3 + 2 * k) * 2, 0.5, random),
    bias: normals(k * c * 2, 0.3, random),
  }),
  correctness: (k, c, random) => ({
    weight: normals(k * (3 + 2 * k), 0.5, random),
    bias: normals(k * c, 0.3, random),
  }),
  eenet: (k, c, random) => ({
    weight: normals(k * (c + 3 + k), 0.2, random),
    bias: normals(k, 0.1, random),
    temperature: [0.5 + random.uniform()],
    shares: Array<number>(k + 1).fill(1 / (k + 1)),
  }),
  'class-margin': (k, c, random) => ({
    odds: Array.from({ length: k * c }, () =>
      normals(64, 2, random)
        .map((v) => Math.fround(Math.exp(v)))
        .sort((a, b) => b - a),
    ).flat(),
  }),
};

const normals = (count: number, deviation: number, random: Random) =>
  Array.from({ length: count }, () => Math.fround(deviation * random.gaussian()));

/** Runs `model` on `samples`: all at once, or one by one where the batch is fixed. Rows of every output. */
async function run(
  model: Model,
  c: Case,
  samples: readonly Float32Array[],
  thresholds: readonly number[] | undefined,
): Promise<Record<string, number[]>> {
  const batches = c.recipe.batch === 'N' ? [samples] : samples.map((sample) => [sample]);
  // No prototype: a value may be called `constructor`.
  const found: Record<string, number[]> = Object.create(null);
  await withSession(model, ONE_THREAD, async (session) => {
    for (const batch of batches) {
      const knobs = thresholds && {
        [THRESHOLDS]: new Tensor('float32', Float32Array.from(thresholds), [thresholds.length]),
      };
      const outputs = await session.run({ ...feed(c.recipe, batch), ...knobs });
      for (const [name, { data, dims }] of Object.entries(outputs)) {
        assert.is(dims[0], batch.length, `${name} has a row for every sample`);
        found[name] = [...(found[name] ?? []), ...Array.from(data as Float32Array, Number)];
      }
    }
  });
  return found;
}

/** Property (a): with every exit closed the original's outputs are the original's, and so they are once written and read. */
async function checkExactPath(c: Case, { typed, heads, parameters, samples }: Subject, lowered: Model) {
  const batch = samples.slice(0, c.batch);
  const closed = heads.map((_, k) => [1, 2, Number.POSITIVE_INFINITY][(c.seed + k) % 3]!);
  const expected = await run(typed.model, c, batch, undefined);
  const got = await run(lowered, c, batch, closed);
  assert.ok(got[EXIT_INDEX]!.every((k) => k === heads.length));
  assert.ok(SCORES in got);
  for (const [name, values] of Object.entries(expected)) {
    if (name in got) expectClose(got[name]!, values, `closed: ${name}`);
  }
  if (c.baked) {
    const options = { ...optionsOf(c, parameters), baked: heads.map(() => 1) };
    const without = await run(lowerExits(typed, heads, options), c, batch, undefined);
    expectClose(without[SCORES]!, expected[SCORES]!, 'baked closed');
  }
  const again = parseModel(serializeModel(anew(parseModel(serializeModel(lowered)))));
  assert.equal(await run(again, c, batch, closed), got, 'written and read again');
}

/** A deep copy that shares no object, and so no source bytes, with `x`. */
export function anew<T>(x: T): T {
  if (Array.isArray(x)) return x.map(anew) as T;
  if (typeof x !== 'object' || x === null || x instanceof Uint8Array) return x;
  return Object.fromEntries(Object.entries(x).map(([key, v]) => [key, anew(v)])) as T;
}

function expectClose(got: readonly number[], expected: readonly number[], what: string): void {
  assert.is(got.length, expected.length, `${what}: as many`);
  const largest = Math.max(...expected.filter(Number.isFinite).map(Math.abs), 1e-3);
  for (const [i, value] of expected.entries()) {
    const error = Object.is(got[i], value) ? 0 : Math.abs(got[i]! - value) / largest;
    assert.ok(
      error <= TOLERANCE,
      `${what}: element ${i} is ${got[i]} where ${value} belongs (of ${largest})`,
    );
  }
}

/** Property (b): every sample of a batch leaves where it does by hand, with the score and the answer it has there. */
async function checkDecisions(c: Case, subject: Subject, lowered: Model): Promise<number> {
  const { typed, heads, parameters, samples } = subject;
  const { thresholds, scores, answers, full, leaves } = decide(c, subject);
  const order = shuffled(POOL, c.seed, 'order');
  const batch = takeTurns(order, leaves).slice(0, c.batch);
  const sick = c.sick === undefined ? undefined : c.sick % c.batch;
  const rows = [...batch].map((i, row) => (row === sick ? samples[i]!.map(() => Number.NaN) : samples[i]!));
  const baked = { ...optionsOf(c, parameters), baked: thresholds };
  const model = c.baked ? lowerExits(typed, heads, baked) : lowered;
  const got = await run(model, c, rows, c.baked ? undefined : thresholds);
  const { classes } = typed;
  const final = heads.length;
  const all = [...answers.flatMap((a) => [...a]), ...full];
  const largest = Math.max(...all.map(Math.abs));
  for (const [row, i] of batch.entries()) {
    const where = `${c.policy}: row ${row} of ${batch.length}, sample ${i}`;
    const k = got[EXIT_INDEX]![row]!;
    if (row === sick) {
      assert.is(k, final, `${where}: NaN goes all the way`);
      continue;
    }
    assert.is(k, leaves[i], `${where}: exit`);
    const answer = [...(answers[k] ?? full).subarray(i * classes, (i + 1) * classes)];
    const expected = activated(answer, typed.activation);
    const scale = typed.activation === 'none' ? largest : Math.max(1, ...expected.map(Math.abs));
    for (const [at, value] of expected.entries()) {
      const found = got[SCORES]![row * classes + at]!;
      assert.ok(
        Math.abs(found - value) <= TOLERANCE * scale,
        `${where}: class ${at} is ${found}, by hand ${value}`,
      );
    }
    const sure = k < final ? scores[k]![i]! : Math.max(...activated(answer, 'softmax'));
    const told = got[EXIT_CONFIDENCE]![row]!;
    assert.ok(
      Math.abs(told - sure) <= TOLERANCE * Math.max(1, Math.abs(sure)),
      `${where}: confidence ${told}, by hand ${sure}`,
    );
  }
  return new Set(batch.map((i) => leaves[i])).size;
}

/** Heads by hand and the policy's plain arithmetic, for all samples: where each leaves under thresholds that suit the case. */
function decide(c: Case, { typed, heads, parameters, hand }: Subject) {
  const { classes } = typed;
  const weight = weightOf(c);
  const own = policyOf(c.policy);
  const policy = weight === undefined ? own : withEnsemble(own);
  const state = new Float32Array(POOL * policy.state(heads.length, classes));
  const decided = heads.map((_, exit) => {
    const [logits, confidence] = [hand.logits[exit]!, hand.confidence[exit]!];
    if (!c.open[exit]) return { score: new Float32Array(POOL), logits };
    return policy.decide({ logits, confidence, exit, exits: heads.length, classes, state }, parameters);
  });
  const scores = decided.map((d) => d.score);
  const thresholds = scores.map((score, k) => (c.open[k] ? thresholdFor(score, c.shares[k]! / 10) : 1));
  const leaves = Array.from({ length: POOL }, (_, i) => {
    const k = thresholds.findIndex((t, e) => t < 1 && scores[e]![i]! > t);
    return k < 0 ? heads.length : k;
  });
  const full = weight === undefined ? hand.original : ensembleLogits(hand.original, state, classes, weight);
  return { thresholds, scores, answers: decided.map((d) => d.logits), full, leaves };
}

/** Midway between two neighbouring scores, so that about `share` of all are above; below all of them when they are all one. */
function thresholdFor(scores: Float32Array, share: number): number {
  const sorted = [...scores].sort((a, b) => b - a);
  const middles = sorted.flatMap((score, i) => {
    const next = sorted[i + 1] ?? score - 1;
    const middle = Math.fround((score + next) / 2);
    return score - next > 2 * TIE && middle < 1 - TIE ? [middle] : [];
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

function activated(logits: readonly number[], activation: TypedModel['activation']): number[] {
  if (activation === 'none') return [...logits];
  const largest = Math.max(...logits);
  const sum = logits.reduce((all, z) => all + Math.exp(z - largest), 0);
  const logs = logits.map((z) => z - largest - Math.log(sum));
  return activation === 'softmax' ? logs.map(Math.exp) : logs;
}
