/** Students of texts learn what words mean, not which texts there were. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { uniforms } from '../../src/graph/random.ts';
import { floatTensor } from '../../src/graph/tensor.ts';
import type { Tensor } from '../../src/graph/types.ts';
import { Tensor as OrtTensor } from '../../src/ort/session.ts';
import { feedsOf } from '../../src/ort/tensors.ts';
import { argMaxRows } from '../../src/policies/rows.ts';
import { buildStudent } from '../../src/students/build-student.ts';
import type { StudentForm, StudentReads } from '../../src/students/student.ts';
import { inputNamed, trainedStudent, trainingGraph } from '../../src/students/training-graph.ts';
import { DEFAULTS } from '../../src/students/training-plan.ts';
import { oneCycle } from '../../src/train/recipes.ts';
import { Stepper } from '../../src/train/stepper.ts';
import { outputsOf } from '../networks/readers.ts';
import { ofTokens, readsOf, textOf } from './readers.ts';

const test = suite('students: tokens');

const CLASSES = 2;
const [WORDS, TELLING] = [1500, 60];
const [BATCH, TEXTS, EPOCHS] = [128, 1024, 25];

/** Texts of random words, two of which tell the class: [n, ids and mask], with their classes. */
function texts(n: number, length: number, seed: number) {
  const next = uniforms(seed);
  const below = (most: number) => Math.floor(most * next());
  const rows: number[] = [];
  const labels = Int32Array.from({ length: n }, () => below(CLASSES));
  for (const label of labels) {
    const ids = Array.from({ length }, () => CLASSES * TELLING + below(WORDS - CLASSES * TELLING));
    for (let i = 0; i < 2; i++) ids[below(length)] = label * TELLING + below(TELLING);
    rows.push(...ids, ...ids.map(() => 1));
  }
  return { rows: Float32Array.from(rows), labels };
}

const readsTexts = (length: number, table?: Tensor): StudentReads => ({
  ...readsOf(textOf(length), {}, CLASSES),
  embedding: { ...ofTokens(WORDS), table },
});

/** The share of unseen texts that a student is right on, taught `softShare` by an original that knows the classes. */
async function learned(reads: StudentReads, form: StudentForm, softShare: number): Promise<number> {
  const student = buildStudent(reads, form, 3);
  const length = reads.inputs[0]!.dims[0]!;
  const width = 2 * length;
  const seen = texts(TEXTS, length, 1);
  const training = trainingGraph(student, CLASSES, { ...DEFAULTS, softShare });
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
    const classes = seen.labels.subarray(first, first + BATCH);
    const labels = BigInt64Array.from(classes, BigInt);
    const answers = Float32Array.from({ length: BATCH * CLASSES }, (_, i) =>
      classes[Math.floor(i / CLASSES)] === i % CLASSES ? 4 : -4,
    );
    const feeds = {
      ...Object.fromEntries(fed.map(([name, tensor]) => [inputNamed(name), tensor])),
      labels: new OrtTensor('int64', labels, [BATCH]),
      teacher: new OrtTensor('float32', answers, [BATCH, CLASSES]),
    };
    await stepper.step(feeds, DEFAULTS.learningRate * oneCycle(step, total));
  }
  const { graph } = trainedStudent(student, training, stepper.state);
  await stepper.close();
  const unseen = texts(500, length, 2);
  const [scores] = await outputsOf(graph, reads.inputs, unseen.rows, 500);
  const said = argMaxRows(Float32Array.from(scores!.values), 500);
  return said.filter((c, i) => c === unseen.labels[i]).length / 500;
}

test('an embedding of its own tells words apart in texts that were not trained on', async () => {
  const right = await learned(readsTexts(20), { family: 'bag', width: 1, depth: 1 }, 0);
  assert.ok(right > 0.9, `${right}`);
});

test('convolutions over an embedding that is there do not diverge', async () => {
  const next = uniforms(7);
  const size = 128;
  // The class is in the first number of the words that tell it; now and then a number is large, as in real embeddings.
  const values = Float32Array.from({ length: WORDS * size }, (_, i) => {
    const word = Math.floor(i / size);
    return i % size === 0 && word < CLASSES * TELLING
      ? word < TELLING
        ? -6
        : 6
      : next() < 0.01
        ? 40
        : next();
  });
  const reads = readsTexts(80, floatTensor('words', [WORDS, size], values));
  const right = await learned(reads, { family: 'conv', width: 6, depth: 1 }, DEFAULTS.softShare);
  assert.ok(right > 0.9, `${right}`);
});

test.run();
