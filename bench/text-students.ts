/**
 * Students of texts: which family, and whether they learn an embedding of their own or read the original's. Writes bench/text-students.md.
 *
 *   npx tsx bench/text-students.ts --texts DIR [--sets ag_news,sst2] [--cache DIR] [--threads N]
 *
 * DIR holds a folder for each data set: train.jsonl, calibration.jsonl, test.jsonl and the original, encoder_strong.onnx or encoder.onnx.
 * It takes about ten minutes on two quiet cores; what was trained is kept in the cache.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { defaultCache } from '../src/cache/folder.ts';
import { type Dataset, openDataset, partition, resolvePreprocessing } from '../src/data/index.ts';
import { inputsOf } from '../src/data/splits.ts';
import { opsetOf } from '../src/graph/types.ts';
import { inspectFile } from '../src/model/inspect.ts';
import { observeFacts } from '../src/model/observe-facts.ts';
import { serializeModel } from '../src/parser/index.ts';
import { argMaxRows } from '../src/policies/rows.ts';
import { type Predictions, predict } from '../src/predict/predict.ts';
import { EFFORT } from '../src/students/effort.ts';
import { findEmbedding } from '../src/students/find-embedding.ts';
import { sizeStudent } from '../src/students/size-student.ts';
import { TOKEN_FAMILIES } from '../src/students/student.ts';
import { studentModel } from '../src/students/student-model.ts';
import { trainStudent } from '../src/students/train-student.ts';
import { accuracy, deviation, mean, points } from './budgets.ts';
import { joined } from './chain-data.ts';
import { maxProb } from './chain-ways.ts';
import { add, contest, interval, lostIn, meanOf, nothing, type Reported } from './halves.ts';
import { markdown } from './markdown.ts';

const { values } = parseArgs({
  options: {
    texts: { type: 'string', default: process.env.TEXTS },
    sets: { type: 'string', default: 'ag_news,sst2' },
    cache: { type: 'string', default: defaultCache() },
    threads: { type: 'string' },
  },
});
const { texts, cache } = values;
if (!texts) {
  console.error('--texts, or TEXTS, says where the folders of the data sets are');
  process.exit(2);
}

/** Of the original's MACs, for a student and for the whole chain. */
const SHARE = 0.05;
const SEED = 1;
const session = values.threads ? { threads: Number(values.threads) } : {};

/** Students that are compared: how large a part of the training texts they see, and whose embedding they read. */
const WHOSE = ['its own', 'the original’s'] as const;
const STUDENTS = [
  ...TOKEN_FAMILIES.flatMap((family) => WHOSE.map((whose) => ({ family, whose, part: 1 }))),
  ...[0.3, 0.1].flatMap((part) => WHOSE.map((whose) => ({ family: 'bag' as const, whose, part }))),
];

/** What is known of a data set and its original. */
type Subject = Awaited<ReturnType<typeof subjectOf>>;

const sections: string[] = [];
for (const set of values.sets.split(',')) sections.push(await sectionOf(await subjectOf(set)));
const page = fileURLToPath(new URL('text-students.md', import.meta.url));
writeFileSync(page, pageOf(sections));
console.log(`written to ${page}`);
process.exit();

async function subjectOf(set: string) {
  const model = ['encoder_strong.onnx', 'encoder.onnx']
    .map((file) => join(texts!, set, file))
    .find(existsSync);
  if (!model) throw new Error(`${join(texts!, set)} has no encoder_strong.onnx and no encoder.onnx`);
  const { source, typed, plan } = await inspectFile({ model });
  const { classes } = typed;
  const inputs = inputsOf(typed);
  const preprocessing = resolvePreprocessing({}, inputs);
  const open = (split: string) =>
    openDataset(join(texts!, set, `${split}.jsonl`), { inputs, preprocessing, cache, classes, split });
  const train = await open('train');
  const reported = [await open('calibration'), await open('test')];
  const teacher = { typed, modelHash: source.sha256 };
  const original = await answersTo(reported, teacher);
  const embedding = await findEmbedding(typed.model.graph, source.folder);
  if (!embedding?.table) throw new Error(`${model} has no embedding that students can read`);
  const reads = { inputs, preprocessing, classes, embedding };
  return { set, macs: plan.totalMacs, teacher, reads, train, reported, original, table: embedding.table };
}

