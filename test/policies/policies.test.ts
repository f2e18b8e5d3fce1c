import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { lowerExits } from '../../src/passes/lower-exits.ts';
import { exitFeatures } from '../../src/policies/exit-features.ts';
import { POLICIES, type PolicyName, type PolicyParameters, policyOf } from '../../src/policies/index.ts';
import { hasCode } from '../expect.ts';
import { noise } from '../models.ts';
import {
  type ByHand,
  COUNT,
  labelsOf,
  midway,
  prepareVaried,
  runLowered,
  SAMPLE,
  samples,
} from '../passes/by-hand.ts';

const test = suite('policies');

/** One sample on its way: for each exit, the score and the answer. Written from the papers' equations, one sample at a time. */
type Reference = (
  exits: readonly Exit[],
  open: readonly boolean[],
  parameters: PolicyParameters,
) => Verdict[];
interface Exit {
  readonly z: readonly number[];
  readonly h: number;
}
interface Verdict {
  readonly score: number;
  readonly answer: readonly number[];
}

/** Margin, largest probability and 1 + Σ y log y / log C of every exit; of those before it, agreement and margin, signed by it. */
function features(exits: readonly Exit[], open: readonly boolean[]): number[][] {
  const own = exits.map(({ z }) => {
    const y = softmax(z);
    const [first, second] = [...z].sort((a, b) => b - a);
    const entropy = y.reduce((s, p) => s + p * Math.log(p), 0) / Math.log(y.length);
    return [first! - second!, Math.max(...y), 1 + entropy];
  });
  return exits.map(({ z }, k) => {
    const earlier = exits.slice(0, k).flatMap((e, j) => {
      if (!open[j]) return [0, 0];
      const same = argMax(e.z) === argMax(z);
      return [same ? 1 : 0, same ? own[j]![0]! : -own[j]![0]!];
    });
    return [...own[k]!, ...earlier];
  });
}

const softmax = (z: readonly number[]) => {
  const e = z.map((v) => Math.exp(v - Math.max(...z)));
  const sum = e.reduce((a, b) => a + b);
  return e.map((v) => v / sum);
};
const argMax = (z: readonly number[]) => z.indexOf(Math.max(...z));
const alone =
  (score: (y: readonly number[], exit: Exit) => number): Reference =>
  (exits) =>
    exits.map((exit) => ({ score: score(softmax(exit.z), exit), answer: exit.z }));

