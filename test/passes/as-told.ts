/** A model with exits of its own as ground truth: lowered, it leaves where its own outputs say, with their answers. */
import * as assert from 'uvu/assert';
import type { Model } from '../../src/graph/types.ts';
import { observeFacts } from '../../src/model/observe-facts.ts';
import { Tensor, withSession } from '../../src/ort/session.ts';
import { type ExistingExits, extractExits } from '../../src/passes/extract-exits.ts';
import { lowerExits } from '../../src/passes/lower-exits.ts';
import { noise } from '../models.ts';

const SAMPLE = 192;
const CLASSES = 5;
const COUNT = 64;
const samples = noise(COUNT * SAMPLE, 5).map((v, i) => v * (0.3 + Math.floor(i / SAMPLE) / 24));
export const image = (from: number, n: number) =>
  new Tensor('float32', samples.slice(from * SAMPLE, (from + n) * SAMPLE), [n, 3, 8, 8]);

export const softmax = (z: readonly number[]) => {
  const e = z.map((v) => Math.exp(v - Math.max(...z)));
  const sum = e.reduce((a, b) => a + b);
  return e.map((v) => v / sum);
};

/** Every output of the model as it came, one sample at a time. */
export async function outputsOf(model: Model, names: readonly string[]): Promise<number[][][]> {
  return withSession(model, { threads: 1 }, async (session) => {
    const rows = names.map((): number[][] => []);
    for (let i = 0; i < COUNT; i++) {
      const out = await session.run({ image: image(i, 1) }, names);
      for (const [k, name] of names.entries()) rows[k]!.push([...(out[name]!.data as Float32Array)]);
    }
    return rows;
  });
}

/** Between the two scores with the widest gap in the middle third. */
function midway(scores: readonly number[]): number {
  const sorted = scores.toSorted((a, b) => a - b);
  const third = Math.floor(sorted.length / 3);
  const some = Array.from({ length: third }, (_, i) => third + i);
  const i = some.reduce((a, b) => (sorted[b + 1]! - sorted[b]! > sorted[a + 1]! - sorted[a]! ? b : a));
  return Math.fround((sorted[i]! + sorted[i + 1]!) / 2);
}

/**
 * Takes `original` apart at its graph outputs `outputs`, lowers it, and compares every answer at batches 1, 7 and 64 with what the outputs say by themselves;
 * some samples leave at each exit. `ends`: what each output gives.
 */
export async function leavesAsToldBy(
  original: Model,
  outputs: readonly string[],
  ends: readonly ('logits' | 'softmax')[],
): Promise<ExistingExits> {
  const rows = await outputsOf(original, outputs);
  const probabilities = rows.map((list, k) => list.map((z) => (ends[k] === 'softmax' ? z : softmax(z))));
  const scores = probabilities.slice(0, -1).map((list) => list.map((y) => Math.max(...y)));
  const leaves = Array.from({ length: COUNT }, () => scores.length);
  const thresholds = scores.map((list, k) => {
    const here = [...leaves.keys()].filter((i) => leaves[i] === scores.length);
    const threshold = midway(here.map((i) => list[i]!));
    for (const i of here) if (list[i]! > threshold) leaves[i] = k;
    return threshold;
  });
  assert.is(new Set(leaves).size, outputs.length, `every exit is taken: ${leaves}`);

  const typed = await observeFacts(original, { output: outputs.at(-1)! });
  const existing = extractExits(typed, outputs);
  const { plan, heads } = existing;
  assert.equal(
    plan.exits.map((e) => e.id),
    scores.map((_, k) => `exit_${k + 1}`),
  );
  assert.ok(heads.every((h, k) => h.kind === 'given' && h.exit === plan.exits[k]));
  const lowered = lowerExits(plan.typed, heads, { policy: 'max-prob', dropOutputs: true });
  await withSession(lowered, { threads: 1 }, async (session) => {
    for (const batch of [1, 7, 64]) {
      for (let at = 0; at < COUNT; at += batch) {
        const n = Math.min(batch, COUNT - at);
        const out = await session.run({
          image: image(at, n),
          thresholds: new Tensor('float32', Float32Array.from(thresholds), [scores.length]),
        });
        assert.equal([...(out.exit_index!.data as BigInt64Array)].map(Number), leaves.slice(at, at + n));
        const found = out[outputs.at(-1)!]!.data as Float32Array;
        for (let i = 0; i < n; i++) {
          const y = softmax([...found.slice(i * CLASSES, (i + 1) * CLASSES)]);
          const expected = probabilities[leaves[at + i]!]![at + i]!;
          for (const [c, p] of y.entries()) assert.ok(Math.abs(p - expected[c]!) < 1e-5);
        }
      }
    }
  });
  return existing;
}
