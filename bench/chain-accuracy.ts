/** Accuracy of chains at given costs, over random halves of the calibration and test pictures. For chain.ts. */
import { type CostModel, cheapestCost } from '../src/calibrate/index.ts';
import { argMaxRows } from '../src/policies/rows.ts';
import { accuracy, deviation, mean, points } from './budgets.ts';
import { answersOf, CHAINS, type ChainPlaces, type ChainSpec, nameOf, TRAINED } from './chain-data.ts';
import { DEFAULT, WAYS, type Way } from './chain-ways.ts';
import {
  type Answered,
  add,
  BUDGETS,
  contest,
  DRAWS,
  drawsOf,
  interval,
  lostIn,
  meanOf,
  nothing,
  type Reported,
} from './halves.ts';
import { markdown } from './markdown.ts';

/** ResNet-56 pruned and trained on (Torch-Pruning's README): cost relative to it, points more accurate than their own base. */
const PUBLISHED = [
  [0.47, 0.24],
  [0.389, 0.11],
] as const;

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
  places: ChainPlaces,
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
  return `CIFAR-10, calibration and test split together: ${DRAWS} random halves; policy and thresholds on one half, figures on the other, and the other way round. Points of
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
