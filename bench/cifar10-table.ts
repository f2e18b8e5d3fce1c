/** From what cifar10.ts kept to bench/cifar10.md: the drop at given honest costs, both ways round, over all seeds. */
import { writeFileSync } from 'node:fs';
import { formatTable } from '../src/cli/tables.ts';
import { argMaxRows } from '../src/policies/rows.ts';
import { accuracy, deviation, judgeBudgets, mean, points, readKept } from './budgets.ts';
import { markdown } from './markdown.ts';

const BUDGETS = [0.745, 0.7, 0.638, 0.6, 0.532, 0.45, 0.4];
/** What this project set out for, at three of them. */
const TARGETS: Record<number, number> = { 0.745: 0.2, 0.638: 0.5, 0.532: 1.3 };
/** EENet (Ilhan et al. 2024, table 1; jointly trained backbone), and a prototype of ours in PyTorch (mean over random splits). */
const PUBLISHED: Record<number, string> = { 0.745: '0.06', 0.638: '1.00', 0.532: '5.00' };
const PROTOTYPE: Record<number, string> = { 0.745: '−0.01', 0.638: '0.29', 0.532: '1.16' };

const [folder = '/tmp/cifar10-outcomes', model = 'resnet56', out = 'bench/cifar10.md'] =
  process.argv.slice(2);
const kept = readKept(folder, model);

const runs = kept.map(({ costs, calibration, test }) => ({
  onTest: judgeBudgets('max-prob', calibration, test, costs, BUDGETS),
  onCalibration: judgeBudgets('max-prob', test, calibration, costs, BUDGETS),
}));

const rows = BUDGETS.map((budget) => {
  const perRun = runs.flatMap((r) => [r.onTest, r.onCalibration].map((d) => mean(d.get(budget)!.lost)));
  // A sample is reported once a seed; its mean over seeds is what varies from sample to sample.
  const perSample = (['onTest', 'onCalibration'] as const).flatMap((way) => {
    const all = runs.map((r) => r[way].get(budget)!.lost);
    return Array.from(all[0]!, (_, i) => mean(all.map((lost) => lost[i]!)));
  });
  const margin = (1.96 * deviation(perSample)) / Math.sqrt(perSample.length);
  const drop = mean(perRun);
  const agreement =
    1 - mean(runs.flatMap((r) => [r.onTest, r.onCalibration].map((d) => mean(d.get(budget)!.disagreed))));
  return [
    String(budget),
    points(drop),
    points(deviation(perRun)),
    `${points(drop - margin)} … ${points(drop + margin)}`,
    `${(100 * agreement).toFixed(2)} %`,
    TARGETS[budget] === undefined ? '' : `≤ ${TARGETS[budget]}`,
    PROTOTYPE[budget] ?? '',
    PUBLISHED[budget] ?? '',
  ];
});
const headRows = kept[0]!.costs.exits.map(({ prefix, head }, k) => [
  `exit_${k + 1}`,
  `${(100 * prefix).toFixed(1)} %`,
  `${(100 * head).toFixed(2)} %`,
  ...[
    kept.map((r) =>
      mean([r.calibration, r.test].map((j) => accuracy(argMaxRows(j.logits[k]!, j.labels.length), j.labels))),
    ),
  ].map((list) => `${(100 * mean(list)).toFixed(2)} %`),
]);

const header = [
  'honest cost',
  'drop, points',
  'sd of the runs',
  'paired 95 %',
  'agreement',
  'target',
  'prototype',
  'published (jointly trained)',
];
const originals = kept.flatMap((r) =>
  [r.calibration, r.test].map((j) => accuracy(argMaxRows(j.original, j.labels.length), j.labels)),
);
writeFileSync(
  out,
  `# CIFAR-10: accuracy against honest cost, ${model}

Made by \`npx tsx bench/cifar10.ts --model ../shared/data/models/${model}.onnx --pictures DIR\`, then
\`npx tsx bench/cifar10-table.ts\`. Defaults throughout: recipe \`distill\`, heads \`strided\`, policy \`max-prob\`.

Heads are trained on the 50,000 training pictures with each of the seeds ${kept.map((_, i) => i + 1).join(', ')} (fixed beforehand). Thresholds are
searched on one of the two parts of the official test set (3,000 pictures each) and reported on the other, then the other way
round: ${2 * kept.length} runs. Cost counts every executed head, is the one realised on the reporting part, and drops are interpolated along the
hull at exactly the cost named. The original has ${points(mean(originals))} % on the two parts. The interval is over samples, paired with the original, each
sample's loss averaged over the seeds. Minutes a seed on two cores, features included where they were not cached: ${kept.map((r) => (r.seconds / 60).toFixed(1)).join(', ')}.

${markdown([header, ...rows])}

Prototype: PyTorch, five costlier heads, ten epochs, mean over random splits. Published: EENet (Ilhan et al.), backbone
trained jointly with its exits (Ilhan et al. 2024, table 1).

${markdown([['exit', 'backbone MACs', 'head MACs', 'accuracy of the head alone'], ...headRows])}
`,
);
console.log(formatTable([header, ...rows]));
console.log(formatTable([['exit', 'backbone', 'head', 'accuracy'], ...headRows]));
