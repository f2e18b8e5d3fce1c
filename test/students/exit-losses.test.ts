import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { differentiate } from '../../src/autodiff/differentiate.ts';
import { GraphBuilder, makeModel } from '../../src/graph/builder.ts';
import { bindDims } from '../../src/graph/infer.ts';
import { Random } from '../../src/graph/random.ts';
import { floatTensor } from '../../src/graph/tensor.ts';
import { Tensor, withSession } from '../../src/ort/session.ts';
import { runPasses } from '../../src/passes/pass.ts';
import { EXIT_LOSSES, type ExitLoss, exitLoss, WARM_UP } from '../../src/students/exit-losses.ts';
import { LossBuilder } from '../../src/train/losses.ts';

const test = suite('students: exit losses');

const [N, C, K] = [6, 3, 3];
const COSTS = [0.2, 0.6, 1];
const LABELS = [0, 2, 1, 1, 2, 0];
const TEMPERATURE = 3;
const COST_WEIGHT = 0.7;
const random = new Random(11, 'exit losses');
const normals = (n: number) => Float32Array.from({ length: n }, () => random.gaussian());
const teacher = normals(N * C);
/** Scores of each exit, [K][N * C], and what the sigmoid of inner exits' confidence reads, [K - 1][N]. */
const scores = COSTS.map(() => normals(N * C).map((v) => 1.5 * v));
// The last exit alone is right about the second sample.
for (const [i, own] of scores.entries()) own[C + LABELS[1]!]! += i === K - 1 ? 4 : -4;
const sures = [normals(N), normals(N)];

// The losses once more, in plain arithmetic.
type Numbers = readonly number[];
const sum = (values: Numbers) => values.reduce((a, v) => a + v, 0);
const mean = (values: Numbers) => sum(values) / values.length;
const logSoftmax = (z: Numbers) => {
  const all = Math.log(sum(z.map(Math.exp)));
  return z.map((v) => v - all);
};
const rowOf = (flat: ArrayLike<number>, n: number) => Array.from({ length: C }, (_, c) => flat[n * C + c]!);

function expected(loss: ExitLoss, s: number, z: readonly Numbers[], r: readonly Numbers[]): number {
  const samples = [...LABELS.keys()];
  const distance = (row: Numbers, n: number) => {
    const cool = (v: Numbers) => logSoftmax(v.map((x) => x / TEMPERATURE));
    const [t, q] = [cool(rowOf(teacher, n)), cool(row)];
    const divergence = sum(t.map((v, c) => Math.exp(v) * (v - q[c]!)));
    return -(1 - s) * logSoftmax(row)[LABELS[n]!]! + s * TEMPERATURE ** 2 * divergence;
  };
  const L = z.map((flat) => samples.map((n) => distance(rowOf(flat, n), n)));
  const h = [...r.map((row) => row.map((v) => 1 / (1 + Math.exp(-v)))), samples.map(() => 1)];
  if (loss === 'branchynet') return mean(L[0]!) + 0.65 * mean(L[1]!) + 0.3 * mean(L[2]!);
  if (loss === 'msdnet') return sum(L.map(mean));
  if (loss === 'eenet-v1' || loss === 'eenet-v2') {
    const risksFrom = (i: number) =>
      samples.map((n) => {
        const mixed = (k: number): { p: Numbers; c: number } => {
          const p = logSoftmax(rowOf(z[k]!, n)).map(Math.exp);
          if (k === K - 1) return { p, c: COSTS[k]! };
          const [share, later] = [h[k]![n]!, mixed(k + 1)];
          return {
            p: p.map((v, c) => share * v + (1 - share) * later.p[c]!),
            c: share * COSTS[k]! + (1 - share) * later.c,
          };
        };
        const { p, c } = mixed(i);
        return distance(p.map(Math.log), n) + COST_WEIGHT * c;
      });
    return loss === 'eenet-v1' ? mean(risksFrom(0)) : sum([0, 1, 2].map((i) => mean(risksFrom(i))));
  }
  if (loss === 'eenet-v3') {
    const all = sum(h.map(mean));
    return sum(L.map((row, i) => (mean(h[i]!) / all) * (mean(row) + COST_WEIGHT * COSTS[i]!)));
  }
  const risks = samples.map((n) => L.map((row, i) => row[n]! + COST_WEIGHT * COSTS[i]!));
  const tags = risks.map((row) => row.indexOf(Math.min(...row)));
  const confidence = [0, 1].map((i) => {
    const rate = tags.filter((tag) => tag === i).length / N;
    return mean(
      tags.map((tag, n) => -(tag === i ? (1 - rate) * Math.log(h[i]![n]!) : rate * Math.log(1 - h[i]![n]!))),
    );
  });
  return mean(risks.map((row) => Math.min(...row))) + sum(confidence);
}

