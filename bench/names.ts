/**
 * Do named points keep what their names say? Calibration samples are drawn again and again from a large pool; each draw chooses its points
 * as `compile` does, and the whole pool tells what they lose and cost. Writes docs/names.md.
 *
 *   npm run demo && npx tsx bench/names.ts      DRAWS=200; ONLY=text prints the shapes whose name holds that and writes nothing
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { drawSamples, writeNpz } from '../examples/demo/shapes.ts';
import {
  BEST,
  budgetName,
  type Candidate,
  type CostModel,
  costsOf,
  crossFit,
  dropName,
  measure,
  NAMED_DROPS,
  type Outcomes,
  operatingPoints,
  pickSamples,
  type Searched,
  searchThresholds,
} from '../src/calibrate/index.ts';
import { reopen } from '../src/commands/reopen.ts';
import { openDataset, type Preprocessing } from '../src/data/index.ts';
import { inputsOf } from '../src/data/splits.ts';
import { readPackage } from '../src/emit/read-package.ts';
import { Random } from '../src/graph/random.ts';
import { foldsOf } from '../src/predict/choose-policy.ts';
import { outcomesAt } from '../src/predict/outcomes.ts';
import { predict } from '../src/predict/predict.ts';
import { CIFAR_LIKE, FIVE_EXITS, simulate, TEXT_LIKE, TWO_EXITS } from '../test/calibrate/simulate.ts';
import { markdown } from './markdown.ts';

const DRAWS = Number(process.env.DRAWS ?? 200);
const DROPS = [0.005];
const BUDGETS = [0.45, 0.6];
/** How often `best` may be there where nothing is more accurate than the original. */
const CHANCE = 0.05;
const OUT = 'docs/names.md';

interface Shape {
  readonly name: string;
  readonly pool: Outcomes;
  readonly costs: CostModel;
  /** Samples of a draw. */
  readonly samples: number;
}

const { ONLY } = process.env;
const shapes: Shape[] = [
  ...(ONLY ? [] : [await demoShape()]),
  { name: 'ResNet-56-like', pool: simulate(200_000, 1, CIFAR_LIKE), costs: FIVE_EXITS, samples: 3000 },
  { name: 'text-like', pool: simulate(200_000, 2, TEXT_LIKE), costs: TWO_EXITS, samples: 900 },
  {
    name: 'an exit that knows what the original does not',
    pool: simulate(200_000, 3, { ...TEXT_LIKE, skill: [2.4, 4.2, 4.4], shared: 0.8, sharedLuck: 0.3 }),
    costs: TWO_EXITS,
    samples: 2000,
  },
];
const sections = shapes.filter(({ name }) => name.includes(ONLY ?? '')).map(sectionOf);
if (ONLY) console.log(sections.join('\n'));
else
  writeFileSync(
    OUT,
    `# Do named points keep what their names say?

A point named \`balanced\` is to lose at most 1 point of accuracy **on new samples**, in the mean over draws of the calibration samples; a budget is to be
kept in the same sense. Written by \`npx tsx bench/names.ts\` (after \`npm run demo\`): ${DRAWS} draws of calibration samples from a
large pool, points chosen on each as \`compile\` chooses them, losses and costs those on the whole pool. In brackets: two standard errors of the mean.

- **lost before**: what the same name lost when it was the cheapest setting that lost so much on the samples it was chosen on.
- \`best\` is offered where gains over the original are beyond chance (5 %); it has a row where it was there more often than that.
- **cost given up**: mean cost less that of the cheapest setting that keeps the name on the pool, which nobody can know who has only the draw.

${sections.join('\n')}`,
  );
if (!ONLY) console.log(`written to ${OUT}`);

