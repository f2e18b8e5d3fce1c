import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { accuracyOn } from '../../src/students/accuracy.ts';
import { trainStudent } from '../../src/students/train-student.ts';
import {
  planTraining,
  type StudentProgress,
  type StudentTraining,
} from '../../src/students/training-plan.ts';
import { CLASSES, syntheticData, syntheticModel, temporaryFolder } from '../train/synthetic.ts';
import { hashOf, tinyStudent } from './tiny-student.ts';

const test = suite('students: train');
const session = { threads: 1 };
const teacher = { typed: syntheticModel(), modelHash: 'm' };
const student = tinyStudent(CLASSES);
const data = { dataset: syntheticData(600), teacher, validation: syntheticData(200, 2) };
const cache = temporaryFolder();

const train = (options: Partial<StudentTraining> = {}, of: Partial<typeof data> = {}) =>
  trainStudent(
    student,
    { ...data, ...of },
    { seed: 1, epochs: 6, batch: 50, augment: 'flip', cache, session, ...options },
  );

test('a student learns, and comes back in inference form', async () => {
  const seen: StudentProgress[] = [];
  const trained = await train({ onProgress: (p) => seen.push(p) });
  assert.equal(
    seen.map((p) => p.done),
    Array.from({ length: 72 }, (_, i) => i + 1),
  );
  assert.ok(seen.every((p) => p.total === 72 && p.rate > 0 && p.losses.student === p.loss));
  assert.ok(seen.at(-1)!.loss < 0.6 * seen[0]!.loss, `${seen[0]!.loss} ${seen.at(-1)!.loss}`);
  assert.equal([trained.steps, trained.total, trained.halvedAt], [72, 72, undefined]);
  assert.equal([trained.curve.steps[0], trained.curve.steps.at(-1)], [1, 72]);
  assert.equal(
    trained.accuracies.map(({ step }) => step),
    [12, 24, 36, 48, 60, 72],
  );
  const { graph } = trained.student;
  assert.equal(
    [...new Set(graph.nodes.map((n) => n.opType))],
    ['Conv', 'Relu', 'GlobalAveragePool', 'Flatten', 'Gemm'],
  );
  const accuracy = await accuracyOn(data.validation, 200, graph, session);
  assert.is(trained.accuracies.at(-1)!.accuracy, accuracy);
  assert.is(seen.at(-1)!.accuracy, accuracy);
  const before = await accuracyOn(data.validation, 200, student.graph, session);
  assert.ok(accuracy > 0.9 && accuracy > before, `${before} → ${accuracy}`);
});

/** The folder of the only training in `cache`. */
function onlyTraining(cache: string): string {
  const names = readdirSync(join(cache, 'students'));
  assert.is(names.length, 1);
  return join(cache, 'students', names[0]!);
}

test('the same seed gives the same bytes, another seed others; what was trained is found again', async () => {
  const run = async (seed: number, cache: string) => hashOf(await train({ seed, epochs: 2, cache }));
  const [one, other] = [temporaryFolder(), temporaryFolder()];
  const first = await run(1, one);
  assert.equal(await run(1, other), first);
  assert.not.equal(await run(2, other), first);
  const steps: number[] = [];
  const again = await train({ epochs: 2, cache: one, onProgress: ({ done }) => steps.push(done) });
  assert.equal(hashOf(again), first);
  assert.equal(steps, []);
});

test('what decides a training decides where it is kept', () => {
  const keys = new Set<string>();
  const key = (options: Partial<StudentTraining> = {}, of: Partial<typeof data> = {}, seed?: number) =>
    keys.add(
      planTraining(tinyStudent(CLASSES, seed), { ...data, ...of }, { seed: 1, cache, session, ...options })
        .key,
    );
  key();
  const steps: Partial<StudentTraining> = { steps: 7, maxMinutes: 1, saveEvery: 0 };
  key(steps);
  assert.is(keys.size, 1);
  const others: Partial<StudentTraining>[] = [
    { seed: 2 }, { epochs: 29 }, { batch: 64 }, { learningRate: 0.1 }, { weightDecay: 0 }, { softShare: 0.5 }, { temperature: 2 },
    { augment: 'flip' }, { teacher: 'fresh' }, { targets: 'original' }, { session: { threads: 2 } }, { cacheLimit: 1 },
  ]; // biome-ignore format: a list
  for (const options of others) key(options);
  const { labels } = data.dataset;
  const swapped = labels.map((label, i) => (i === 0 ? (label + 1) % CLASSES : label));
  key({}, { dataset: syntheticData(600, 9) });
  key({}, { dataset: { ...data.dataset, labels: swapped } });
  key({}, { validation: syntheticData(200, 9) });
  key({}, { teacher: { ...teacher, modelHash: 'other' } });
  key({}, {}, 4);
  assert.is(keys.size, 1 + others.length + 5);
});

test('an aborted training goes on where it was, to the same bytes', async () => {
  const undisturbed = hashOf(await train());
  const folder = temporaryFolder();
  for (const at of [5, 30, 31]) {
    const stop = new AbortController();
    const options = {
      cache: folder,
      signal: stop.signal,
      onProgress: ({ done }: StudentProgress) => done === at && stop.abort(),
    };
    const error = await train(options as Partial<StudentTraining>).catch((e: unknown) => e);
    assert.is((error as Error).name, 'AbortError');
  }
  const done: number[] = [];
  const resumed = await train({ cache: folder, onProgress: (p) => done.push(p.done) });
  assert.is(done[0], 32);
  assert.equal(hashOf(resumed), undisturbed);
  assert.equal(readdirSync(onlyTraining(folder)), ['72.trained']);
});

