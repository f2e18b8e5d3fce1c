/** What students look like and who teaches them, compared on a part of the training pictures that none of them learns from. For students.ts. */
import { defaultCache } from '../src/cache/folder.ts';
import { type CompileContext, openProject, withSplits } from '../src/commands/project.ts';
import { type Dataset, partition } from '../src/data/index.ts';
import { inputsOf } from '../src/data/splits.ts';
import { makeModel } from '../src/graph/builder.ts';
import type { Graph } from '../src/graph/types.ts';
import { type Feeds, Tensor, withSession } from '../src/ort/session.ts';
import { attachExits } from '../src/passes/attach-exits.ts';
import { planExits } from '../src/passes/plan-exits.ts';
import { argMaxRows } from '../src/policies/rows.ts';
import { accuracyOf, predict } from '../src/predict/predict.ts';
import { accuracyOn } from '../src/students/accuracy.ts';
import { sizeStudent } from '../src/students/size-student.ts';
import type { Student } from '../src/students/student.ts';
import { atRest } from '../src/students/student-model.ts';
import { type TrainedStudent, trainStudent } from '../src/students/train-student.ts';
import type { StudentTraining } from '../src/students/training-plan.ts';
import { openFeatures } from '../src/train/features.ts';
import { trainHeads } from '../src/train/train.ts';
import { trainingViews } from '../src/train/views.ts';
import { markdown } from './markdown.ts';
import { RESNET56, type StudentPlaces } from './students-data.ts';

const SEED = 1;
/** Of the training pictures: a separable student learns for long. */
const LEARNED = 0.1;
const HELD_OUT = 0.1;
const EPOCHS = 8;
const SHARES = [0.1, 0.22];
/** `patches` is for smaller originals. */
const FAMILIES = ['wide', 'narrow', 'separable'] as const;
/** Where a head of the same kind of layers reads the original's own map. */
const EARLY_TAP = 0.09;
const RUNS = 200;

interface Ground {
  readonly context: CompileContext;
  /** Some training pictures, and others, on which accuracy is told. */
  readonly learned: Dataset;
  readonly heldOut: Dataset;
  readonly session: { readonly threads?: number };
  readonly cache: string;
}

async function onTrainingPictures<T>(places: StudentPlaces, use: (ground: Ground) => Promise<T>): Promise<T> {
  const { cache = defaultCache(), threads } = places;
  const options = {
    ...RESNET56.options(places),
    seed: SEED,
    cache,
    ...(threads && { threads }),
  };
  return await withSplits(await openProject(options), options, {}, async (context) => {
    const parts = { learned: LEARNED, heldOut: HELD_OUT };
    const { learned, heldOut } = partition(context.splits.train!.dataset, parts, SEED);
    return await use({ context, learned, heldOut, session: context.predicting.session, cache });
  });
}

interface Taught {
  readonly trained: TrainedStudent;
  readonly seconds: number;
  readonly accuracy: number;
}

/** The original's answers are cached before the clock starts. */
async function taught(student: Student, ground: Ground, training: Partial<StudentTraining>): Promise<Taught> {
  const { context, learned, heldOut, session, cache } = ground;
  const data = {
    dataset: learned,
    teacher: { typed: context.inspection.typed, modelHash: context.inspection.hash },
  };
  const options = { seed: SEED, epochs: EPOCHS, cache, session, ...training };
  await trainStudent(student, data, { ...options, steps: 1 });
  const started = performance.now();
  const trained = await trainStudent(student, data, options);
  const seconds = (performance.now() - started) / 1000;
  const accuracy = await accuracyOn(heldOut, heldOut.size, trained.student.graph, session);
  console.error(
    `  ${student.form.family} ${student.macs} ${JSON.stringify(training)}: ${seconds.toFixed(0)} s, ${accuracy}`,
  );
  return { trained, seconds, accuracy };
}

/** Milliseconds of a sample by itself, on one thread: the median of many. */
async function latencyOf(graph: Graph, feeds: Feeds): Promise<number> {
  return await withSession(makeModel(graph), { threads: 1, spinning: false }, async (session) => {
    const times: number[] = [];
    for (let i = 0; i < RUNS; i++) {
      const started = performance.now();
      await session.run(feeds);
      times.push(performance.now() - started);
    }
    return times.sort((a, b) => a - b)[RUNS >> 1]!;
  });
}

