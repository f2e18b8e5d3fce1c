import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inferenceForm } from '../../src/autodiff/training-form.ts';
import { searchPolicy } from '../../src/calibrate/index.ts';
import { GraphBuilder, makeModel } from '../../src/graph/builder.ts';
import type { Model } from '../../src/graph/types.ts';
import { observeFacts } from '../../src/model/observe-facts.ts';
import { Tensor, withSession } from '../../src/ort/session.ts';
import { floatsOf } from '../../src/ort/tensors.ts';
import { attachExits } from '../../src/passes/attach-exits.ts';
import { lowerExits } from '../../src/passes/lower-exits.ts';
import { runPasses } from '../../src/passes/pass.ts';
import { planExits } from '../../src/passes/plan-exits.ts';
import { ensembleLogits, ensembleNodes } from '../../src/policies/final-answer.ts';
import type { PolicyName } from '../../src/policies/index.ts';
import { type FittedPolicy, fitFinalAnswer, fitPolicy } from '../../src/predict/fitted-policy.ts';
import { outcomesAt, outcomesOf } from '../../src/predict/outcomes.ts';
import type { Predictions } from '../../src/predict/predict.ts';
import { ofOriginal } from '../calibrate/simulate.ts';
import { noise, tinyResidual } from '../models.ts';
import {
  type ByHand,
  COUNT,
  labelsOf,
  midway,
  prepare,
  prepareVaried,
  runLowered,
  SAMPLE,
  samples,
} from '../passes/by-hand.ts';

const test = suite('the last answer');

const COSTS = ofOriginal([0.2, 0.5, 0.8], [0.05, 0.05, 0.05]);
const RHO = Math.fround(0.3);

const softmax = (z: readonly number[]) => {
  const e = z.map((v) => Math.exp(v - Math.max(...z)));
  const sum = e.reduce((a, b) => a + b);
  return e.map((v) => v / sum);
};

const predictionsOf = (hand: ByHand, classes: number): Predictions => ({
  logits: hand.logits.slice(0, -1),
  confidence: hand.confidences,
  original: hand.logits.at(-1)!,
  labels: labelsOf(hand, classes),
});

/** p ∝ p° · Π p_k^ρ over the open exits k, of sample i. */
function geometric({ logits, original }: Predictions, open: readonly boolean[], classes: number, i: number) {
  const row = (of: Float32Array) => softmax([...of.subarray(i * classes, (i + 1) * classes)]);
  const product = row(original).map((p, c) =>
    logits.reduce((all, exit, k) => all * (open[k] ? row(exit)[c]! ** RHO : 1), p),
  );
  const sum = product.reduce((a, b) => a + b);
  return product.map((p) => p / sum);
}

const CASES: Partial<Record<PolicyName, { opset: number; batch?: 1 }[]>> = {
  'max-prob': [{ opset: 11 }, { opset: 21 }, { opset: 9, batch: 1 }],
  patience: [{ opset: 17 }],
  ensemble: [{ opset: 13 }, { opset: 17, batch: 1 }],
  correctness: [{ opset: 18 }],
};

