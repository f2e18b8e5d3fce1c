/** What chains with students lose at given costs. For students.ts. */
import { argMaxRows } from '../src/policies/rows.ts';
import { accuracyOf } from '../src/predict/predict.ts';
import { EXIT_LOSSES } from '../src/students/exit-losses.ts';
import { deviation, mean, points } from './budgets.ts';
import { DEFAULT, WAYS, type Way } from './chain-ways.ts';
import { BUDGETS, contest, DRAWS, interval, lostIn, meanOf, type Reported } from './halves.ts';
import { markdown } from './markdown.ts';
import {
  answersOf,
  type Grown,
  nameOf,
  part,
  READING,
  type Spec,
  type StudentPlaces,
} from './students-data.ts';

/** Fixed before any of them was trained; the first way to train students was chosen with seed 1. */
const SEEDS = [2, 3, 4];

interface Aim {
  readonly name: string;
  readonly title: string;
  readonly spec: Omit<Spec, 'seed'>;
  readonly seeds: readonly number[];
  /** Points lost at most, by budget. */
  readonly targets: Readonly<Record<number, number>>;
}

const R56 = { file: 'resnet56', reading: READING.resnet56! };
const AIMS: readonly Aim[] = [
  {
    name: 'medium',
    title: '`--effort medium`, the default',
    spec: { ...R56, growth: { effort: 'medium' } },
    seeds: SEEDS,
    targets: { 0.25: 1.2, 0.3: 0.6, 0.4: 0.15, 0.532: 0, 0.638: -0.1 },
  },
  {
    name: 'high',
    title: '`--effort high`',
    spec: { ...R56, growth: { effort: 'high' } },
    seeds: SEEDS.slice(0, 1),
    targets: { 0.25: 0.7, 0.3: 0.35, 0.4: 0, 0.532: -0.25 },
  },
  ...[30, 60].map(
    (studentEpochs): Aim => ({
      name: `epochs-${studentEpochs}`,
      title: `\`--student 0.1 --student-epochs ${studentEpochs}\``,
      spec: { ...R56, growth: { student: [0.1], studentEpochs } },
      seeds: studentEpochs === 30 ? SEEDS.slice(0, 2) : SEEDS.slice(0, 1),
      targets: {},
    }),
  ),
];

/** ResNet-56 at every budget. */
export async function resnet56Section(places: StudentPlaces, only?: readonly string[]): Promise<string> {
  const tables: string[] = [];
  for (const { name, title, spec, seeds, targets } of AIMS) {
    if (only && !only.includes(name)) continue;
    const grown: Grown[] = [];
    for (const seed of seeds) grown.push(await answersOf({ ...spec, seed }, places));
    const aimed = BUDGETS.map((budget) => targets[budget]?.toFixed(2).replace('-', '−') ?? '');
    const table = markdown([
      ['lost, points, at a cost of', ...BUDGETS.map(String)],
      ...(aimed.some((cell) => cell) ? [['aimed at, at most', ...aimed]] : []),
      ...WAYS.flatMap((way) => rowsOf(way, seeds, grown)),
    ]);
    const text = `### ${title}\n\n${toldOf(seeds, grown)}\n\n${table}`;
    console.error(text);
    tables.push(text);
  }
  return `ResNet-56, CIFAR-10. For each seed ${DRAWS} random halves of the calibration and test pictures: policy and thresholds on one half, figures on the other, and the other way
round. Points of accuracy lost against the original (negative: more accurate). Of several seeds: mean of the seeds ± their standard deviation, each seed the mean of its draws; of one: ± that of its draws.
*Paired 95 %*: over the pictures, of the mean draw of the mean seed.

${tables.join('\n\n')}
`;
}

function toldOf(seeds: readonly number[], grown: readonly Grown[]): string {
  const { costs } = grown[0]!;
  const shares = costs.networks.slice(0, -1).map((share) => share.toFixed(3));
  const alone = grown.map(aloneOf);
  return `Seeds ${seeds.join(', ')}. Networks in front: ${shares.join(', ')} of the original. Exits by themselves: ${alone.map(({ exits }) => exits).join(' | ')} %; the original ${alone[0]!.original} %.`;
}

/** Percent right: of each exit by itself, and of the original. */
function aloneOf({ predictions: { logits, original, labels } }: Grown) {
  const percent = (scores: Float32Array) =>
    (100 * accuracyOf(argMaxRows(scores, labels.length), labels)).toFixed(2);
  return { exits: logits.map(percent).join(', '), original: percent(original) };
}

/** [seeds][budgets][draws] */
const contestsOf = (way: Way, grown: readonly Grown[]) =>
  grown.map((one) => {
    const { byBudget } = contest(way, one);
    return BUDGETS.map((budget) => byBudget.get(budget)!);
  });