const percent = (share: number) => `${(100 * share).toFixed(2)} %`;

export async function familiesSection(places: StudentPlaces): Promise<string> {
  return await onTrainingPictures(places, async (ground) => {
    const { typed, plan } = ground.context.inspection;
    const inputs = inputsOf(typed);
    const reads = { inputs, preprocessing: ground.context.preprocessing, classes: typed.classes };
    const [{ name, dims }] = inputs as [(typeof inputs)[number]];
    const size = dims.reduce((product, dim) => product * dim, 1);
    const picture = { [name]: new Tensor('float32', new Float32Array(size).fill(0.1), [1, ...dims]) };
    const rows: string[][] = [];
    for (const family of FAMILIES)
      for (const share of SHARES) {
        const student = sizeStudent(reads, share, plan.totalMacs, SEED, { family });
        const { trained, seconds, accuracy } = await taught(student, ground, {});
        const { width, depth } = student.form;
        rows.push([
          `${family}, width ${width}, depth ${depth}`,
          (student.macs / plan.totalMacs).toFixed(3),
          seconds.toFixed(0),
          percent(accuracy),
          (await latencyOf(atRest(trained.student), picture)).toFixed(3),
        ]);
      }
    rows.push(...(await earlyHead(ground)));
    return `In front of ResNet-56, ${EPOCHS} epochs each on ${100 * LEARNED} % of the training pictures, one seed; accuracy on ${100 * HELD_OUT} % of them that nothing was learned from. Seconds are those of training, the original's answers (for heads its features) being
cached. Latency: one sample, one thread, what stands in front of a head included.

${markdown([['form', 'share of the MACs', 'training, s', 'right', 'latency, ms'], ...rows])}
`;
  });
}

/** The existing head of the most layers, at an early tap of the original. */
async function earlyHead({ context, learned, heldOut, session, cache }: Ground): Promise<string[][]> {
  const { typed, hash, plan } = context.inspection;
  const early = plan.taps.find(({ relativeCost }) => relativeCost >= EARLY_TAP)!;
  const planned = planExits(typed, { taps: [early.value] });
  const heads = attachExits(planned, { kind: 'residual', seed: SEED });
  const predicting = { typed, modelHash: hash, session };
  const features = await openFeatures({
    ...predicting,
    heads,
    dataset: learned,
    cacheFolder: cache,
    ...trainingViews(learned, 2),
  });
  const started = performance.now();
  const trained = await trainHeads(heads, features, { seed: SEED, epochs: EPOCHS, session });
  const seconds = (performance.now() - started) / 1000;
  await features.close();
  const predictions = await predict(trained, heldOut, predicting);
  const share = (early.prefixMacs + heads[0]!.macs) / plan.totalMacs;
  const right = accuracyOf(argMaxRows(predictions.logits[0]!, heldOut.size), heldOut.labels);
  return [[`head \`residual\` at ${early.value}`, share.toFixed(3), seconds.toFixed(0), percent(right), '']];
}

/** Epochs of a student whose original answers every view anew: about what fits into the time of the cached ones, and as many. */
const FRESH = [3, EPOCHS];

export async function teachersSection(places: StudentPlaces): Promise<string> {
  return await onTrainingPictures(places, async (ground) => {
    const { typed, plan } = ground.context.inspection;
    const reads = {
      inputs: inputsOf(typed),
      preprocessing: ground.context.preprocessing,
      classes: typed.classes,
    };
    // Not the seed of the families: a training that is in the cache takes no time.
    const student = sizeStudent(reads, SHARES[0]!, plan.totalMacs, SEED + 1);
    const rows: string[][] = [];
    for (const [teacher, epochs] of [
      ['cached', EPOCHS],
      ...FRESH.map((epochs) => ['fresh', epochs] as const),
    ] as const) {
      const { seconds, accuracy } = await taught(student, ground, { teacher, epochs });
      rows.push([teacher, `${epochs}`, seconds.toFixed(0), percent(accuracy)]);
    }
    return `The student of a tenth of ResNet-56, on ${100 * LEARNED} % of the training pictures; accuracy on ${100 * HELD_OUT} % of them that nothing was learned from. \`cached\`: the original's answers to the plain and the mirrored picture stand for every shift. \`fresh\`: it is asked
in every step.

${markdown([['teacher', 'epochs', 'training, s', 'right'], ...rows])}
`;
  });
}