const REFERENCE: Record<PolicyName, Reference> = {
  'max-prob': alone((y) => Math.max(...y)),
  confidence: alone((_, { h }) => h),
  // a_ent = 1 + Σ y log y / log C (Ilhan et al.)
  entropy: alone((y) => 1 + y.reduce((sum, p) => sum + p * Math.log(p), 0) / Math.log(y.length)),
  margin: alone((y) => {
    const [first, second] = [...y].sort((a, b) => b - a);
    return first! - second!;
  }),
  // cnt_i = cnt_{i-1} + 1 if the answers of exits i and i - 1 agree, else 0 (PABEE, eq. 5); closed exits do not exist.
  patience(exits, open) {
    let count = 0;
    let before: number | undefined;
    return exits.map(({ z }, k) => {
      const count_ = argMax(z) === before ? count + 1 : 0;
      if (open[k]) [count, before] = [count_, argMax(z)];
      return { score: count_ / exits.length, answer: z };
    });
  },
  // z_m + ρ_m Σ_{j < m} z_j + b_m; its softmax is p_m · Π p_j^ρ · e^b, normalised (Zero Time Waste, eq. 2). Closed exits add nothing.
  ensemble(exits, open, { rho, bias }) {
    return exits.map(({ z }, m) => {
      const earlier = exits.filter((_, j) => j < m && open[j]);
      const biases = bias!.slice(m * z.length, (m + 1) * z.length);
      const product = softmax(z).map((p, c) =>
        earlier.reduce((all, e) => all * softmax(e.z)[c]! ** rho![m]!, p * Math.exp(biases[c]!)),
      );
      return {
        score: Math.max(...product) / product.reduce((all, p) => all + p),
        answer: z.map((own, c) => own + rho![m]! * earlier.reduce((sum, e) => sum + e.z[c]!, 0) + biases[c]!),
      };
    });
  },
  // P(right here, wrong in the end) − P(wrong here, right in the end), both σ(w·[features] + b_answer).
  gain(exits, open, { weight, bias }) {
    return features(exits, open).map((seen, k) => {
      const { z } = exits[k]!;
      const chance = (which: number) => {
        const odds = seen.reduce(
          (sum, x, f) => sum + x * weight![(k * (3 + 2 * exits.length) + f) * 2 + which]!,
          bias![(k * z.length + argMax(z)) * 2 + which]!,
        );
        return 1 / (1 + Math.exp(-odds));
      };
      return { score: chance(1) - chance(0), answer: z };
    });
  },
  // z / (1 + |z|) of the log odds z = w·[features] + b_answer of being right.
  correctness(exits, open, { weight, bias }) {
    return features(exits, open).map((seen, k) => {
      const { z } = exits[k]!;
      const odds = seen.reduce(
        (sum, x, f) => sum + x * weight![k * (3 + 2 * exits.length) + f]!,
        bias![k * z.length + argMax(z)]!,
      );
      return { score: odds / (1 + Math.abs(odds)), answer: z };
    });
  },
  // q̂_k = w1·y + w2·[a_max, a_ent, a_vote, q̂_1 .. q̂_{k−1}] + b (Ilhan et al., section 3) on y of softer logits; the closed are not there.
  eenet(exits, open, { weight, bias, temperature }) {
    const [K, C] = [exits.length, exits[0]!.z.length];
    const scores: number[] = [];
    return exits.map(({ z }, k) => {
      const y = softmax(z.map((v) => v / temperature![0]!));
      const voters = exits.filter((_, j) => j === k || (j < k && open[j]));
      const votes = z.map((_, c) => voters.filter((voter) => argMax(voter.z) === c).length);
      const factors = [
        Math.max(...y),
        1 + y.reduce((sum, p) => sum + p * Math.log(p), 0) / Math.log(C),
        Math.max(...votes) / voters.length,
      ];
      const earlier = scores.map((q, j) => (open[j] ? q : 0));
      const w = weight!.slice(k * (C + 3 + K), (k + 1) * (C + 3 + K));
      const score = [...y, ...factors, ...earlier].reduce((sum, x, f) => sum + w[f]! * x, bias![k]!);
      scores.push(score);
      return { score, answer: z };
    });
  },
  // The mean over margins of p(1 − T) / (p(1 − T) + (1 − p)T), for the thresholds T of this exit and this answer.
  'class-margin'(exits, _open, { odds }) {
    const levels = odds!.length / exits.length / exits[0]!.z.length;
    return exits.map(({ z }, k) => {
      const p = Math.max(...softmax(z));
      const first = (k * z.length + argMax(z)) * levels;
      const passed = odds!.slice(first, first + levels).map((o) => {
        const t = o / (1 + o);
        return (p * (1 - t)) / (p * (1 - t) + (1 - p) * t);
      });
      return { score: passed.reduce((a, b) => a + b) / levels, answer: z };
    });
  },
};

const exitsOf = (hand: ByHand, i: number, classes: number): Exit[] =>
  hand.confidences.map((h, k) => ({
    z: [...hand.logits[k]!.slice(i * classes, (i + 1) * classes)],
    h: h[i]!,
  }));

/** The same for all samples, per exit. */
function referenceOf(
  policy: PolicyName,
  hand: ByHand,
  classes: number,
  open: readonly boolean[],
  parameters: PolicyParameters,
) {
  const count = hand.confidences[0]!.length;
  const verdicts = Array.from({ length: count }, (_, i) =>
    REFERENCE[policy](exitsOf(hand, i, classes), open, parameters),
  );
  return hand.confidences.map((_, k) => verdicts.map((v) => v[k]!));
}

/** Lowered in the oldest operator set there is for dynamic batches. */
const OLDEST: ReadonlySet<PolicyName> = new Set(['class-margin', 'patience', 'eenet']);
const COSTS = [0.3, 0.5, 0.8, 1.1];

