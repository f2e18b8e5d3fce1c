import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { PLAIN_VIEW } from '../../src/data/index.ts';
import { checkGraph } from '../../src/graph/check.ts';
import type { Graph } from '../../src/graph/types.ts';
import type { Head, HeadKind } from '../../src/passes/exits.ts';
import { argMaxRows } from '../../src/policies/rows.ts';
import type { FeatureSource } from '../../src/train/feature-source.ts';
import { MIRRORED, openFeatures } from '../../src/train/features.ts';
import { runHeads } from '../../src/train/outputs.ts';
import { trainHeads } from '../../src/train/train.ts';
import type { TrainOptions, TrainProgress } from '../../src/train/train-options.ts';
import { groupByMacs } from '../../src/train/workers.ts';
import { syntheticData, syntheticHeads, syntheticModel, temporaryFolder } from './synthetic.ts';

const test = suite('train: train');
const session = { threads: 1 };
const typed = syntheticModel();
const cacheFolder = temporaryFolder();

const open = (heads: readonly Head[], size = 1000, views = [PLAIN_VIEW]) =>
  openFeatures({ typed, modelHash: 'm', heads, dataset: syntheticData(size), cacheFolder, views, session });

async function train(heads: readonly Head[], options: Partial<TrainOptions> = {}, source?: FeatureSource) {
  const opened = source ?? (await open(heads));
  try {
    return await trainHeads(heads, opened, {
      seed: 1,
      epochs: 6,
      learningRate: 1e-2,
      batch: 50,
      session,
      ...options,
    });
  } finally {
    await opened.close();
  }
}

/** Share of fresh samples that each head gets right. */
async function accuracies(heads: readonly Head[]): Promise<number[]> {
  const dataset = syntheticData(600, 2);
  const source = await openFeatures({ typed, modelHash: 'm', heads, dataset, session });
  const { logits } = await runHeads(heads, source, undefined, { session });
  await source.close();
  return logits.map((l) => argMaxRows(l, 600).filter((c, i) => c === dataset.labels[i]).length / 600);
}

const bytesOf = (graph: Graph) =>
  graph.initializers.map((t) => [t.name, Buffer.from(t.bytes).toString('base64')]);

const ENOUGH: Partial<Record<HeadKind, number>> = { strided: 0.9, conv: 0.6, pool: 0.35 };

for (const [kind, enough] of Object.entries(ENOUGH) as [HeadKind, number][]) {
  test(`${kind} heads learn, and come back in inference form`, async () => {
    const heads = syntheticHeads(kind);
    const seen: TrainProgress[] = [];
    const trained = await train(heads, { onProgress: (p) => seen.push(p) });
    assert.equal(
      trained.map((h) => h.exit.id),
      ['exit_1', 'exit_2'],
    );
    assert.equal(
      seen.map((p) => p.done),
      Array.from({ length: 120 }, (_, i) => i + 1),
    );
    assert.ok(seen.every((p) => p.total === 120 && p.rate > 0));
    for (const { loss, losses } of seen)
      assert.ok(
        Math.abs(losses.exit_1! + losses.exit_2! - loss) < 1e-4 * loss,
        'the loss is the sum of the heads\u2019',
      );
    assert.ok(seen.at(-1)!.loss < seen[0]!.loss, `${seen[0]!.loss} ${seen.at(-1)!.loss}`);
    for (const [i, { graph, macs }] of trained.entries()) {
      checkGraph(graph);
      assert.ok(graph.nodes.every((n) => n.opType !== 'BatchNormalization' && n.opType !== 'Dropout'));
      assert.ok(graph.nodes.some((n) => n.outputs.includes('pooled')));
      assert.is(macs, heads[i]!.macs);
    }
    const [before, after] = [await accuracies(heads), await accuracies(trained)];
    assert.ok(
      after.every((a, i) => a > before[i]! && a > enough),
      `${before} → ${after}`,
    );
  });
}

test('the same seed gives the same bytes, another seed others', async () => {
  const heads = syntheticHeads();
  const run = async (seed: number) => (await train(heads, { seed, epochs: 2 })).map((h) => bytesOf(h.graph));
  const first = await run(1);
  assert.equal(await run(1), first);
  assert.not.equal(await run(2), first);
});

