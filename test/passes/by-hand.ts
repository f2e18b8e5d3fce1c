/** A small residual net with three heads, what they say run one by one, and the lowered model at work. */
import * as assert from 'uvu/assert';
import { inferenceForm } from '../../src/autodiff/training-form.ts';
import { makeModel } from '../../src/graph/builder.ts';
import type { Model } from '../../src/graph/types.ts';
import { observeFacts } from '../../src/model/observe-facts.ts';
import { Tensor, withSession } from '../../src/ort/session.ts';
import { attachExits } from '../../src/passes/attach-exits.ts';
import type { Head, HeadKind, TypedModel } from '../../src/passes/exits.ts';
import { runPasses } from '../../src/passes/pass.ts';
import { planExits } from '../../src/passes/plan-exits.ts';
import { argMaxRows } from '../../src/policies/rows.ts';
import { noise, tinyResidual } from '../models.ts';

const TAPS = ['stem', 'block1', 'block2'];
export const SAMPLE = 3 * 8 * 8;
export const COUNT = 64;
export const samples = noise(COUNT * SAMPLE, 99).map((v, i) => v * (1 + Math.floor(i / SAMPLE) / 16));

export async function prepare(model: Model, kind: HeadKind = 'pool', taps = TAPS) {
  const typed = await observeFacts(model);
  const plan = planExits(typed, { taps });
  const heads = attachExits(plan, { kind, seed: 3 }).map((head) => ({
    ...head,
    graph: runPasses(head.graph, [inferenceForm]),
  }));
  return { typed, heads: heads.map(sharpened) };
}

/** Heads start near-uniform; larger classifier weights make scores that differ between samples. */
function sharpened(head: Head): Head {
  const initializers = head.graph.initializers.map((t) => {
    if (t.name !== 'classifier/weight' && t.name !== 'confidence/weight') return t;
    const values = new Float32Array(Uint8Array.from(t.bytes).buffer).map((v) => v * 40);
    return { ...t, bytes: new Uint8Array(values.buffer) };
  });
  return { ...head, graph: { ...head.graph, initializers } };
}

export interface ByHand {
  /** Per exit and then the original's, [count, classes]. */
  readonly logits: Float32Array[];
  /** Per exit, [count]. */
  readonly confidences: Float32Array[];
}

/** Every exit's outputs for every sample: taps from the original, then each head on its own. */
export async function byHand(typed: TypedModel, heads: readonly Head[], data: Float32Array): Promise<ByHand> {
  const count = data.length / SAMPLE;
  const classes = typed.classes;
  const graph = typed.model.graph;
  const outputs = [...heads.map((h) => h.exit.tap.value), typed.logits].map((name) => ({
    name,
    type: undefined,
  }));
  const values = await withSession({ ...typed.model, graph: { ...graph, outputs } }, {}, async (session) => {
    const rows = [];
    for (let i = 0; i < count; i++) {
      const image = new Tensor('float32', data.slice(i * SAMPLE, (i + 1) * SAMPLE), [1, 3, 8, 8]);
      rows.push(await session.run({ image }));
    }
    return rows;
  });
  const logits: Float32Array[] = [];
  const confidences: Float32Array[] = [];
  for (const head of heads) {
    const all = new Float32Array(count * classes);
    const confidence = new Float32Array(count);
    await withSession(makeModel(head.graph), {}, async (session) => {
      for (let i = 0; i < count; i++) {
        const out = await session.run({ features: values[i]![head.exit.tap.value]! });
        all.set(out.logits!.data as Float32Array, i * classes);
        confidence[i] = (out.confidence!.data as Float32Array)[0]!;
      }
    });
    logits.push(all);
    confidences.push(confidence);
  }
  const final = Float32Array.from(values.flatMap((v) => [...(v[typed.logits]!.data as Float32Array)]));
  return { logits: [...logits, final], confidences };
}

/** A net as `prepare` takes it, or the small one, with heads whose answers differ from sample to sample: each class's mean logit is taken off its bias. */
export async function prepareVaried(options: Parameters<typeof tinyResidual>[0] | Model = {}) {
  const { typed, heads } = await prepare('graph' in options ? options : tinyResidual(options));
  const { classes } = typed;
  const { logits } = await byHand(typed, heads, samples);
  const varied = heads.map((head, k): Head => {
    const bias = new Float32Array(classes);
    for (const [at, z] of logits[k]!.entries()) bias[at % classes]! -= z / COUNT;
    const bytes = new Uint8Array(bias.buffer);
    const initializers = head.graph.initializers.map((t) =>
      t.name === 'classifier/bias' ? { ...t, bytes } : t,
    );
    return { ...head, graph: { ...head.graph, initializers } };
  });
  return { typed, heads: varied, hand: await byHand(typed, varied, samples) };
}

/** Right answers: each class once, then the original's for one sample in two, the exits' in turn for the others. */
export const labelsOf = (hand: ByHand, classes: number) =>
  Int32Array.from({ length: COUNT }, (_, i) => {
    if (i < classes) return i;
    const answered = i % 2 ? hand.logits.at(-1)! : hand.logits[(i / 2) % 3]!;
    return argMaxRows(answered.slice(i * classes, (i + 1) * classes), 1)[0]!;
  });

/** In the middle of the widest gap between neighbouring scores around `share` of the samples. */
export function midway(scores: Float32Array, share: number): number {
  const sorted = [...scores].sort((a, b) => a - b);
  const from = Math.floor((share - 0.1) * (sorted.length - 1));
  const gaps = sorted
    .slice(from, from + Math.ceil(0.2 * sorted.length))
    .map((s, i) => sorted[from + i + 1]! - s);
  const i = from + gaps.indexOf(Math.max(...gaps));
  return Math.fround((sorted[i]! + sorted[i + 1]!) / 2);
}

export async function runLowered(
  model: Model,
  data: Float32Array,
  batch: number,
  thresholds: readonly number[] | undefined,
) {
  const exits: number[] = [];
  const scores: number[] = [];
  const confidences: number[] = [];
  await withSession(model, {}, async (session) => {
    for (let at = 0; at < data.length; at += batch * SAMPLE) {
      const slice = data.slice(at, at + batch * SAMPLE);
      const image = new Tensor('float32', slice, [slice.length / SAMPLE, 3, 8, 8]);
      const feeds = thresholds
        ? { image, thresholds: new Tensor('float32', Float32Array.from(thresholds), [thresholds.length]) }
        : { image };
      const out = await session.run(feeds);
      assert.equal(out.exit_index!.dims, [slice.length / SAMPLE]);
      assert.equal(out.exit_confidence!.dims, [slice.length / SAMPLE]);
      exits.push(...[...(out.exit_index!.data as BigInt64Array)].map(Number));
      scores.push(...(out.scores!.data as Float32Array));
      confidences.push(...(out.exit_confidence!.data as Float32Array));
    }
  });
  return { exits, scores, confidences };
}
