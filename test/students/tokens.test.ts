/** Students of texts learn what words mean, not which texts there were. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { uniforms } from '../../src/graph/random.ts';
import { Tensor } from '../../src/ort/session.ts';
import { feedsOf } from '../../src/ort/tensors.ts';
import { argMaxRows } from '../../src/policies/rows.ts';
import { buildStudent } from '../../src/students/build-student.ts';
import { inputNamed, trainedStudent, trainingGraph } from '../../src/students/training-graph.ts';
import { DEFAULTS } from '../../src/students/training-plan.ts';
import { oneCycle } from '../../src/train/recipes.ts';
import { Stepper } from '../../src/train/stepper.ts';
import { outputsOf } from '../networks/readers.ts';
import { ofTokens, readsOf, textOf } from './readers.ts';

const test = suite('students: tokens');

const CLASSES = 2;
const [LENGTH, WORDS, TELLING] = [20, 1500, 60];
const [BATCH, TEXTS, EPOCHS] = [128, 1024, 25];

/** Texts of random words, two of which tell the class: [n, ids and mask], with their classes. */
function texts(n: number, seed: number) {
  const next = uniforms(seed);
  const below = (most: number) => Math.floor(most * next());
  const rows: number[] = [];
  const labels = Int32Array.from({ length: n }, () => below(CLASSES));
  for (const label of labels) {
    const ids = Array.from({ length: LENGTH }, () => CLASSES * TELLING + below(WORDS - CLASSES * TELLING));
    for (let i = 0; i < 2; i++) ids[below(LENGTH)] = label * TELLING + below(TELLING);
    rows.push(...ids, ...ids.map(() => 1));
  }
  return { rows: Float32Array.from(rows), labels };
}

const reads = { ...readsOf(textOf(LENGTH), {}, CLASSES), embedding: ofTokens(WORDS) };
const width = 2 * LENGTH;

test('an embedding of its own tells words apart in texts that were not trained on', async () => {
  const student = buildStudent(reads, { family: 'bag', width: 1, depth: 1 }, 3);
  const seen = texts(TEXTS, 1);
  const training = trainingGraph(student, CLASSES, { ...DEFAULTS, softShare: 0 });
  const stepper = await Stepper.open(training, {
    optimizer: 'sgd',
    batch: BATCH,
    seed: 1,
    weightDecay: DEFAULTS.weightDecay,
    session: { threads: 1 },
  });
  const perEpoch = TEXTS / BATCH;
  const total = EPOCHS * perEpoch;
  for (let step = 0; step < total; step++) {
    const first = BATCH * (step % perEpoch);
    const rows = seen.rows.subarray(first * width, (first + BATCH) * width);
    const fed = Object.entries(feedsOf(reads.inputs, rows, BATCH));
    const labels = BigInt64Array.from(seen.labels.subarray(first, first + BATCH), BigInt);
    const feeds = {
      ...Object.fromEntries(fed.map(([name, tensor]) => [inputNamed(name), tensor])),
      labels: new Tensor('int64', labels, [BATCH]),
      teacher: new Tensor('float32', new Float32Array(BATCH * CLASSES), [BATCH, CLASSES]),
    };
    await stepper.step(feeds, DEFAULTS.learningRate * oneCycle(step, total));
  }
  const { graph } = trainedStudent(student, training, stepper.state);
  await stepper.close();
  const unseen = texts(500, 2);
  const [scores] = await outputsOf(graph, reads.inputs, unseen.rows, 500);
  const said = argMaxRows(Float32Array.from(scores!.values), 500);
  const right = said.filter((c, i) => c === unseen.labels[i]).length / 500;
  assert.ok(right > 0.9, `${right}`);
});

test.run();
