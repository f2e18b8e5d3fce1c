import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { relabel } from '../../src/data/index.ts';
import { makeModel } from '../../src/graph/builder.ts';
import { Random } from '../../src/graph/random.ts';
import { Tensor, withSession } from '../../src/ort/session.ts';
import type { Head } from '../../src/passes/exits.ts';
import { buildHead } from '../../src/passes/heads.ts';
import { argMaxRows, eachSoftmax } from '../../src/policies/rows.ts';
import { fitConfidenceHeads, isBeyondChance, settleValidation } from '../../src/predict/fit-confidence.ts';
import { answersOf } from '../../src/predict/predict.ts';
import { syntheticData, syntheticHeads, syntheticModel } from '../train/synthetic.ts';

const test = suite('predict: fit-confidence');
const CLASSES = 4;
const COUNT = 4000;
const FEATURES = 32;
const BINS = 15;

async function run({ graph }: Head, features: Float32Array) {
  const feed = new Tensor('float32', features, [COUNT, FEATURES]);
  const { logits } = await withSession(makeModel(graph), { threads: 1 }, (s) => s.run({ features: feed }));
  return Float32Array.from(logits!.data as Float32Array);
}

/** Samples whose labels are drawn from the softmax of the head's logits / `heat`: it is that much too sure. */
async function samplesOf(head: Head, heat: number, seed: number) {
  const random = new Random(seed, 'fit-gates');
  const features = Float32Array.from({ length: COUNT * FEATURES }, () => 20 * heat * random.gaussian());
  const logits = await run(head, features);
  const labels = new Int32Array(COUNT);
  eachSoftmax(
    logits.map((z) => z / heat),
    CLASSES,
    (p, i) => {
      let left = random.uniform() - p[0]!;
      for (let c = 1; c < CLASSES && left > 0; left -= p[c++]!) labels[i] = c;
    },
  );
  return { features, logits, labels };
}

/** Expected calibration error (Naeini et al. 2015, eq. 3). */
function calibrationError(logits: Float32Array, labels: Int32Array): number {
  const excess = new Float64Array(BINS);
  const answers = argMaxRows(logits, COUNT);
  eachSoftmax(logits, CLASSES, (p, i) => {
    const sure = p[answers[i]!]!;
    const bin = Math.min(BINS - 1, Math.floor(sure * BINS));
    excess[bin]! += (sure - Number(answers[i] === labels[i])) / COUNT;
  });
  return excess.reduce((sum, v) => sum + Math.abs(v), 0);
}

test('probabilities are honest on fresh samples, whether they were too high or too low, and answers as before', async () => {
  for (const heat of [4, 0.4]) {
    const graph = buildHead('pool', [FEATURES], CLASSES, { seed: 1, dropout: 0 });
    const head = { ...syntheticHeads()[0]!, graph };
    const seen = await samplesOf(head, heat, 1);
    const [fitted] = fitConfidenceHeads([head], {
      logits: [seen.logits],
      pooled: [seen.features],
      confidence: [new Float32Array(COUNT)],
      original: seen.logits,
      labels: seen.labels,
    });
    const fresh = await samplesOf(head, heat, 2);
    const after = await run(fitted!, fresh.features);
    assert.equal(argMaxRows(after, COUNT), argMaxRows(fresh.logits, COUNT));
    const [was, is] = [fresh.logits, after].map((l) => calibrationError(l, fresh.labels));
    assert.ok(was! > 0.1 && is! < 0.03, `${was} → ${is}`);
    assert.ok(Math.abs(fresh.logits[0]! / after[0]! / heat - 1) < 0.1, 'the heat is found');
  }
});

test('training data are memorised where the original is right on more of them than chance and a little would have', async () => {
  const predicting = { typed: syntheticModel(), modelHash: 'm', session: { threads: 1 } };
  /** Samples that the original is right on, but for the first `wrong`. */
  const rightBut = async (wrong: number, size: number) => {
    const dataset = syntheticData(size, size);
    const answers = await answersOf(dataset, predicting);
    return { dataset: relabel(dataset, answers.map((answer, i) => (i < wrong ? (answer + 1) % CLASSES : answer))) }; // biome-ignore format: a line
  };
  const settled = async (wrong: number, size: number) => {
    const [train, calibration] = [await rightBut(0, 300), await rightBut(wrong, size)];
    const splits = {
      ...{ train, calibration, validation: undefined, test: undefined },
      close: async () => {},
    };
    const codes: string[] = [];
    const { validation } = await settleValidation(splits, 1, predicting, { onNote: ({ code }) => codes.push(code) }); // biome-ignore format: a line
    return [codes, validation.from];
  };
  const told = [['training-data-memorised'], 'split of calibration'];
  assert.equal(await settled(0, 45), [[], 'split of train']);
  assert.equal(await settled(1, 45), [[], 'split of train'], 'one sample of few is chance');
  assert.equal(await settled(8, 450), [[], 'split of train'], 'too little to matter');
  assert.equal(await settled(5, 45), told);
  assert.equal(await settled(20, 450), told);
});

test('shares of few samples differ by chance', () => {
  const beyond = (a: number, n: number, b: number, m: number) =>
    isBeyondChance({ share: a / n, samples: n }, { share: b / m, samples: m });
  assert.not.ok(beyond(300, 306, 43, 45));
  assert.not.ok(beyond(300, 300, 44, 45));
  assert.not.ok(beyond(1, 1, 0, 1));
  assert.ok(beyond(1961, 2000, 860, 900));
  assert.not.ok(beyond(860, 900, 1961, 2000), 'below');
});

test.run();