async function sectionOf(subject: Subject): Promise<string> {
  const { set, train, reported, original, table } = subject;
  const { labels } = original;
  const rows: string[][] = [];
  for (const student of STUDENTS) {
    rows.push(await rowOf(subject, student));
    console.error(set, rows.at(-1)!.join(' | '));
  }
  for (const dataset of [train, ...reported]) await dataset.close();
  const head = ['student', 'embedding', 'texts', 'cost', 'right alone', 'lost alone, points', 'paired 95 %'];
  const chain = [`lost at ${SHARE}`, 'paired 95 %', 'cost realised', 'agreement, %', 'MB'];
  return `## ${set}

The original is right on ${right(original.original, labels)}; its embedding has ${table.dims[0]} rows of ${table.dims[1]}. Reported on ${labels.length.toLocaleString('en')} texts.

${markdown([[...head, ...chain], ...rows])}
`;
}

/** How often a student is right, alone and in front of the original. */
async function rowOf(
  { set, macs, teacher, reads, train, reported, original }: Subject,
  { family, whose, part }: (typeof STUDENTS)[number],
): Promise<string[]> {
  const { labels } = original;
  const embedding = whose === 'its own' ? { ...reads.embedding, table: undefined } : reads.embedding;
  const untrained = sizeStudent({ ...reads, embedding }, SHARE, macs, SEED, { family });
  const dataset = part < 1 ? partition(train, { part }, SEED).part : train;
  const training = { seed: SEED, epochs: EFFORT.medium.epochs, cache, session };
  const { student } = await trainStudent(untrained, { dataset, teacher }, training);
  const written = studentModel(student, opsetOf(teacher.typed.model));
  const typed = await observeFacts(written, { session });
  const alone = await answersTo(reported, { typed, modelHash: `${set} ${family} ${whose} ${part}` });
  const sums = nothing();
  add(sums, argMaxRows(alone.original, labels.length), {
    labels,
    original: argMaxRows(original.original, labels.length),
  });
  const cost = student.macs / macs;
  const answered = {
    predictions: {
      ...original,
      logits: [alone.original],
      confidence: [new Float32Array(labels.length)],
    },
    macs,
    costs: { exits: [{ network: 0, prefix: cost, head: 0 }], networks: [cost, 1] },
  };
  const draws = contest(maxProb(true), answered, [SHARE]).byBudget.get(SHARE)!;
  return [
    `\`${family}\`, ${student.form.width} wide`,
    whose,
    dataset.size.toLocaleString('en'),
    cost.toFixed(4),
    right(alone.original, labels),
    points(lostIn(sums)),
    interval(sums),
    ...together(draws),
    (serializeModel(written).byteLength / 1e6).toFixed(1),
  ];
}

function right(scores: Float32Array, labels: Int32Array): string {
  return `${(100 * accuracy(argMaxRows(scores, labels.length), labels)).toFixed(2)} %`;
}

/** What a network says about the samples of all `datasets`. */
async function answersTo(
  datasets: readonly Dataset[],
  network: Parameters<typeof trainStudent>[1]['teacher'],
): Promise<Predictions> {
  const parts: Predictions[] = [];
  for (const dataset of datasets) parts.push(await predict([], dataset, { ...network, session }));
  return parts.reduce(joined);
}

function together(draws: readonly Reported[]): string[] {
  const lost = draws.map(lostIn);
  return [
    `${points(mean(lost))} ± ${points(deviation(lost))}`,
    interval(meanOf(draws)),
    mean(draws.map((d) => d.cost / d.samples)).toFixed(3),
    (100 * mean(draws.map((d) => d.agreed / d.samples))).toFixed(1),
  ];
}

function pageOf(sections: readonly string[]): string {
  return `# Students of texts

Made by \`npx tsx bench/text-students.ts --texts DIR\`: the largest student of at most ${SHARE} of the original's MACs, trained as \`compile\` trains it (${EFFORT.medium.epochs} epochs, seed ${SEED}), on
so many of the training texts. Figures are of the calibration and the test split together. *Alone*: the student instead of the original; points lost are negative where it is right more
often. *At ${SHARE}*: the student in front of the original, thresholds for a mean cost of ${SHARE} (\`max-prob\`, final answer ensembled) fitted on a random half of these texts and reported on
the other, and the other way round, ten times: mean ± standard deviation. *MB*: of the student's file. Costs are shares of the original's MACs.

The originals were trained on these training texts, and on no others: rows with all of them are for such models. Rows with a part of them stand for models that have read more than
the student does, as those have whose embedding was trained beforehand. \`compile\` takes a \`bag\` with the original's embedding.

${sections.join('\n')}`;
}
