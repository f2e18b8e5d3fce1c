/** Heads and policies for random classifiers: heads that say something else of every sample, and parameters in the shape of each policy's. */
import { inferenceForm } from '../../src/autodiff/training-form.ts';
import { OfframpError } from '../../src/errors/index.ts';
import { makeModel } from '../../src/graph/builder.ts';
import type { Random } from '../../src/graph/random.ts';
import { type Feeds, type Outputs, Tensor, withSession } from '../../src/ort/session.ts';
import { floatsOf } from '../../src/ort/tensors.ts';
import { attachExits } from '../../src/passes/attach-exits.ts';
import type { ExitPlan, Head, HeadKind, Tap, TypedModel } from '../../src/passes/exits.ts';
import { buildHead } from '../../src/passes/heads.ts';
import { runPasses } from '../../src/passes/pass.ts';
import { planExits } from '../../src/passes/plan-exits.ts';
import type { PolicyName, PolicyParameters } from '../../src/policies/index.ts';

export const ONE_THREAD = { threads: 1 };

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

/** What an exit, run by itself, says of each sample. */
interface Said {
  readonly logits: Float32Array;
  readonly confidence: Float32Array;
}

export interface ExitsByHand {
  readonly heads: readonly Head[];
  /** Per exit. */
  readonly logits: readonly Float32Array[];
  readonly confidence: readonly Float32Array[];
  /** The network's own, [samples · classes]. */
  readonly original: Float32Array;
}

/** Which exits, of those that there can be: taps and, for each of the exits, a kind of head. */
export interface AskedExits {
  /** Which taps, of those there are, wrapping round. */
  readonly taps: readonly number[];
  readonly kinds: readonly HeadKind[];
  readonly seed: number;
}

/**
 * Exits of `typed` at `taps`, as many as there are `kinds` at most, and what it and they say of each of `feeds`, which are samples. Behind them
 * stand those that `ends` makes.
 */
export async function exitsAt(
  typed: TypedModel,
  { taps: asked, kinds, seed }: AskedExits,
  feeds: readonly Feeds[],
  ends: (plan: ExitPlan) => readonly Head[] = () => [],
): Promise<ExitsByHand> {
  const { taps } = planExits(typed, { taps: [] });
  const chosen = taps.length > 0 ? asked.map((tap) => taps[tap % taps.length]!.value) : [];
  const plan = planExits(typed, { taps: [...new Set(chosen)].slice(0, kinds.length) });
  const kind = plan.exits.map(({ tap }, k) => (fits(kinds[k]!, tap) ? kinds[k]! : 'pool'));
  const attached = attachExits(plan, { kind, seed });
  const plain = attached.map((head) => ({ ...head, graph: runPasses(head.graph, [inferenceForm]) }));
  const features = await featuresOf(typed, plan, feeds);
  const spread = await Promise.all(plain.map((head) => varied(head, features, typed.classes)));
  const heads = [...spread, ...ends(plan)];
  const said = await Promise.all(heads.map((head) => runHead(head, features)));
  return {
    heads,
    logits: said.map((s) => s.logits),
    confidence: said.map((s) => s.confidence),
    original: Float32Array.from(features.flatMap((values) => [...floatsOf(values[typed.logits]!)])),
  };
}

/** Per sample: every tap, and the logits. */
async function featuresOf(
  { model, logits }: TypedModel,
  { exits }: ExitPlan,
  feeds: readonly Feeds[],
): Promise<Outputs[]> {
  const outputs = [...exits.map(({ tap }) => tap.value), logits].map((name) => ({ name, type: undefined }));
  return withSession({ ...model, graph: { ...model.graph, outputs } }, ONE_THREAD, async (session) => {
    const found: Outputs[] = [];
    for (const feed of feeds) found.push(await session.run(feed));
    return found;
  });
}

async function runHead({ graph, exit }: Head, features: readonly Outputs[]): Promise<Said> {
  const logits: number[] = [];
  const confidence: number[] = [];
  await withSession(makeModel(graph), ONE_THREAD, async (session) => {
    for (const values of features) {
      const tap = values[exit.tap.value]!;
      const out = await session.run({ features: new Tensor('float32', floatsOf(tap), tap.dims) });
      logits.push(...(out.logits!.data as Float32Array));
      confidence.push(...((out.confidence?.data as Float32Array) ?? []));
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
    for (const [i, v] of said.entries()) mean[i % width]! += v / features.length;
    const spread = Math.sqrt(said.reduce((sum, v, i) => sum + (v - mean[i % width]!) ** 2, 0) / said.length);
    const scale = Math.min(2 / spread, 1e3);
    const values = new Float32Array(Uint8Array.from(tensor.bytes).buffer);
    const changed =
      part === 'bias' ? values.map((v, i) => scale * (v - mean[i]!)) : values.map((v) => scale * v);
    return { ...tensor, bytes: new Uint8Array(changed.buffer) };
  });
  return { ...head, graph: { ...head.graph, initializers } };
}

/** Random parameters in the shape that each policy has them in. */
export const PARAMETERS: Record<
  PolicyName,
  (exits: number, classes: number, random: Random) => PolicyParameters
> = {
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