for (const policy of Object.keys(POLICIES) as PolicyName[]) {
  test(`${policy}: graph and arithmetic are the equations, whichever exits are open`, async () => {
    const { typed, heads, hand } = await prepareVaried({ opset: OLDEST.has(policy) ? 11 : 17 });
    const { classes } = typed;
    const outputs = heads.map((_, k) => ({ logits: hand.logits[k]!, confidence: hand.confidences[k]! }));
    const labels = labelsOf(hand, classes);
    const parameters =
      policyOf(policy).fit?.({
        exits: outputs,
        original: hand.logits.at(-1)!,
        labels,
        classes,
        costs: COSTS,
      }) ?? {};
    const exits = heads.length;
    const model = lowerExits(typed, heads, { policy, parameters });
    const largest = Math.max(...hand.logits.flatMap((l) => [...l]).map(Math.abs), 10);

    for (const open of [
      [true, true, true],
      [true, false, true],
      [false, true, true],
    ]) {
      const expected = referenceOf(policy, hand, classes, open, parameters);
      const state = new Float32Array(COUNT * policyOf(policy).state(exits, classes));
      for (const [exit, output] of outputs.entries()) {
        if (!open[exit]) continue;
        const decided = policyOf(policy).decide({ ...output, exit, exits, classes, state }, parameters);
        for (let i = 0; i < COUNT; i++) {
          const { score, answer } = expected[exit]![i]!;
          assert.ok(Math.abs(decided.score[i]! - score) < 1e-5, `exit ${exit} sample ${i}`);
          for (let c = 0; c < classes; c++)
            assert.ok(Math.abs(decided.logits[i * classes + c]! - answer[c]!) < 1e-5 * largest);
        }
      }

      const scores = expected.map((list) => Float32Array.from(list, (v) => v.score));
      const patient = 0.5 / exits;
      const thresholds = scores.map((s, k) =>
        open[k] ? (policy === 'patience' ? patient : midway(s, 0.6)) : 1,
      );
      const leaves = Array.from({ length: COUNT }, (_, i) => {
        const k = thresholds.findIndex((t, e) => t < 1 && scores[e]![i]! > t);
        return k < 0 ? exits : k;
      });
      assert.ok(new Set(leaves).size > 1, `some leave, some stay: ${open} ${leaves}`);
      for (const batch of [1, 7, 64]) {
        const got = await runLowered(model, samples, batch, thresholds);
        assert.equal(got.exits, leaves, `open ${open}, batch ${batch}`);
        for (const [i, k] of leaves.entries()) {
          const answer =
            (k < exits ? expected[k]![i]!.answer : undefined) ??
            hand.logits.at(-1)!.slice(i * classes, (i + 1) * classes);
          for (let c = 0; c < classes; c++)
            assert.ok(Math.abs(got.scores[i * classes + c]! - answer[c]!) < 2e-5 * largest);
          if (k < exits) assert.ok(Math.abs(got.confidences[i]! - scores[k]![i]!) < 1e-5);
        }
      }
    }
  });

  test(`${policy}: NaN runs to the end, all closed is the original, thresholds may be baked`, async () => {
    const { typed, heads, hand } = await prepareVaried({});
    const { classes } = typed;
    const outputs = heads.map((_, k) => ({ logits: hand.logits[k]!, confidence: hand.confidences[k]! }));
    const original = hand.logits.at(-1)!;
    const parameters =
      policyOf(policy).fit?.({
        exits: outputs,
        original,
        labels: labelsOf(hand, classes),
        classes,
        costs: COSTS,
      }) ?? {};
    const sick = samples.slice(0, 4 * SAMPLE).fill(Number.NaN, SAMPLE, 2 * SAMPLE);
    const model = lowerExits(typed, heads, { policy, parameters });
    const eager = await runLowered(model, sick, 4, [-99, -99, -99]);
    assert.equal(eager.exits, [0, 3, 0, 0]);
    const closed = await runLowered(model, samples, 7, [1, 1, 1]);
    assert.ok(closed.exits.every((k) => k === 3));
    for (const [i, v] of closed.scores.entries()) assert.ok(Math.abs(v - original[i]!) < 1e-4);

    const open = [false, true, true];
    const scores = referenceOf(policy, hand, classes, open, parameters).map((list) =>
      Float32Array.from(list, (v) => v.score),
    );
    const thresholds = [1, midway(scores[1]!, 0.7), midway(scores[2]!, 0.7)];
    const baked = lowerExits(typed, heads, { policy, parameters, baked: thresholds });
    const [withInput, withoutInput] = [
      await runLowered(model, samples, 7, thresholds),
      await runLowered(baked, samples, 7, undefined),
    ];
    assert.equal(withoutInput.exits, withInput.exits);
  });
}