function sectionOf({ name, pool, costs, samples }: Shape): string {
  const closed = pool.scores.map(() => 1);
  const exact = measure(pool, costs, closed);
  const realised = new Map<string, { lost: number[]; cost: number[] }>();
  const note = (point: string, { thresholds }: Pick<Candidate, 'thresholds'>) => {
    const { accuracy, relativeCost } = measure(pool, costs, thresholds);
    const known = realised.get(point) ?? { lost: [], cost: [] };
    known.lost.push(exact.accuracy - accuracy);
    known.cost.push(relativeCost);
    realised.set(point, known);
  };
  for (let draw = 0; draw < DRAWS; draw++) {
    const rows = new Random(draw, 'draw', name).shuffle(
      Int32Array.from({ length: pool.labels.length }, (_, i) => i),
    );
    const found = search(pickSamples(pool, rows.slice(0, samples)), costs, draw);
    const points = operatingPoints(found, { budgets: BUDGETS, maxDrops: DROPS });
    for (const point of points) if (!point.name.startsWith('cost-')) note(point.name, point);
    for (const [standing, drop] of dropsByName()) note(`before ${standing}`, cheapestSeen(found, drop));
    for (const budget of BUDGETS)
      note(`before ${budgetName(budget)}`, found.hull.findLast((p) => p.relativeCost <= budget)!);
    if (draw % 20 === 19) console.error(`${name}: ${draw + 1} of ${DRAWS}`);
  }
  const best = searchThresholds(
    pool.labels.length > 50_000
      ? pickSamples(
          pool,
          Int32Array.from({ length: 50_000 }, (_, i) => i),
        )
      : pool,
    costs,
    { target: 'accuracy' },
  ).map((p) => measure(pool, costs, p.thresholds));
  const row = (point: string, means: string, oracle: number | undefined) => {
    const { lost, cost } = realised.get(point)!;
    const before = realised.get(`before ${point}`);
    return [
      `\`${point}\``,
      means,
      withError(lost, 100, 2),
      before ? (100 * mean(before.lost)).toFixed(2) : '–',
      withError(cost, 1, 4),
      oracle === undefined ? '–' : (mean(cost) - oracle).toFixed(3),
    ];
  };
  const drops = dropsByName().map(([point, drop]) =>
    row(
      point,
      `lose ≤ ${100 * drop}`,
      Math.min(...best.filter((p) => exact.accuracy - p.accuracy <= drop).map((p) => p.relativeCost)),
    ),
  );
  const budgets = BUDGETS.map((budget) => row(budgetName(budget), `cost ≤ ${budget}`, undefined));
  const has = realised.get(BEST);
  const often = has !== undefined && has.lost.length > CHANCE * DRAWS;
  const rows = [...drops, ...budgets, ...(often ? [row(BEST, 'lose < 0', undefined)] : [])];
  return `## ${name}

Pool of ${pool.labels.length.toLocaleString('en')} samples, ${samples} a draw; ${pool.scores.length} exits; the original is right on ${(100 * exact.accuracy).toFixed(2)} %. \`best\` was there in ${has?.lost.length ?? 0} of ${DRAWS} draws.

${markdown([['point', 'its name says', 'lost, points', 'lost before', 'cost', 'cost given up'], ...rows])}
`;
}

function search(outcomes: Outcomes, costs: CostModel, seed: number): Searched {
  const options = { target: 'accuracy' } as const;
  const hull = searchThresholds(outcomes, costs, options);
  const unseen = crossFit(
    () => outcomes,
    (outcomes) => searchThresholds(outcomes(), costs, options),
    costs,
    {
      ...options,
      folds: foldsOf(outcomes.labels.length, seed),
    },
  );
  return { hull, unseen };
}

/** The rule that was: the cheapest that loses at most `drop` where it was found. */
function cheapestSeen({ hull }: Searched, drop: number): Candidate {
  const least = hull.at(-1)!.accuracy - drop - Number.EPSILON;
  return hull.find((candidate) => candidate.accuracy >= least) ?? hull.at(-1)!;
}

function dropsByName(): [string, number][] {
  return [...Object.entries(NAMED_DROPS), ...DROPS.map((drop): [string, number] => [dropName(drop), drop])];
}

/** The demo's own exits on 24,000 new pictures. */
async function demoShape(): Promise<Shape> {
  const manifest = await readPackage('out/demo');
  const { inspection, heads } = await reopen('out/demo', manifest, 'examples/demo/base.onnx', {});
  const { typed, source } = inspection;
  const folder = mkdtempSync(join(tmpdir(), 'offramp-names-'));
  try {
    const file = join(folder, 'pool.npz');
    writeNpz(file, drawSamples(24_000, 1000));
    const inputs = inputsOf(typed);
    const dataset = await openDataset(file, {
      inputs,
      preprocessing: manifest.preprocessing as Preprocessing,
      cache: folder,
      classes: typed.classes,
      split: 'test',
    });
    const predictions = await predict(heads, dataset, { typed, modelHash: source.sha256, session: {} });
    await dataset.close();
    const pool = outcomesAt(predictions, { policy: 'max-prob', parameters: {} })();
    const costs = costsOf([{ totalMacs: manifest.baseline.macs }], heads);
    return { name: 'the demo', pool, costs, samples: 2000 };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function withError(values: readonly number[], scale: number, digits: number): string {
  const m = mean(values);
  const error = Math.sqrt(mean(values.map((v) => (v - m) ** 2)) / values.length);
  return `${(scale * m).toFixed(digits)} (± ${(2 * scale * error).toFixed(digits)})`;
}
