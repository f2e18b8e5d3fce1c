import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { differentiate } from '../../src/autodiff/differentiate.ts';
import { makeModel } from '../../src/graph/builder.ts';
import { bindDims } from '../../src/graph/infer.ts';
import { Random } from '../../src/graph/random.ts';
import { toFloat32Array } from '../../src/graph/tensor.ts';
import type { Graph } from '../../src/graph/types.ts';
import { type Feeds, Session, Tensor } from '../../src/ort/session.ts';
import { buildHead } from '../../src/passes/heads.ts';
import { runPasses } from '../../src/passes/pass.ts';
import { distill, joinHeads, LOSS, pteenet } from '../../src/train/losses.ts';
import { oneCycle } from '../../src/train/recipes.ts';
import { trainable } from '../../src/train/stepper.ts';

const test = suite('train: losses');
const [N, F, K] = [5, 3, 4];
const IDS = ['exit_1', 'exit_2'];
const LABELS = [0, 3, 1, 1, 2];

const random = new Random(5, 'losses');
const normals = (n: number) => Float32Array.from({ length: n }, () => random.gaussian());
const teacher = normals(N * K).map((v) => 2 * v);
const features = IDS.map(() => normals(N * F));

function joined(ids: readonly string[]): Graph {
  const heads = ids.map((id, i) => ({ id, graph: buildHead('pool', [F], K, { seed: i, dropout: 0 }) }));
  const graph = joinHeads(heads);
  // Larger weights than heads start with, so that scores and confidences differ.
  const initializers = graph.initializers.map((t) => {
    if (!t.name.endsWith('/weight')) return t;
    return { ...t, bytes: new Uint8Array(toFloat32Array(t).map((v) => 8 * v).buffer) };
  });
  return bindDims({ ...graph, initializers }, { N });
}

const feedsFor = (ids: readonly string[], more: Feeds = {}): Feeds => ({
  ...Object.fromEntries(ids.map((id, i) => [`${id}/features`, new Tensor('float32', features[i]!, [N, F])])),
  labels: new Tensor('int64', BigInt64Array.from(LABELS, BigInt), [N]),
  teacher: new Tensor('float32', teacher, [N, K]),
  ...more,
});
const survivors = (on: number) => ({ survivors: new Tensor('float32', [on], []) });

async function run(graph: Graph, feeds: Feeds) {
  const session = await Session.open(makeModel(bindDims(graph, { N })), {
    threads: 1,
    optimization: 'basic',
  });
  const outputs = await session.run(feeds);
  await session.release();
  return (name: string) => [...(outputs[name]!.data as Float32Array)];
}

const rows = (flat: ArrayLike<number>) =>
  Array.from({ length: N }, (_, n) => Array.from({ length: K }, (_, k) => flat[n * K + k]!));
function softmax(z: readonly number[], t = 1): number[] {
  const e = z.map((v) => Math.exp(v / t));
  const sum = e.reduce((a, b) => a + b);
  return e.map((v) => v / sum);
}
const mean = (values: readonly number[]) => values.reduce((a, b) => a + b) / values.length;
const close = (a: number, b: number, tolerance: number) =>
  assert.ok(Math.abs(a - b) <= tolerance * Math.max(1, Math.abs(b)), `${a} instead of ${b}`);

test('distill is its formula, with and without the weights of survivors', async () => {
  const leaving = { at: 0.6, softness: 0.1 };
  for (const on of [0, 1]) {
    const at = await run(distill(joined(IDS), IDS, K, { leaving, floor: 0.2 }), feedsFor(IDS, survivors(on)));
    const heads = IDS.map((id) => rows(at(`${id}/logits`)));
    let survives = LABELS.map(() => 1);
    const expected = heads.map((student) => {
      const raw = survives.map((s) => 0.2 + 0.8 * s);
      const weight = raw.map((w) => (on ? w / mean(raw) : 1));
      const leave = student.map(
        (z) => 1 / (1 + Math.exp(-(Math.max(...softmax(z)) - leaving.at) / leaving.softness)),
      );
      survives = survives.map((s, n) => s * (1 - leave[n]!));
      const perSample = student.map((z, n) => {
        const hard = -Math.log(softmax(z)[LABELS[n]!]!);
        const q = softmax(rows(teacher)[n]!, 4);
        const p = softmax(z, 4);
        const divergence = q.reduce((sum, v, k) => sum + v * Math.log(v / p[k]!), 0);
        return weight[n]! * (0.5 * hard + 0.5 * 16 * divergence);
      });
      return mean(perSample);
    });
    assert.ok(Math.min(...survives) < 0.5 && Math.max(...survives) > 0.5, 'some leave, some stay');
    close(at(LOSS)[0]!, expected[0]! + expected[1]!, 1e-5);
  }
});