for (const [policy, cases] of Object.entries(CASES) as [PolicyName, { opset: number; batch?: 1 }[]][])
  for (const options of cases)
    test(`${policy}, opset ${options.opset}, batch ${options.batch ?? 'N'}: graph and arithmetic are the geometric ensemble of open exits and original`, async () => {
      const { typed, heads, hand } = await prepareVaried(options);
      const { classes } = typed;
      const predictions = predictionsOf(hand, classes);
      const alone = fitPolicy(policy, predictions, COSTS);
      const fittedPolicy: FittedPolicy = { ...alone, final: RHO };
      const model = lowerExits(typed, heads, fittedPolicy);
      for (const open of [
        [true, true, true],
        [true, false, true],
        [false, true, false],
      ]) {
        const closings = open.map((is) => (is ? 0 : 1));
        const { scores } = outcomesOf(predictions, alone, closings);
        const thresholds = scores.map((s, k) =>
          open[k] ? (policy === 'patience' ? 0.5 / 3 : midway(s, 0.7)) : 1,
        );
        const seen = outcomesOf(predictions, fittedPolicy, thresholds);
        assert.equal(seen.scores, scores, 'the final answer does not change when samples leave');
        assert.equal(seen.original, outcomesOf(predictions, alone).original);
        const leaves = Array.from({ length: COUNT }, (_, i) => {
          const k = thresholds.findIndex((t, e) => t < 1 && scores[e]![i]! > t);
          return k < 0 ? 3 : k;
        });
        assert.ok(leaves.includes(3));
        const largest = Math.max(...hand.logits.flatMap((l) => [...l]).map(Math.abs));
        const baked = lowerExits(typed, heads, { ...fittedPolicy, baked: thresholds });
        for (const [run, batches] of [
          [model, options.batch ? [1] : [1, 7, 64]],
          [baked, options.batch ? [1] : [7]],
        ] as const)
          for (const batch of batches) {
            const got = await runLowered(run, samples, batch, run === baked ? undefined : thresholds);
            assert.equal(got.exits, leaves, `open ${open}, batch ${batch}`);
            for (const [i, k] of leaves.entries()) {
              const z = got.scores.slice(i * classes, (i + 1) * classes);
              for (let c = 0; c < classes; c++)
                assert.ok(Math.abs(z[c]! - seen.logits[k]![i * classes + c]!) < 2e-5 * largest);
              if (k < 3) continue;
              const wanted = geometric(predictions, open, classes, i);
              for (const found of [
                softmax(z),
                softmax([...seen.logits[3]!.subarray(i * classes, (i + 1) * classes)]),
              ])
                for (let c = 0; c < classes; c++) assert.ok(Math.abs(found[c]! - wanted[c]!) < 1e-4);
              assert.ok(Math.abs(got.confidences[i]! - Math.max(...wanted)) < 1e-4);
              const answer = wanted.indexOf(Math.max(...wanted));
              if (Math.max(...wanted.toSpliced(answer, 1)) < wanted[answer]! - 1e-5)
                assert.is(seen.final![i], answer);
            }
          }
      }
    });

test('with all exits closed the outputs are the same bytes as without the ensemble', async () => {
  for (const policy of ['max-prob', 'ensemble'] as const) {
    const { typed, heads, hand } = await prepareVaried();
    const predictions = predictionsOf(hand, typed.classes);
    const alone = fitPolicy(policy, predictions, COSTS);
    const closed = [1, 1, 1];
    assert.is(outcomesOf(predictions, { ...alone, final: RHO }, closed).logits[3], predictions.original);
    const outputs = [];
    for (const final of [undefined, RHO])
      for (const baked of [undefined, closed]) {
        const model = lowerExits(typed, heads, { ...alone, final, baked });
        const { scores, confidences } = await runLowered(model, samples, 7, baked ? undefined : closed);
        outputs.push(Buffer.from(Float32Array.from([...scores, ...confidences]).buffer).toString('hex'));
      }
    assert.is(outputs[2], outputs[0]);
    assert.is(outputs[3], outputs[1]);
  }
});

test('a sum of 0 leaves every float as it is, −0, NaN and infinities too; a weight of 0 adds no node', async () => {
  const odd = Float32Array.of(-0, 0, Number.NaN, Number.POSITIVE_INFINITY, -1e-45, 3.25);
  const state = new Float32Array(2 * odd.length);
  const b = new GraphBuilder();
  const values = [b.input('original', 'float', [1, 6]), b.input('state', 'float', [1, 12])] as const;
  const z = ensembleNodes(b, ...values, { classes: 6, width: 12, weight: RHO });
  b.output(z, 'float', [1, 6]);
  const graph = { ...b.build('ensemble'), initializers: b.initializers };
  const found = await withSession(makeModel(graph), {}, (session) =>
    session.run({
      original: new Tensor('float32', odd, [1, 6]),
      state: new Tensor('float32', state, [1, 12]),
    }),
  );
  for (const same of [found[z]!.data as Float32Array, ensembleLogits(odd, state, 6, RHO)])
    for (const [c, v] of odd.entries()) assert.ok(Object.is(same[c], v), `${v} became ${same[c]}`);

  const { typed, heads } = await prepare(tinyResidual());
  const [nothing, zero] = [undefined, 0].map((final) =>
    JSON.stringify(lowerExits(typed, heads, { policy: 'max-prob', final }).graph.nodes, (_, v) =>
      typeof v === 'bigint' ? `${v}` : v,
    ),
  );
  assert.is(zero, nothing);
});