test('a damaged checkpoint is not believed', async () => {
  const undisturbed = hashOf(await train());
  const folder = temporaryFolder();
  const stop = new AbortController();
  const onProgress = ({ done }: StudentProgress) => void (done === 20 && stop.abort());
  await train({ cache: folder, signal: stop.signal, onProgress }).catch(() => {});
  const path = join(onlyTraining(folder), '72.checkpoint');
  const bytes = readFileSync(path);
  bytes[bytes.length - 100]! ^= 1;
  writeFileSync(path, bytes);
  const done: number[] = [];
  assert.equal(hashOf(await train({ cache: folder, onProgress: (p) => done.push(p.done) })), undisturbed);
  assert.is(done[0], 1);
});

test('a limit in minutes cuts at a step, which gives the same bytes by itself; without it the training goes on', async () => {
  const undisturbed = hashOf(await train());
  const folder = temporaryFolder();
  let now = 0;
  const { now: clock } = performance;
  // A clock that the steps themselves move on: 10 seconds each.
  performance.now = () => now;
  const cut = await train({
    cache: folder,
    maxMinutes: 5,
    onProgress: () => {
      now += 10_000;
    },
  }).finally(() => {
    performance.now = clock;
  });
  assert.equal([cut.steps, cut.total], [30, 72]);
  assert.is(cut.accuracies.at(-1)!.step, 30);
  const repeated = await train({ cache: temporaryFolder(), steps: 30 });
  assert.equal(hashOf(repeated), hashOf(cut));
  const steps: number[] = [];
  const onProgress = ({ done }: StudentProgress) => void steps.push(done);
  assert.equal(hashOf(await train({ cache: folder, maxMinutes: 5, onProgress })), hashOf(cut));
  assert.equal(steps, []);
  assert.equal(hashOf(await train({ cache: folder, onProgress })), undisturbed);
  assert.equal([steps[0], steps.at(-1)], [31, 72]);
});

test('small data, no labels, answers computed anew, nothing kept', async () => {
  const small = await train({ epochs: 2, cache: temporaryFolder() }, { dataset: syntheticData(20) });
  assert.is(small.total, 2);
  const labelled = syntheticData(600);
  const without = { ...labelled, labels: labelled.labels.map(() => -1), unlabelled: true };
  const unlabelled = await train(
    { cache: temporaryFolder() },
    { dataset: without, validation: { ...without, size: 200 } },
  );
  assert.equal(unlabelled.accuracies, []);
  assert.ok((await accuracyOn(data.validation, 200, unlabelled.student.graph, session)) > 0.85);
  const fresh = await train({ teacher: 'fresh', cache: temporaryFolder() });
  // Views that are the same to the original, plain and mirrored: only the order of its batches differs.
  const cached = await train();
  assert.ok(Math.abs(fresh.accuracies.at(-1)!.accuracy - cached.accuracies.at(-1)!.accuracy) < 0.03);
  const { cache: _, ...kept } = { cache };
  const unkept = await trainStudent(student, data, {
    seed: 1,
    epochs: 6,
    batch: 50,
    augment: 'flip',
    session,
    ...kept,
  });
  assert.equal(hashOf(unkept), hashOf(fresh));
});

/** `data` whose reading gives no numbers the `which`-th time that a batch is read. */
function failing(which: number): Partial<typeof data> {
  const dataset = syntheticData(600);
  const { read } = dataset;
  let reads = 0;
  const failsOnce: typeof read = async (indices, ...rest) => {
    const rows = await read(indices, ...rest);
    return indices.length === 50 && ++reads === which ? rows.fill(Number.NaN) : rows;
  };
  return { dataset: { ...dataset, read: failsOnce } };
}

test('training that diverges goes on from the last good state at half the rate, also when it is interrupted then', async () => {
  const options = { epochs: 10, cache: temporaryFolder() };
  const done: number[] = [];
  const onProgress = (p: StudentProgress) => void done.push(p.done);
  const trained = await train({ ...options, onProgress }, failing(106));
  assert.is(trained.halvedAt, 100);
  assert.equal(done.slice(103, 107), [104, 105, 101, 102]);
  assert.equal(done.at(-1), 120);
  assert.equal(
    trained.curve.steps,
    [...new Set(trained.curve.steps)].sort((a, b) => a - b),
  );
  assert.equal([trained.curve.steps.at(-1), trained.accuracies.at(-1)!.step], [120, 120]);
  assert.ok(trained.accuracies.at(-1)!.accuracy > 0.9);
  const cache = temporaryFolder();
  const stop = new AbortController();
  const abort = ({ done, loss }: StudentProgress) => void (loss && done === 110 && stop.abort());
  await train({ ...options, cache, signal: stop.signal, onProgress: abort }, failing(106)).catch(() => {});
  assert.equal(hashOf(await train({ ...options, cache })), hashOf(trained));
});

test('a loss that stays a number, but grows to ten times the first, is one that diverges', async () => {
  const losses: number[] = [];
  const onProgress = (p: StudentProgress) => void losses.push(p.loss);
  const trained = await train({ learningRate: 10, epochs: 10, cache: temporaryFolder(), onProgress });
  assert.is(trained.halvedAt, 0);
  assert.ok(losses.every((loss) => loss <= 10 * losses[0]!) && losses.at(-1)! < losses[0]!, losses.join(' '));
});

test('training that diverges again is refused', async () => {
  const error = await train({ learningRate: 1e30, cache: temporaryFolder() }).catch((e: unknown) => e);
  assert.is((error as { code: string }).code, 'training-diverged');
  assert.match((error as Error).message, /the student grew .*learning rate \(5e\+29\)/);
});

test.run();