test('pteenet v1 and v2 are the recursion', async () => {
  const [lambda, costs] = [0.9, [0.3, 0.6]];
  for (const version of [1, 2] as const) {
    const at = await run(pteenet(joined(IDS), IDS, K, { version, lambda, costs }), feedsFor(IDS));
    const risks = [2, 1, 0].map((first) => {
      const perSample = LABELS.map((label, n) => {
        let p = softmax(rows(teacher)[n]!);
        let c = 1;
        for (let i = 1; i >= first; i--) {
          const h = at(`${IDS[i]}/confidence`)[n]!;
          const own = softmax(rows(at(`${IDS[i]}/logits`))[n]!);
          p = p.map((later, k) => h * own[k]! + (1 - h) * later);
          c = h * costs[i]! + (1 - h) * c;
        }
        return -Math.log(p[label]!) + lambda * c;
      });
      return mean(perSample);
    });
    const expected = version === 1 ? risks[2]! : risks.reduce((a, b) => a + b) / 2;
    close(at(LOSS)[0]!, expected, 1e-5);
  }
});

const LOSSES: Record<string, { graph: Graph; feeds: Feeds; trains: number }> = {
  distill: {
    // Weights of survivors are detached, so slopes would not see what gradients leave out: off here.
    graph: distill(joined(IDS), IDS, K),
    feeds: feedsFor(IDS, survivors(0)),
    trains: 4,
  },
  'pteenet-v1': {
    graph: pteenet(joined(IDS), IDS, K, { version: 1, lambda: 0.5, costs: [0.2, 0.7] }),
    feeds: feedsFor(IDS),
    trains: 8,
  },
  'pteenet-v2': {
    graph: pteenet(joined(IDS), IDS, K, { version: 2, lambda: 0.5, costs: [0.2, 0.7] }),
    feeds: feedsFor(IDS),
    trains: 8,
  },
};

for (const [name, { graph, feeds, trains }] of Object.entries(LOSSES)) {
  test(`${name}: gradients are the slopes`, async () => {
    const bound = bindDims(graph, { N });
    const wrt = trainable(bound);
    assert.is(wrt.length, trains);
    const at = await run(runPasses(bound, [differentiate({ loss: LOSS, wrt })]), feeds);
    for (const parameter of wrt) {
      const gradient = at(`grad/${parameter}`);
      const direction = gradient.map((_, i) => Math.sin(1 + i));
      const moved = async (by: number) => {
        const initializers = bound.initializers.map((t) => {
          if (t.name !== parameter) return t;
          const values = toFloat32Array(t).map((v, i) => v + by * direction[i]!);
          return { ...t, bytes: new Uint8Array(values.buffer) };
        });
        return (await run({ ...bound, initializers }, feeds))(LOSS)[0]!;
      };
      const h = 1e-2;
      const slope = ((await moved(h)) - (await moved(-h))) / (2 * h);
      close(
        gradient.reduce((sum, g, i) => sum + g * direction[i]!, 0),
        slope,
        5e-3,
      );
    }
  });
}

test('one cycle rises from 1/25 to 1 in a quarter and ends at almost nothing', () => {
  const rates = Array.from({ length: 101 }, (_, i) => oneCycle(i, 101));
  close(rates[0]!, 0.04, 1e-9);
  close(Math.max(...rates), 1, 1e-3);
  assert.ok(rates.indexOf(Math.max(...rates)) >= 24 && rates.indexOf(Math.max(...rates)) <= 27);
  close(rates[100]!, 4e-6, 1e-9);
});

test('the weights of survivors carry no gradient to the earlier head', async () => {
  const graph = bindDims(distill(joined(IDS), IDS, K, { leaving: { at: 0.6, softness: 0.1 } }), { N });
  const wrt = ['exit_1/classifier/weight'];
  const differentiated = runPasses(graph, [differentiate({ loss: LOSS, wrt })]);
  const [off, on] = await Promise.all([0, 1].map((v) => run(differentiated, feedsFor(IDS, survivors(v)))));
  assert.equal(on!(`grad/${wrt[0]}`), off!(`grad/${wrt[0]}`));
});

test.run();