for (const recipe of ['pteenet-v1', 'pteenet-v2'] as const) {
  test(`${recipe} trains all heads and confidences together`, async () => {
    const heads = syntheticHeads();
    const options = { recipe, lambda: 2, learningRate: 1e-2 };
    const trained = await train(heads, { ...options, targets: 'labels' });
    const before = new Map(heads[0]!.graph.initializers.map((t) => [t.name, t.bytes]));
    const weight = trained[0]!.graph.initializers.find((t) => t.name === 'confidence/weight')!;
    assert.not.equal(weight.bytes, before.get('confidence/weight'));
    assert.ok(
      (await accuracies(trained)).some((a) => a > 0.9),
      `${await accuracies(trained)}`,
    );
  });
}

test('cached views, recomputed features and small data train too', async () => {
  const heads = syntheticHeads();
  const total = async (source: FeatureSource, batch: number) => {
    const steps: number[] = [];
    await train(heads, { epochs: 2, batch, onProgress: (p) => steps.push(p.total) }, source);
    return steps.at(-1);
  };
  assert.is(await total(await open(heads, 130, [PLAIN_VIEW, MIRRORED]), 50), 2 * 2);
  assert.is(await total(await open(heads, 20), 50), 2);
  const dataset = syntheticData(130);
  const fresh = { typed, modelHash: 'm', heads, dataset, views: [PLAIN_VIEW, MIRRORED], session };
  assert.is(await total(await openFeatures(fresh), 50), 2 * 2);
});

test('workers train what one thread trains, each head its own way, and tell how the slowest is doing', async () => {
  const heads = syntheticHeads();
  const seen: TrainProgress[] = [];
  const run = (options: Partial<TrainOptions> = {}) =>
    train(heads, { epochs: 6, session: { threads: 2 }, ...options });
  const first = await run({ onProgress: (p) => seen.push(p) });
  assert.equal(
    first.map((h) => h.exit.id),
    ['exit_1', 'exit_2'],
  );
  assert.equal(
    seen.map((p) => p.done),
    Array.from({ length: 120 }, (_, i) => i + 1),
  );
  assert.equal(
    (await run()).map((h) => bytesOf(h.graph)),
    first.map((h) => bytesOf(h.graph)),
  );
  for (const [i, head] of heads.entries()) {
    const [alone] = await train([head], {}, await open([head]));
    assert.equal(bytesOf(alone!.graph), bytesOf(first[i]!.graph));
  }
  assert.ok((await accuracies(first)).every((a) => a > 0.9));
});

test('workers stop on abort, and an error in one keeps its code', async () => {
  const heads = syntheticHeads();
  const stop = new AbortController();
  const onProgress = ({ done }: TrainProgress) => done === 5 && stop.abort();
  const options = { session: { threads: 2 } };
  const error = await train(heads, { ...options, signal: stop.signal, onProgress }).catch((e: unknown) => e);
  assert.is((error as Error).name, 'AbortError');
  const diverged = await train(heads, { ...options, learningRate: 1e30 }).catch((e: unknown) => e);
  assert.is((diverged as { code: string }).code, 'training-diverged');
  assert.match((diverged as { hint: string }).hint, /`learningRate`/);
});

test('groups are of about the same MACs', () => {
  const heads = [3, 2, 2, 1].map((macs, i) => ({ macs, exit: { id: `${i}` } }) as Head);
  const macsOf = (count: number) => groupByMacs(heads, count).map((g) => g.map((h) => h.macs));
  assert.equal(macsOf(1), [[3, 2, 2, 1]]);
  assert.equal(macsOf(2), [
    [3, 1],
    [2, 2],
  ]);
  assert.is(macsOf(9).length, 4);
});

test('an abort stops between steps', async () => {
  const heads = syntheticHeads();
  const stop = new AbortController();
  let steps = 0;
  const onProgress = () => ++steps === 5 && stop.abort();
  const error = await train(heads, { signal: stop.signal, onProgress }).catch((e: unknown) => e);
  assert.is((error as Error).name, 'AbortError');
  assert.is(steps, 5);
});

test('a loss that is no number names head, step and remedy', async () => {
  const heads = syntheticHeads();
  const opened = await open(heads);
  const source: FeatureSource = Object.create(opened, {
    read: {
      value: async (...args: Parameters<FeatureSource['read']>) => {
        const batch = await opened.read(...args);
        new Uint16Array((batch.features.exit_2!.data as Uint16Array).buffer).fill(0x7e00);
        return batch;
      },
    },
  });
  const error = await train(heads, {}, source).catch((e: unknown) => e);
  assert.is((error as { code: string }).code, 'training-diverged');
  assert.match((error as Error).message, /exit_2 .* step 1 /);
  assert.match((error as { hint: string }).hint, /`learningRate`/);
});

test.run();
