/** Accuracy of chains at given costs, over random halves of the calibration and test pictures. For chain.ts. */
import { type CostModel, cheapestCost, measure, pairedInterval, walk } from '../src/calibrate/index.ts';
import { shuffled } from '../src/graph/random.ts';
import { argMaxRows } from '../src/policies/rows.ts';
import { outcomesAt } from '../src/predict/outcomes.ts';
import { rowsOf } from '../src/predict/predict.ts';
import { accuracy, deviation, mean, points } from './budgets.ts';
import {
  type Answered,
  answersOf,
  CHAINS,
  type ChainSpec,
  nameOf,
  type Places,
  TRAINED,
} from './chain-data.ts';
import { DEFAULT, thresholdsFor, WAYS, type Way } from './chain-ways.ts';
import { markdown } from './markdown.ts';

const BUDGETS = [0.25, 0.3, 0.35, 0.4, 0.45, 0.532, 0.638, 0.745];
const DRAWS = 10;
/** Of a chain with many exits, whose searches take minutes. */
const FEW_DRAWS = 3;
const MANY_EXITS = 4;

/** ResNet-56 pruned and trained on (Torch-Pruning's README): cost relative to it, points more accurate than their own base. */
const PUBLISHED = [
  [0.47, 0.24],
  [0.389, 0.11],
] as const;

/** Sums over the samples reported. */
export interface Reported {
  samples: number;
  /** Right by the original alone, and by the chain alone. */
  onlyOriginal: number;
  onlyChain: number;
  agreed: number;
  cost: number;
}

const drawsOf = ({ exits }: CostModel) => (exits.length > MANY_EXITS ? FEW_DRAWS : DRAWS);

export const nothing = (): Reported => ({ samples: 0, onlyOriginal: 0, onlyChain: 0, agreed: 0, cost: 0 });

export function add(
  to: Reported,
  answers: Int32Array,
  { original, labels }: { original: Int32Array; labels: Int32Array },
) {
  for (const [i, label] of labels.entries()) {
    to.onlyOriginal += Number(original[i] === label && answers[i] !== label);
    to.onlyChain += Number(original[i] !== label && answers[i] === label);
    to.agreed += Number(answers[i] === original[i]);
  }
  to.samples += labels.length;
}

export const lostIn = ({ onlyOriginal, onlyChain, samples }: Reported) =>
  (onlyOriginal - onlyChain) / samples;

/** By budget, one entry a draw: fitted on each half of the samples and reported on the other. */
export function contest(
  way: Way,
  { predictions, costs }: Pick<Answered, 'predictions' | 'costs'>,
  budgets: readonly number[] = BUDGETS,
) {
  const draws = drawsOf(costs);
  const byBudget = new Map(budgets.map((budget) => [budget, [] as Reported[]]));
  const policies = new Map<string, number>();
  for (let draw = 0; draw < draws; draw++) {
    const order = shuffled(predictions.labels.length, draw, 'halves');
    const middle = Math.floor(order.length / 2);
    const [a, b] = [order.slice(0, middle), order.slice(middle)].map((rows) =>
      rowsOf(predictions, rows.sort()),
    );
    const drawn = new Map(budgets.map((budget) => [budget, nothing()]));
    for (const [calibration, report] of [
      [a!, b!],
      [b!, a!],
    ] as const) {
      const fitted = way.fit(calibration, costs, draw);
      const { policy } = fitted.policy;
      policies.set(policy, (policies.get(policy) ?? 0) + 1);
      const view = outcomesAt(report, fitted.policy);
      for (const [budget, sums] of drawn) {
        const thresholds = thresholdsFor(fitted, budget);
        if (!thresholds) continue;
        const outcomes = view(thresholds);
        add(sums, walk(outcomes, thresholds).answers, outcomes);
        sums.cost += measure(outcomes, costs, thresholds).relativeCost * outcomes.labels.length;
      }
    }
    for (const [budget, sums] of drawn) byBudget.get(budget)!.push(sums);
  }
  return { byBudget, policies };
}

function rowsFor(way: Way, answered: Answered, isFirst: boolean): string[][] {
  const started = performance.now();
  const { byBudget, policies } = contest(way, answered);
  console.error(
    `  ${way.name}: ${((performance.now() - started) / 1000).toFixed(0)} s, ${[...policies].join(' ')}`,
  );
  const cells = (cell: (draws: readonly Reported[]) => string) =>
    BUDGETS.map((budget) => {
      const draws = byBudget.get(budget)!;
      return draws.every(({ samples }) => samples === predictionsIn(answered)) ? cell(draws) : '–';
    });
  const row = (name: string, cell: (draws: readonly Reported[]) => string) => [name, ...cells(cell)];
  const rows = [
    row(`**${way.name}**`, (draws) => {
      const lost = draws.map(lostIn);
      return `**${points(mean(lost))}** ± ${points(deviation(lost))}`;
    }),
    row('agreement, %', (draws) => (100 * mean(draws.map((d) => d.agreed / d.samples))).toFixed(1)),
  ];
  const cost = row('cost realised', (draws) => mean(draws.map((d) => d.cost / d.samples)).toFixed(3));
  if (!isFirst) return [...rows, cost];
  const taken = [...policies].sort((x, y) => y[1] - x[1]).map(([name, times]) => `${name} ${times}`);
  return [
    rows[0]!,
    row('paired 95 %', (draws) => interval(meanOf(draws))),
    rows[1]!,
    cost,
    [`taken: ${taken.join(', ')}`, ...BUDGETS.map(() => '')],
  ];
}

