/** What chains with students lose at given costs. For students.ts. */
import { EXIT_LOSSES } from '../src/students/exit-losses.ts';
import { DEFAULT, WAYS, type Way } from './chain-ways.ts';
import { BUDGETS, DRAWS } from './halves.ts';
import { aloneOf, lossRows } from './loss-rows.ts';
import { markdown } from './markdown.ts';
import { answersOf, type Grown, RESNET56, type Spec, type StudentPlaces, VGG } from './students-data.ts';

/** Fixed before any of them was trained; the first way to train students was chosen with seed 1. */
const SEEDS = [2, 3, 4];

/** A way to train students in front of a ResNet-56. */
interface Aim {
  readonly title: string;
  readonly spec: Omit<Spec, 'seed'>;
  readonly seeds: readonly number[];
  /** Points lost at most, by budget. */
  readonly targets: Readonly<Record<number, number>>;
}

const givenEpochs = (studentEpochs: number, seeds: readonly number[]): Aim => ({
  title: `ResNet-56, \`--student 0.1 --student-epochs ${studentEpochs}\``,
  spec: { subject: RESNET56, growth: { student: [0.1], studentEpochs } },
  seeds,
  targets: {},
});

export const AIMS: Readonly<Record<string, Aim>> = {
  medium: {
    title: 'ResNet-56, `--effort medium`, the default',
    spec: { subject: RESNET56, growth: { effort: 'medium' } },
    seeds: SEEDS,
    targets: { 0.25: 1.2, 0.3: 0.6, 0.4: 0.15, 0.532: 0, 0.638: -0.1 },
  },
  high: {
    title: 'ResNet-56, `--effort high`',
    spec: { subject: RESNET56, growth: { effort: 'high' } },
    seeds: SEEDS.slice(0, 1),
    targets: { 0.25: 0.7, 0.3: 0.35, 0.4: 0, 0.532: -0.25 },
  },
  'epochs-30': givenEpochs(30, SEEDS.slice(0, 2)),
  'epochs-60': givenEpochs(60, SEEDS.slice(0, 1)),
};

/** What is lost at every budget. */
export async function aimSection({ spec, seeds, targets }: Aim, places: StudentPlaces): Promise<string> {
  const grown: Grown[] = [];
  for (const seed of seeds) grown.push(await answersOf({ ...spec, seed }, places));
  const aimed = BUDGETS.map((budget) => targets[budget]?.toFixed(2).replace('-', '−') ?? '');
  const table = markdown([
    ['lost, points, at a cost of', ...BUDGETS.map(String)],
    ...(aimed.some((cell) => cell) ? [['aimed at, at most', ...aimed]] : []),
    ...WAYS.flatMap((way) => rowsOf(way, grown)),
  ]);
  const text = `${toldOf(seeds, grown)}\n\n${table}\n`;
  console.error(text);
  return text;
}

function toldOf(seeds: readonly number[], grown: readonly Grown[]): string {
  const { costs } = grown[0]!;
  const shares = costs.networks.slice(0, -1).map((share) => share.toFixed(3));
  const alone = grown.map(({ predictions }) => aloneOf(predictions));
  return `Seeds ${seeds.join(', ')}. Networks in front: ${shares.join(', ')} of the original. Exits by themselves: ${alone.map(({ exits }) => exits).join(' | ')} %; the original ${alone[0]!.original} %.`;
}

function rowsOf(way: Way, grown: readonly Grown[]): string[][] {
  const { lost, each, paired, agreement, cost } = lossRows(way, grown, BUDGETS);
  const [head, last] = [
    [`**${way.name}**`, ...lost],
    ['cost realised', ...cost],
  ];
  if (way !== DEFAULT) return [head!, last!];
  return [
    head!,
    ...(grown.length > 1 ? [['each seed', ...each]] : []),
    ['paired 95 %', ...paired],
    ['agreement, %', ...agreement],
    last!,
  ];
}

const FEW_EPOCHS = 4;
/** One student with two exits under each loss, one alone, and two students. */
const WITH_EXITS: readonly (readonly [title: string, growth: Spec['growth']])[] = [
  ['one student', { student: [0.29] }],
  ['two students', { student: [0.05, 0.29] }],
  ...EXIT_LOSSES.map(
    (studentLoss) =>
      [`two exits, \`${studentLoss}\``, { student: [0.29], studentExits: 2, studentLoss }] as const,
  ),
];

/** Whether a student with two exits beats two students. */
export async function exitsSection(places: StudentPlaces): Promise<string> {
  const rows: string[][] = [];
  for (const [title, growth] of WITH_EXITS) {
    const spec = { subject: VGG, growth: { ...growth, studentEpochs: FEW_EPOCHS }, seed: SEEDS[0]! };
    const grown = await answersOf(spec, places);
    const { lost } = lossRows(DEFAULT, [grown], BUDGETS);
    rows.push([title, aloneOf(grown.predictions).exits, ...lost]);
    console.error(rows.at(-1)!.join(' '));
  }
  return `In front of the VGG-like network of eight convolutions, students of .28 of it, the first of two of .05 and the inner exit at .12; ${FEW_EPOCHS} epochs, one seed; points lost, mean ± standard deviation of ${DRAWS} random halves of the calibration and test pictures, \`auto\`.

${markdown([['', 'exits alone, %', ...BUDGETS.map(String)], ...rows])}
`;
}