test('the ensemble fits a better mixture than any exit alone', () => {
  const classes = 3;
  const n = 600;
  const labels = Int32Array.from({ length: n }, (_, i) => i % classes);
  const exits = [11, 22].map((seed) => {
    const random = noise(n * classes, seed);
    const logits = random.map((v, at) => 2 * v + (at % classes === labels[Math.floor(at / classes)] ? 1 : 0));
    return { logits, confidence: new Float32Array(n) };
  });
  const original = new Float32Array(n * classes);
  const parameters = POLICIES.ensemble.fit!({ exits, original, labels, classes, costs: COSTS });
  const state = new Float32Array(n * 2 * classes);
  const accuracy = (logits: Float32Array) =>
    labels.filter((label, i) => argMax([...logits.slice(i * classes, (i + 1) * classes)]) === label).length /
    n;
  const decided = exits.map((e, exit) =>
    POLICIES.ensemble.decide({ ...e, exit, exits: 2, classes, state }, parameters),
  );
  assert.ok(accuracy(decided[1]!.logits) > Math.max(...exits.map((e) => accuracy(e.logits))) + 0.02);
});

test('the ensemble minimises the penalised cross-entropy of each exit with those before it', () => {
  const [classes, n] = [3, 90];
  const labels = Int32Array.from({ length: n }, (_, i) => (i % 5) % classes);
  const exits = [31, 32, 33].map((seed) => ({
    logits: noise(n * classes, seed).map(
      (v, at) => 3 * v + (at % classes === labels[Math.floor(at / classes)] ? 2 : 0),
    ),
    confidence: new Float32Array(n),
  }));
  const original = new Float32Array(n * classes);
  const { rho, bias } = POLICIES.ensemble.fit!({ exits, original, labels, classes, costs: COSTS });
  assert.is(rho![0], 0);
  for (const [m, { logits }] of exits.entries()) {
    const loss = (a: number, s: number, b: readonly number[]) =>
      labels.reduce(
        (sum, label, i) => {
          const row = (of: Float32Array) => [...of.subarray(i * classes, (i + 1) * classes)];
          const z = row(logits).map(
            (own, c) =>
              s * own + b[c]! + a * exits.slice(0, m).reduce((all, e) => all + row(e.logits)[c]!, 0),
          );
          return sum - Math.log(softmax(z)[label]!);
        },
        (a * a + (s - 1) ** 2 + 3 * b.reduce((all, v) => all + v * v, 0)) / 2,
      );
    const b = bias!.slice(m * classes, (m + 1) * classes);
    const along = (s: number) =>
      loss(
        rho![m]! * s,
        s,
        b.map((v) => v * s),
      );
    let [low, high] = [0.01, 5];
    while (high - low > 1e-7) {
      const third = (high - low) / 3;
      if (along(low + third) < along(high - third)) high -= third;
      else low += third;
    }
    const best = along(low);
    const at = b.map((v) => v * low);
    for (const by of [-0.02, 0.02]) {
      if (m > 0) assert.ok(loss(rho![m]! * low + by, low, at) > best, `exit ${m}, the weight off by ${by}`);
      for (const c of at.keys())
        assert.ok(
          loss(rho![m]! * low, low, at.with(c, at[c]! + by)) > best,
          `exit ${m}, bias ${c} off by ${by}`,
        );
    }
  }
});

