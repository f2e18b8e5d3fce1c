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
import { type Dataset, openDataset, resolvePreprocessing } from '../src/data/index.ts';
import { inputsOf } from '../src/data/splits.ts';
import { opsetOf } from '../src/graph/types.ts';
import { inspectFile } from '../src/model/inspect.ts';
import { observeFacts } from '../src/model/observe-facts.ts';
import { serializeModel } from '../src/parser/index.ts';
import { argMaxRows } from '../src/policies/rows.ts';
import { type Predictions, predict } from '../src/predict/predict.ts';
import { findEmbedding } from '../src/students/find-embedding.ts';
import { sizeStudent } from '../src/students/size-student.ts';
import type { StudentReads } from '../src/students/student.ts';
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

const sections: string[] = [];
for (const set of values.sets.split(',')) sections.push(await sectionOf(set));
const page = fileURLToPath(new URL('text-students.md', import.meta.url));
writeFileSync(page, pageOf(sections));
console.log(`written to ${page}`);
process.exit();

/** How often each student is right, alone and in front of the original of `set`. */
async function sectionOf(set: string): Promise<string> {
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
  const [train, calibration, test] = [await open('train'), await open('calibration'), await open('test')];
  const teacher = { typed, modelHash: source.sha256 };
  const original = await answersTo([calibration, test], teacher);
  const { labels } = original;
  const truth = { labels, original: argMaxRows(original.original, labels.length) };
  const embedding = await findEmbedding(typed.model.graph, source.folder);
  if (!embedding?.table) throw new Error(`${model} has no embedding that students can read`);
  const [rows, size] = embedding.table.dims;

  const table: string[][] = [];
  for (const family of TOKEN_FAMILIES)
    for (const [whose, reads] of [
      ['its own', { inputs, preprocessing, classes, embedding: { ...embedding, table: undefined } }],
      ['the original’s', { inputs, preprocessing, classes, embedding }],
    ] as const satisfies readonly (readonly [string, StudentReads])[]) {
      const untrained = sizeStudent(reads, SHARE, plan.totalMacs, SEED, { family });
      const data = { dataset: train, teacher };
      const { student } = await trainStudent(untrained, data, { seed: SEED, cache, session });
      const written = studentModel(student, opsetOf(typed.model));
      const small = await observeFacts(written, { session });
      const alone = await answersTo([calibration, test], {
        typed: small,
        modelHash: `${set} ${family} ${whose}`,
      });
      const sums = nothing();
      add(sums, argMaxRows(alone.original, labels.length), truth);
      const cost = student.macs / plan.totalMacs;
      const drawn = contest(
        maxProb(true),
        {
          predictions: {
            ...original,
            logits: [alone.original],
            confidence: [new Float32Array(labels.length)],
          },
          costs: { exits: [{ network: 0, prefix: cost, head: 0 }], networks: [cost, 1] },
        },
        [SHARE],
      ).byBudget.get(SHARE)!;
      table.push([
        `\`${family}\`, ${student.form.width} wide`,
        whose,
        cost.toFixed(4),
        right(argMaxRows(alone.original, labels.length), labels),
        points(lostIn(sums)),
        interval(sums),
        ...together(drawn),
        (serializeModel(written).byteLength / 1e6).toFixed(1),
      ]);
      console.error(set, table.at(-1)!.join(' | '));
    }
  for (const dataset of [train, calibration, test]) await dataset.close();
  const head = ['student', 'embedding', 'cost', 'right alone', 'lost alone, points', 'paired 95 %'];
  const chain = [`lost at ${SHARE}`, 'paired 95 %', 'cost realised', 'agreement, %'];
  return `## ${set}

The original is right on ${right(truth.original, labels)}; its embedding has ${rows} rows of ${size}. ${train.size.toLocaleString('en')} texts to train on, ${labels.length.toLocaleString('en')} to report on.

${markdown([[...head, ...chain, 'MB'], ...table])}
`;
}

function right(answers: Int32Array, labels: Int32Array): string {
  return `${(100 * accuracy(answers, labels)).toFixed(2)} %`;
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

Made by \`npx tsx bench/text-students.ts --texts DIR\`: the largest student of at most ${SHARE} of the original's MACs, trained as \`compile\` trains it
(30 epochs, seed ${SEED}). Figures are of the calibration and the test split together. *Alone*: the student instead of the original; points lost are negative where it is right
more often. *At ${SHARE}*: the student in front of the original, thresholds for a mean cost of ${SHARE} (\`max-prob\`, final answer ensembled) fitted on a random half of these samples and reported
on the other, and the other way round, ten times: mean ± standard deviation. *MB*: of the student's file. Costs are shares of the original's MACs.

${sections.join('\n')}`;
}