const predictionsIn = ({ predictions }: Answered) => predictions.labels.length;

/** The mean draw. */
export function meanOf(draws: readonly Reported[]): Reported {
  const over = (name: keyof Reported) => mean(draws.map((draw) => draw[name]));
  return {
    samples: over('samples'),
    onlyOriginal: over('onlyOriginal'),
    onlyChain: over('onlyChain'),
    agreed: over('agreed'),
    cost: over('cost'),
  };
}

export function interval({ samples, onlyOriginal, onlyChain }: Reported): string {
  const [low, high] = pairedInterval({ samples, onlyA: onlyOriginal, onlyB: onlyChain });
  return `${points(-high)} … ${points(-low)}`;
}

function sectionOf(spec: ChainSpec, answered: Answered, withAuto: boolean): string {
  console.error(nameOf(spec));
  const { costs } = answered;
  const targets = spec.targets
    ? [
        [
          'aimed at, at most',
          ...BUDGETS.map((budget) => spec.targets![budget]?.toFixed(2).replace('-', '−') ?? ''),
        ],
      ]
    : [];
  const ways = withAuto ? WAYS : WAYS.filter((way) => way !== DEFAULT);
  const rows = ways.flatMap((way, w) => rowsFor(way, answered, w === 0));
  return `### ${nameOf(spec)}

${exitsOf(costs)}${drawsOf(costs) < DRAWS ? ` Of ${drawsOf(costs)} halves only.` : ''}

${markdown([['lost, points, at a cost of', ...BUDGETS.map(String)], ...targets, ...rows])}
`;
}

function exitsOf(costs: CostModel): string {
  const exits = costs.exits.map(({ network, prefix, head }, k) => {
    const place = prefix === costs.networks[network] ? 'end' : `exit at ${prefix.toFixed(3)}`;
    return `${k + 1}: ${place} of network ${network + 1}, ${(prefix + head).toFixed(3)}`;
  });
  return `Exits, with what running their network up to them costs: ${exits.join('; ')}. The cheapest answer costs ${cheapestCost(costs).toFixed(3)}.`;
}

/** Each network by itself against the original of its chain. */
function aloneRows(spec: ChainSpec, { predictions, costs }: Answered): string[][] {
  const { labels } = predictions;
  const original = argMaxRows(predictions.original, labels.length);
  const rows = spec.first.map(({ file }, network) => {
    const end = costs.exits.findLastIndex((exit) => exit.network === network);
    const answers = argMaxRows(predictions.logits[end]!, labels.length);
    const sums = nothing();
    add(sums, answers, { original, labels });
    return [
      `${file} alone, instead of ${spec.original.file}`,
      costs.networks[network]!.toFixed(3),
      `${(100 * accuracy(answers, labels)).toFixed(2)} %`,
      points(lostIn(sums)),
      interval(sums),
      (100 * (sums.agreed / sums.samples)).toFixed(1),
    ];
  });
  const alone = `${(100 * accuracy(original, labels)).toFixed(2)} %`;
  return [...rows, [`${spec.original.file} alone`, '1', alone, '0', '', '100']];
}

/** The section, with chains whose heads must be trained only if asked for. */
export async function accuracySection(
  places: Places,
  isTrained: boolean,
  withAuto: boolean,
): Promise<string> {
  const sections: string[] = [];
  const alone = new Map<string, string[]>();
  for (const spec of isTrained ? [...CHAINS, TRAINED] : CHAINS) {
    const answered = await answersOf(spec, places);
    if (spec !== TRAINED) for (const row of aloneRows(spec, answered)) alone.set(row[0]!, row);
    const section = sectionOf(spec, answered, withAuto);
    console.error(section);
    sections.push(section);
  }
  const published = PUBLISHED.map(([cost, gain]) => [
    'ResNet-56 pruned, as published (Torch-Pruning)',
    String(cost),
    '',
    points(-gain / 100),
    '',
    '',
  ]);
  const training = places.epochs
    ? `Heads of the last chain: ${places.epochs} epochs, ${places.views ?? 2} views.`
    : 'Heads of the last chain are trained as `compile` does by default.';
  const last = isTrained
    ? `${training} Their temperatures were fitted on a third of the calibration split, so on some of the pictures that are reported.`
    : `Not run: ${nameOf(TRAINED)}, whose heads must be trained (\`--trained\`).`;
  return `## Accuracy

CIFAR-10, calibration and test split together: ${DRAWS} random halves; policy and thresholds on one half, figures on the other, and the other way round. Points of
accuracy lost against the original (negative: more accurate than it), mean ± standard deviation of the ${DRAWS} draws. A budget is met as \`compile\` meets one that is asked for
(\`pickBudget\`: on held-out fifths of the half it is fitted on); *cost realised* is the mean on the half reported. What a policy learns, and the weight of the ensembled final answer, is fitted on a third
of the fitting half and thresholds are searched on the rest; \`max-prob\` needs no such third but for that weight, which is then fitted on the whole half. *Paired 95 %*: over the pictures, of the mean draw
(\`pairedInterval\`), so how far luck in the pictures goes, while the deviation says how far luck in the halves does. *–*: every exit costs more.${withAuto ? '' : ' `auto` was left out (`--quick`).'}

Instead of a chain:

${markdown([['', 'cost', 'accuracy', 'lost', 'paired 95 %', 'agreement, %'], ...[...alone.values()], ...published])}

${sections.join('\n')}
${last}
`;
}