/** The loss as a graph, and its derivatives by scores and by what the sigmoids read. */
async function computed(loss: ExitLoss, softShare: number, warmUp = 0) {
  const b = new GraphBuilder();
  const answers = COSTS.map((cost, i) => {
    const own = b.initializer(floatTensor(`scores${i}`, [N, C], scores[i]!));
    if (i === K - 1) return { scores: own, cost };
    const sure = b.initializer(floatTensor(`sure${i}`, [N], sures[i]!));
    return { scores: own, confidence: b.op('Sigmoid', [sure], {}, `confidence${i}`), cost };
  });
  const builder = new LossBuilder(b.build('answers'), C);
  builder.loss(
    exitLoss(builder, answers, { loss, softShare, temperature: TEMPERATURE, costWeight: COST_WEIGHT }),
  );
  const reads = loss !== 'branchynet' && loss !== 'msdnet';
  const wrt = ['scores0', 'scores1', 'scores2', ...(reads ? ['sure0', 'sure1'] : [])];
  const graph = runPasses(bindDims(builder.finish(), { N }), [differentiate({ loss: 'loss', wrt })]);
  const feeds = {
    labels: new Tensor('int64', BigInt64Array.from(LABELS, BigInt), [N]),
    teacher: new Tensor('float32', teacher, [N, C]),
    ...(reads && { [WARM_UP]: new Tensor('float32', [warmUp], []) }),
  };
  return await withSession(makeModel(graph), { threads: 1 }, async (session) => {
    const outputs = await session.run(feeds);
    const of = (name: string) => [...(outputs[name]!.data as Float32Array)];
    return { loss: of('loss')[0]!, gradients: new Map(wrt.map((name) => [name, of(`grad/${name}`)])) };
  });
}

for (const loss of EXIT_LOSSES) {
  for (const softShare of [0, 0.7]) {
    test(`${loss}, ${softShare ? 'soft targets too' : 'labels alone'}: value and derivatives`, async () => {
      const found = await computed(loss, softShare);
      const at = (moved?: { name: string; element: number; by: number }) => {
        const move = (name: string, values: Float32Array) =>
          Array.from(values, (v, i) => v + (moved?.name === name && moved.element === i ? moved.by : 0));
        return expected(
          loss,
          softShare,
          scores.map((v, i) => move(`scores${i}`, v)),
          sures.map((v, i) => move(`sure${i}`, v)),
        );
      };
      assert.ok(Math.abs(found.loss - at()) < 1e-5 * Math.abs(at()), `${found.loss} for ${at()}`);
      let largest = 0;
      for (const [name, gradient] of found.gradients) {
        gradient.forEach((g, element) => {
          const by = 1e-5;
          const numeric = (at({ name, element, by }) - at({ name, element, by: -by })) / (2 * by);
          largest = Math.max(largest, Math.abs(numeric));
          assert.ok(Math.abs(g - numeric) < 1e-5, `${name}[${element}]: ${g} for ${numeric}`);
        });
      }
      assert.ok(largest > 0.01);
    });
  }
}

test('EENet’s losses begin with that of equal weights', async () => {
  const { loss } = await computed('msdnet', 0.7);
  for (const version of EXIT_LOSSES.slice(2))
    assert.is((await computed(version, 0.7, 1)).loss.toPrecision(6), loss.toPrecision(6));
});

test('in v4 every exit has samples here', () => {
  const risk = (n: number, k: number) =>
    -logSoftmax(rowOf(scores[k]!, n))[LABELS[n]!]! + COST_WEIGHT * COSTS[k]!;
  const tags = LABELS.map((_, n) => [0, 1, 2].reduce((best, k) => (risk(n, k) < risk(n, best) ? k : best)));
  assert.equal([...new Set(tags)].sort(), [0, 1, 2]);
});

test.run();
