/**
 * The papers' networks and data, as Offramp does them, beside what was published, into bench/papers.md. Rows that were not asked for stay as they are.
 *
 *   npx tsx bench/papers.ts --models DIR --pictures DIR --texts DIR --mnist DIR [--rows resnet20,…] [--threads N] [--cache DIR] [--keep DIR]
 *
 * It takes hours, DenseNet-40 and ResNet-56 an hour each or more; what was trained is kept.
 */
import { parseArgs } from 'node:util';
import { DEFAULT } from './chain-ways.ts';
import { drawsOf } from './halves.ts';
import { aloneOf, lossRows } from './loss-rows.ts';
import { markdown } from './markdown.ts';
import { PUBLISHED } from './papers-published.ts';
import { type PaperPlaces, type Row, rowsIn } from './papers-subjects.ts';
import { PLACES, placesOf } from './places.ts';
import { makeSections, type Sections } from './section-page.ts';
import { answersOf, type Grown, part } from './students-data.ts';

const { values } = parseArgs({
  options: {
    ...PLACES,
    texts: { type: 'string', default: process.env.TEXTS },
    mnist: { type: 'string', default: process.env.MNIST },
    rows: { type: 'string' },
    threads: { type: 'string' },
  },
});
const { texts = '', mnist = '' } = values;
const threads = values.threads ? Number(values.threads) : undefined;
const places: PaperPlaces = { ...placesOf(values, 'papers'), texts, mnist, threads };

const SEED = 2;
const COSTS = [0.25, 0.3, 0.4, 0.5, 0.532, 0.638, 0.745];

const rows = rowsIn(places);
const sections: Sections = {
  ...Object.fromEntries(
    Object.entries(rows).map(([name, row]) => [name, [row.title, () => sectionOf(row)] as const]),
  ),
  published: ['Published', async () => PUBLISHED],
};
const HEAD = `# The papers' rows

Made by \`bench/papers.ts\`, one row at a time with \`--rows\`; originals are used as they are, students and heads are trained as \`compile\` trains them at medium effort, one seed. Points of accuracy lost against the
original (negative: more accurate) at average costs relative to it, every network and head that runs counted; policy \`auto\`, chosen with its thresholds on a random half of the calibration and test samples and
reported on the other half, both ways round: mean ± standard deviation of the draws. What others have published stands below, with what they count. ResNet-56, at medium and at high effort, has a page of its own: [students.md](students.md).

`;
await makeSections(
  new URL('papers.md', import.meta.url),
  HEAD,
  sections,
  values.rows ?? Object.keys(sections).join(),
);
process.exit();

async function sectionOf({ text, cheaper = [], ...row }: Row): Promise<string> {
  const all = await answersOf({ ...row, seed: SEED }, places);
  const { costs, predictions, macs, seconds } = all;
  const alone = aloneOf(predictions);
  const budgets = [...cheaper, ...COSTS];
  const table = Object.entries(chainsOf(all)).flatMap(([name, chain]) => {
    const { lost, agreement, cost } = lossRows(DEFAULT, [chain], budgets);
    const draws = `${drawsOf(chain.costs)} draws`;
    return [
      [`**${name}**, ${draws}`, ...lost],
      ['agreement, %', ...agreement],
      ['cost realised', ...cost],
    ];
  });
  const shares = costs.networks.slice(0, -1).map((share) => Number(share.toPrecision(2)));
  const front = shares.length > 0 ? ` Networks in front: ${shares.join(', ')} of it.` : '';
  const page = `${text ? `${text} ` : ''}The original is right on ${alone.original} % of ${predictions.labels.length.toLocaleString('en')} samples and takes ${(macs / 1e6).toFixed(1)} M MACs.${front} Exits by themselves are right on ${alone.exits} %. Training took ${Math.ceil(seconds / 60)} min${threads ? ` on ${threads} of two cores` : ''}.

${markdown([['points lost at a cost of', ...budgets.map(String)], ...table])}
`;
  console.error(page);
  return page;
}

/** What is compared: students alone, heads alone, both. */
function chainsOf(all: Grown): Readonly<Record<string, Grown>> {
  const { exits, networks } = all.costs;
  const original = networks.length - 1;
  const [students, heads] = [
    exits.some(({ network }) => network < original),
    exits.some(({ network }) => network === original),
  ];
  const student = original > 1 ? `${original} students` : 'a student';
  return {
    ...(students && { [student]: part(all, ({ network }) => network < original) }),
    ...(heads && { heads: part(all, ({ network }) => network === original) }),
    ...(students && heads && { [`${student} and heads`]: all }),
  };
}