test('NaN runs to the end and stays NaN, and affects no other sample', async () => {
  const { typed, heads } = await prepareVaried();
  const model = lowerExits(typed, heads, { policy: 'max-prob', final: RHO });
  const sick = samples.slice(0, 4 * SAMPLE).fill(Number.NaN, SAMPLE, 2 * SAMPLE);
  const eager = await runLowered(model, sick, 4, [0, 0, 0]);
  assert.equal(eager.exits, [0, 3, 0, 0]);
  const patient = [1 - 2 ** -24, 1 - 2 ** -24, 1 - 2 ** -24];
  const [among, alone] = [
    await runLowered(model, sick, 4, patient),
    await runLowered(model, sick, 1, patient),
  ];
  const lost = among.scores.map(Number.isNaN);
  assert.equal(lost, alone.scores.map(Number.isNaN));
  assert.ok(lost.every((is, at) => is === (Math.floor(at / typed.classes) === 1)));
});

/** The small net, with scores [N, 5, 1, 1] in half floats. */
function halfMaps(): Model {
  const model = tinyResidual({ opset: 17 });
  const b = new GraphBuilder('', new Set(['scores', 'image']));
  const nodes = model.graph.nodes.map((n) => ({
    ...n,
    name: '',
    outputs: n.outputs.map((o) => (o === 'scores' ? 'flat' : o)),
  }));
  b.op('Cast', [b.op('Reshape', ['flat', b.int64([-1, 5, 1, 1])])], { to: 10 }, 'scores');
  b.output('scores', 'float16', ['N', 5, 1, 1]);
  const graph = {
    ...model.graph,
    nodes: [...nodes, ...b.nodes],
    initializers: [...model.graph.initializers, ...b.initializers],
    outputs: b.outputs,
  };
  return { ...model, graph };
}

test('logits that are half floats in maps of one pixel', async () => {
  const typed = await observeFacts(halfMaps());
  const { classes } = typed;
  assert.equal([typed.logits, typed.facts.get('scores')!.dataType], ['scores', 'float16']);
  const plan = planExits(typed, { taps: ['stem', 'block2'] });
  const heads = attachExits(plan, { kind: 'pool', seed: 3 }).map((head) => ({
    ...head,
    graph: runPasses(head.graph, [inferenceForm]),
  }));
  const open = 1 - 2 ** -24;
  const scoresOf = async (final: number | undefined, thresholds: readonly number[]) =>
    await withSession(lowerExits(typed, heads, { policy: 'max-prob', final }), {}, async (session) => {
      const out = await session.run({
        image: new Tensor('float32', samples.slice(0, 7 * SAMPLE), [7, 3, 8, 8]),
        thresholds: new Tensor('float32', Float32Array.from(thresholds), [2]),
      });
      assert.equal(out.scores!.dims, [7, classes, 1, 1]);
      return floatsOf(out.scores!);
    });
  const original = await scoresOf(undefined, [open, open]);
  const exits = [await scoresOf(undefined, [-1, 1]), await scoresOf(undefined, [1, -1])];
  const ensembled = await scoresOf(RHO, [open, open]);
  ensembled.forEach((z, at) => {
    const wanted = original[at]! + RHO * (exits[0]![at]! + exits[1]![at]!);
    assert.ok(Math.abs(z - wanted) < 4e-3 * Math.max(1, Math.abs(wanted)), `${z} is not ${wanted}`);
  });
  assert.equal(await scoresOf(RHO, [1, 1]), await scoresOf(undefined, [1, 1]));
});

/** Exits and an original that err apart. `scale` makes the original surer than it is right. */
function drawn(n: number, classes: number, seed: number, scale = 1): Predictions {
  const labels = Int32Array.from({ length: n }, (_, i) => i % classes);
  const logitsOf = (by: number, skill: number) =>
    noise(n * classes, seed + by).map(
      (v, at) => 3 * v + (at % classes === labels[Math.floor(at / classes)] ? skill : 0),
    );
  const logits = [logitsOf(1, 1), logitsOf(2, 1.5), logitsOf(3, 2)];
  const original = logitsOf(4, 2.5).map((z) => z * scale);
  return { logits, original, labels, confidence: logits.map(() => new Float32Array(n)) };
}