function rowsOf(way: Way, seeds: readonly number[], grown: readonly Grown[]): string[][] {
  const found = contestsOf(way, grown);
  const reachable = (b: number) =>
    found.every((byBudget) => byBudget[b]!.every(({ samples }) => samples > 0));
  const cells = (cell: (bySeed: readonly (readonly Reported[])[]) => string) =>
    BUDGETS.map((_, b) => (reachable(b) ? cell(found.map((byBudget) => byBudget[b]!)) : '–'));
  const lostBySeed = (draws: readonly Reported[]) => mean(draws.map(lostIn));
  const all = (bySeed: readonly (readonly Reported[])[]) => meanOf(bySeed.map(meanOf));
  const share = (sum: Reported, of: number) => of / sum.samples;
  const rows = [
    [
      `**${way.name}**`,
      ...cells((bySeed) => {
        const each = bySeed.map(lostBySeed);
        const spread = seeds.length > 1 ? deviation(each) : deviation(bySeed[0]!.map(lostIn));
        return `**${points(mean(each))}** ± ${points(spread)}`;
      }),
    ],
    [
      'cost realised',
      ...cells((bySeed) => {
        const sum = all(bySeed);
        return share(sum, sum.cost).toFixed(3);
      }),
    ],
  ];
  if (way !== DEFAULT) return rows;
  return [
    rows[0]!,
    ...(seeds.length > 1
      ? [['each seed', ...cells((bySeed) => bySeed.map((draws) => points(lostBySeed(draws))).join(', '))]]
      : []),
    ['paired 95 %', ...cells((bySeed) => interval(all(bySeed)))],
    [
      'agreement, %',
      ...cells((bySeed) => {
        const sum = all(bySeed);
        return (100 * share(sum, sum.agreed)).toFixed(1);
      }),
    ],
    rows[1]!,
  ];
}

const OTHERS = ['resnet20', 'densenet40', 'cifar_biasfield_base', 'vit_ibp_3_3_8'];
/** Heads as `compile` trains them where nothing is said. */
const HEADS = 3;

/** Other originals: a student alone, heads alone, and both. */
export async function othersSection(places: StudentPlaces): Promise<string> {
  const rows: string[][] = [];
  const told: string[] = [];
  for (const file of OTHERS) {
    const spec = { file, reading: READING[file]!, growth: { effort: 'medium' }, seed: SEEDS[0]! } as const;
    const both = await answersOf({ ...spec, heads: HEADS }, places);
    const original = both.costs.networks.length - 1;
    const chains = {
      'a student': part(both, ({ network }) => network < original),
      'heads, without it': part(both, ({ network }) => network === original),
      'a student and heads': both,
    };
    console.error(nameOf(spec));
    for (const [name, answered] of Object.entries(chains)) {
      const found = rowsOf(DEFAULT, [0], [answered]);
      rows.push(
        [file, `**${name}**`, ...found[0]!.slice(1)],
        ['', 'cost realised', ...found.at(-1)!.slice(1)],
      );
      console.error(
        rows
          .slice(-2)
          .map((row) => row.join(' '))
          .join('\n'),
      );
    }
    told.push(`${file}: ${toldOf([SEEDS[0]!], [both])}`);
  }
  return `One seed. A student as \`compile\` grows it by default, three heads as it trains them, and both; \`auto\` everywhere. Points lost, mean ± standard deviation of ${DRAWS} random halves.

${markdown([['original', 'lost, points, at a cost of', ...BUDGETS.map(String)], ...rows])}

${told.map((line) => `- ${line}`).join('\n')}
`;
}

const FEW_EPOCHS = 12;
/** One student with two exits under each loss, one alone, and two students. */
const WITH_EXITS: readonly (readonly [title: string, growth: Spec['growth']])[] = [
  ['one student', { student: [0.1] }],
  ['two students', { student: [0.03, 0.1] }],
  ...EXIT_LOSSES.map(
    (studentLoss) =>
      [`two exits, \`${studentLoss}\``, { student: [0.1], studentExits: 2, studentLoss }] as const,
  ),
];

/** Whether a student with two exits beats two students. */
export async function exitsSection(places: StudentPlaces): Promise<string> {
  const rows: string[][] = [];
  for (const [title, growth] of WITH_EXITS) {
    const spec = { ...R56, growth: { ...growth, studentEpochs: FEW_EPOCHS }, seed: SEEDS[0]! };
    const grown = await answersOf(spec, places);
    const found = rowsOf(DEFAULT, [0], [grown]);
    rows.push([title, aloneOf(grown).exits, ...found[0]!.slice(1)]);
    console.error(rows.at(-1)!.join(' '));
  }
  return `In front of ResNet-56, ${FEW_EPOCHS} epochs, one seed; points lost, mean ± standard deviation of ${DRAWS} random halves of the calibration and test pictures, \`auto\`.

${markdown([['', 'exits alone, %', ...BUDGETS.map(String)], ...rows])}
`;
}