test('class-margin has the lowest thresholds that keep the precision, among those still in play', () => {
  const [classes, n, levels] = [3, 400, 64];
  const labels = Int32Array.from({ length: n }, (_, i) => i % classes);
  const logitsOf = (seed: number, size: number) =>
    noise(n * classes, seed).map(
      (v, at) => size * v + (at % classes === labels[Math.floor(at / classes)] ? 1 : 0),
    );
  const exits = [21, 22].map((seed) => ({ logits: logitsOf(seed, 3), confidence: new Float32Array(n) }));
  const original = logitsOf(23, 2);
  const { odds } = POLICIES['class-margin'].fit!({ exits, original, labels, classes, costs: [0.3, 0.6, 1] });
  const row = (logits: Float32Array, i: number) => [...logits.slice(i * classes, (i + 1) * classes)];
  const precise = (answered: readonly number[], c: number) =>
    answered.filter((i) => labels[i] === c).length / answered.length;
  const all = [...labels.keys()];
  const tops = exits.map(({ logits }) => all.map((i) => Math.max(...softmax(row(logits, i)))));
  for (let j = 0; j < levels; j++) {
    const u = (2 * j) / (levels - 1) - 1;
    let inPlay = all;
    for (const [k, { logits }] of exits.entries()) {
      const gone = new Set<number>();
      for (let c = 0; c < classes; c++) {
        const at = (k * classes + c) * levels + j;
        const threshold = odds![at]! / (1 + odds![at]!);
        const required =
          precise(
            all.filter((i) => argMax(row(original, i)) === c),
            c,
          ) -
          u * Math.abs(u);
        const answered = inPlay.filter((i) => argMax(row(logits, i)) === c);
        const above = (t: number) => answered.filter((i) => tops[k]![i]! > t);
        const before = j > 0 ? odds![at - 1]! : Infinity;
        assert.ok(odds![at]! <= before, 'never higher for a larger margin');
        if (odds![at]! < before && odds![at]! < 1e37)
          assert.ok(precise(above(threshold), c) >= required, `exit ${k} class ${c} margin ${j}`);
        for (const i of answered)
          if (tops[k]![i]! <= threshold)
            assert.ok(precise(above(tops[k]![i]! - 1e-12), c) < required, 'no lower one would do');
        for (const i of above(threshold)) gone.add(i);
      }
      inPlay = inPlay.filter((i) => !gone.has(i));
    }
    if (j === 0) assert.is(inPlay.length, n, 'no class is that precise');
    if (j === levels - 1) assert.is(inPlay.length, 0, 'every class is precise enough');
  }
});

test('class-margin needs every class, and copes with classes that are never predicted', () => {
  const classes = 3;
  const labels = Int32Array.of(0, 0, 1, 2);
  const logits = Float32Array.from([3, 1, 0, 2, 1, 0, 0, 1, 0, 1, 0, 0]);
  const exits = [{ logits, confidence: new Float32Array(4) }];
  const policy = POLICIES['class-margin'];
  const data = { exits, original: logits, labels, classes, costs: [0.5, 1] };
  const parameters = policy.fit!(data);
  const state = new Float32Array();
  const unseen = Float32Array.from([0, 0, 9, 9, 0, 0]);
  const { score } = policy.decide(
    { ...exits[0]!, logits: unseen, exit: 0, exits: 1, classes, state },
    parameters,
  );
  assert.ok(score[0]! < 1e-6, 'an answer that was never heard leaves last');
  assert.ok(score[1]! > 0.5);
  const without = { ...data, labels: Int32Array.of(0, 0, 1, 1) };
  for (const refused of [() => policy.fit!(without), () => policy.refuse!(without.labels, classes)])
    assert.throws(refused, hasCode('class-without-samples'));
});

test('what is kept of logits holds for what they are now, and for as many classes as they are read with', () => {
  const rows = (values: readonly number[], classes: number) => {
    const logits = Float32Array.from(values);
    return { logits, classes, state: () => new Float32Array((2 * logits.length) / classes) };
  };
  const read = (logits: Float32Array, { classes, state }: ReturnType<typeof rows>) =>
    exitFeatures({ logits, classes, exit: 0, exits: 1, state: state() });
  const six = rows([3, 1, 0, 0, 2, 5], 3);
  const other = rows([0, 4, 1, 1, 0, 0], 3);
  const pairs = rows([3, 1, 0, 0, 2, 5], 2);
  const fresh = [six, other, pairs].map((given) => read(given.logits, given));
  const again = six.logits.slice();
  assert.equal(read(again, six), fresh[0]);
  assert.equal(read(again, pairs), fresh[2]);
  again.set(other.logits);
  assert.equal(read(again, other), fresh[1]);
});

test.run();