const lossOf = ({ logits, original, labels }: Predictions, a: number, b: number) => {
  const classes = original.length / labels.length;
  const ridge = (a * a + (b - 1) ** 2) / 2;
  return labels.reduce((sum, label, i) => {
    const z = Array.from({ length: classes }, (_, c) => {
      const at = i * classes + c;
      return a * logits.reduce((all, exit) => all + exit[at]!, 0) + b * original[at]!;
    });
    return sum - Math.log(softmax(z)[label]!);
  }, ridge);
};

/** The least of `f` in [low, high], which has one minimum there, by thirds. */
function least(f: (x: number) => number, low: number, high: number): number {
  for (let [l, h] = [low, high]; ; ) {
    if (h - l < 1e-6) return (l + h) / 2;
    const [x, y] = [l + (h - l) / 3, h - (h - l) / 3];
    if (f(x) < f(y)) h = y;
    else l = x;
  }
}

test('the weight is the least of the cross-entropy, found by brute force', () => {
  for (const [seed, scale] of [
    [10, 1],
    [20, 4],
  ] as const) {
    const predictions = drawn(150, 3, seed, scale);
    const bestB = (a: number) => least((b) => lossOf(predictions, a, b), -1, 4);
    const a = least((a) => lossOf(predictions, a, bestB(a)), -1, 4);
    const wanted = a / bestB(a);
    assert.ok(wanted > 0.05);
    assert.ok(
      Math.abs(fitFinalAnswer(predictions) - wanted) < 1e-4,
      `${fitFinalAnswer(predictions)}, ${wanted}`,
    );
  }
});

test('exits that know nothing, or mislead, get no weight; nothing to learn from is no trouble', () => {
  const predictions = drawn(300, 3, 30);
  const against = { ...predictions, logits: predictions.logits.map((l) => l.map((z) => -z)) };
  assert.is(fitFinalAnswer(against), 0);
  const right = Float32Array.from(predictions.original, (_, at) =>
    at % 3 === predictions.labels[Math.floor(at / 3)] ? 9 : 0,
  );
  const perfect = fitFinalAnswer({ ...predictions, original: right });
  assert.ok(perfect >= 0 && perfect < 0.1, `${perfect}`);
  const same = fitFinalAnswer({ ...predictions, logits: [predictions.original] });
  assert.ok(same >= 0 && Number.isFinite(same));
  assert.is(fitFinalAnswer({ ...predictions, original: predictions.original.map(() => Number.NaN) }), 0);
});

test('exits that err apart make the last answer better, and every point on the way to it no worse', () => {
  const predictions = drawn(900, 3, 40);
  const fresh = drawn(900, 3, 50);
  for (const policy of ['max-prob', 'correctness'] as const) {
    const alone = fitPolicy(policy, predictions, COSTS);
    const fittedPolicy = { ...alone, final: fitFinalAnswer(predictions) };
    const right = ({ final }: { final?: Int32Array }) =>
      final!.filter((answer, i) => answer === fresh.labels[i]).length;
    assert.ok(right(outcomesOf(fresh, fittedPolicy)) > right(outcomesOf(fresh, alone)) + 20);
    const hulls = [alone, fittedPolicy].map((by) =>
      searchPolicy(outcomesAt(predictions, by), COSTS, { target: 'accuracy', caution: 0 }),
    );
    const bestAt = (hull: (typeof hulls)[0], cost: number) =>
      Math.max(...hull.filter((p) => p.relativeCost <= cost).map((p) => p.accuracy));
    for (const cost of [0.3, 0.5, 0.7, 0.9])
      assert.ok(bestAt(hulls[1]!, cost) >= bestAt(hulls[0]!, cost) - 1e-9, `${policy} at ${cost}`);
    assert.equal(hulls[1]!.at(-1), hulls[0]!.at(-1), 'exact is the original');
  }
});

test.run();
