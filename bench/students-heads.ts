/** Whether heads behind a student should learn most from the samples that it leaves. For students.ts. */
import { noExits, originalOf, predictHeads, trainingFeatures } from '../src/commands/ready-exits.ts';
import { uniforms } from '../src/graph/random.ts';
import { largestOf, softmax } from '../src/policies/rows.ts';
import { fitConfidenceHeads } from '../src/predict/fit-confidence.ts';
import { predict } from '../src/predict/predict.ts';
import type { FeatureSource } from '../src/train/feature-source.ts';
import { openFeatures } from '../src/train/features.ts';
import { trainHeads } from '../src/train/train.ts';
import { DEFAULT, maxProb } from './chain-ways.ts';
import { BUDGETS, DRAWS } from './halves.ts';
import { aloneOf, lossRows } from './loss-rows.ts';
import { markdown } from './markdown.ts';
import {
  answersThrough,
  cifar10,
  type Ground,
  part,
  type StudentPlaces,
  withStudents,
} from './students-data.ts';

const SEED = 2;
const EPOCHS = 12;
const HEADS = 3;
/** Of the training samples, those that the student is least sure of. */
const LEFT = 0.4;
/** How often a sample that leaves is drawn, one that is left being drawn once: as \`--survivors\` weighs them. */
const FLOOR = 0.25;

export async function headsSection(places: StudentPlaces): Promise<string> {
  const spec = {
    subject: cifar10('resnet20', { preset: 'imagenet' }),
    growth: { student: [0.1], studentEpochs: EPOCHS },
    heads: HEADS,
    seed: SEED,
  };
  return await withStudents(spec, places, async (ground) => {
    const hard = await leftSamples(ground);
    const all = Int32Array.from({ length: hard.length }, (_, i) => i);
    const taught = { 'every sample alike': all, 'most from what the student leaves': hard };
    const rows: string[][] = [];
    for (const [title, drawn] of Object.entries(taught)) {
      const answered = await answersWith(ground, drawn);
      const student = part(answered, ({ network }) => network === 0);
      const add = (what: string, of: typeof answered, way = DEFAULT) =>
        rows.push([what, aloneOf(of.predictions).exits, ...lossRows(way, [of], BUDGETS).lost]);
      if (rows.length === 0) add('the student', student);
      add(`heads that learn ${title}`, answered);
      add('the same, every exit by itself', answered, maxProb(false));
      console.error(rows.at(-2)!.join(' '));
    }
    return `In front of ResNet-20 a student of ${EPOCHS} epochs, behind it ${HEADS} heads on ResNet-20, one seed; points lost, mean ± standard deviation of ${DRAWS} random halves of the calibration and test pictures, \`auto\`
(*by itself*: \`max-prob\`, no answers ensembled). What the student leaves: the ${100 * LEFT} % of the training pictures that it is least sure of; others are drawn ${FLOOR} times as often.

${markdown([['', 'exits alone, %', ...BUDGETS.map(String)], ...rows])}
`;
  });
}

/** Training samples by number, as many as there are, hard ones several times. */
async function leftSamples({ context, splits }: Ground): Promise<Int32Array> {
  const { dataset } = splits.train;
  const student = context.chain.networks[0]!;
  const { original: scores } = await predict([], dataset, {
    ...context.predicting,
    typed: student.typed,
    modelHash: student.hash,
  });
  const classes = scores.length / dataset.size;
  const p = new Float64Array(classes);
  const sure = Float64Array.from({ length: dataset.size }, (_, i) => {
    softmax(scores.subarray(i * classes, (i + 1) * classes), p);
    return largestOf(p);
  });
  const limit = sure.toSorted()[Math.floor(LEFT * sure.length)]!;
  const weights = sure.map((value) => (value < limit ? 1 : FLOOR));
  const step = weights.reduce((sum, weight) => sum + weight, 0) / sure.length;
  let reached = uniforms(SEED)() * step;
  let at = 0;
  return Int32Array.from({ length: sure.length }, () => {
    while (at < sure.length - 1 && reached >= weights[at]!) reached -= weights[at++]!;
    reached += step;
    return at;
  });
}

/** The chain with heads that learn from the training samples `drawn`. */
async function answersWith({ context, splits, goals }: Ground, drawn: Int32Array) {
  const features = await openFeatures(trainingFeatures(context, splits, undefined));
  const source: FeatureSource = {
    storage: features.storage,
    size: features.size,
    classes: features.classes,
    half: features.half,
    views: features.views,
    labels: drawn.map((sample) => features.labels[sample]!),
    read: (picks, views) =>
      features.read(
        Int32Array.from(picks, (pick) => drawn[pick]!),
        views,
      ),
    close: () => features.close(),
  };
  const original = originalOf(context);
  const options = { seed: SEED, session: context.predicting.session };
  const trained = await trainHeads(original.heads, source, options).finally(() => source.close());
  const heads = fitConfidenceHeads(
    trained,
    await predict(trained, splits.validation.dataset, context.predicting),
  );
  return await answersThrough(context, {
    ...noExits(context, goals, splits),
    heads,
    ...predictHeads(context, original, heads),
  });
}
