/**
 * All exit policies on the same trained heads, the same samples and the same cost model; writes bench/policies.md.
 *
 *   npx tsx bench/policies.ts [FOLDER of cifar10.ts] [MODELS] [OUT]
 */
import { writeFileSync } from 'node:fs';
import { CLOSED } from '../src/calibrate/types.ts';
import { table } from '../src/cli/tables.ts';
import { floatTensor, toFloat32Array } from '../src/graph/tensor.ts';
import type { JudgedHeads } from '../src/judge.ts';
import type { Head } from '../src/passes/exits.ts';
import { POLICY_NAMES, type PolicyName, policyOf } from '../src/policies/index.ts';
import { argMaxRows } from '../src/policies/rows.ts';
import { fitConfidence } from '../src/train/gates.ts';
import {
  type AtBudget,
  deviation,
  type Finder,
  judgeBudgets,
  judgeOwnThresholds,
  type Kept,
  mean,
  points,
  readKept,
} from './budgets.ts';

const BUDGETS = [0.745, 0.638, 0.532, 0.4];
const [folder = '/tmp/cifar10-outcomes', models = 'resnet56', out = 'bench/policies.md'] =
  process.argv.slice(2);

/** MSDNet's geometric exit distribution, p_k ∝ q^k: thresholds are quantiles of the samples still in play (methods.md 4.2). */
const geometric: Finder = (view) => {
  const { scores, labels } = view();
  const found = Array.from({ length: 79 }, (_, i) => {
    const q = (i + 1) / 20;
    const weights = Array.from({ length: scores.length + 1 }, (_, k) => q ** (k + 1));
    const total = weights.reduce((a, b) => a + b);
    const gone = new Uint8Array(labels.length);
    return scores.map((score, k) => {
      const staying = [...labels.keys()].filter((n) => !gone[n]).sort((a, b) => score[b]! - score[a]!);
      const leaving = Math.min(staying.length - 1, Math.floor((labels.length * weights[k]!) / total));
      const threshold = Math.min(score[staying[leaving]!]!, 1 - 2 ** -24);
      for (const n of staying) if (score[n]! > threshold) gone[n] = 1;
      return threshold;
    });
  });
  return [...found, scores.map(() => CLOSED)].map((thresholds) => ({ thresholds }));
};

/** Confidence heads are not kept by cifar10.ts: they are fitted here, as compile does, on every third sample of the part that calibrates. */
function gated(fit: JudgedHeads, report: JudgedHeads): [fit: JudgedHeads, report: JudgedHeads] {
  const all = [...fit.labels.keys()];
  const third = some(
    fit,
    all.filter((i) => i % 3 === 0),
  );
  const rest = some(
    fit,
    all.filter((i) => i % 3 !== 0),
  );
  const layers = third.pooled.map((pooled, k) => {
    const width = pooled.length / third.labels.length;
    const answers = argMaxRows(third.logits[k]!, third.labels.length);
    const initializers = [
      floatTensor('confidence/weight', [1, width], new Float32Array(width)),
      floatTensor('confidence/bias', [1], [0]),
    ];
    const head = { graph: { initializers } } as unknown as Head;
    const correct = Uint8Array.from(answers, (a, i) => Number(a === third.labels[i]));
    return fitConfidence(head, pooled, correct).graph.initializers.map(toFloat32Array);
  });
  const confident = (judged: JudgedHeads): JudgedHeads => ({
    ...judged,
    confidence: judged.pooled.map((pooled, k) => {
      const [weight, bias] = layers[k]!;
      return Float32Array.from(judged.labels, (_, i) => {
        const z = weight!.reduce((sum, w, f) => sum + w * pooled[i * weight!.length + f]!, bias![0]!);
        return 1 / (1 + Math.exp(-z));
      });
    }),
  });
  return [confident(rest), confident(report)];
}

/** Samples `picks` of `judged`. */
function some(judged: JudgedHeads, picks: readonly number[]): JudgedHeads {
  const n = judged.labels.length;
  const rows = (values: Float32Array) => {
    const width = values.length / n;
    const picked = new Float32Array(picks.length * width);
    for (const [at, i] of picks.entries())
      picked.set(values.subarray(i * width, (i + 1) * width), at * width);
    return picked;
  };
  return {
    logits: judged.logits.map(rows),
    confidence: judged.confidence.map(rows),
    pooled: judged.pooled.map(rows),
    original: rows(judged.original),
    labels: Int32Array.from(picks, (i) => judged.labels[i]!),
  };
}

/** Both directions of every seed: fitted and calibrated on one part, reported on the other. */
const directions = (kept: readonly Kept[]) =>
  kept.flatMap(({ costs, calibration, test }) => [
    { costs, fit: calibration, report: test },
    { costs, fit: test, report: calibration },
  ]);

function contest(kept: readonly Kept[], policy: PolicyName, find?: Finder): string[] {
  const runs = directions(kept).map(({ costs, fit, report }) => {
    const parts = policy === 'confidence' ? gated(fit, report) : ([fit, report] as const);
    return judgeBudgets(policy, ...parts, costs, BUDGETS, find);
  });
  return BUDGETS.map((budget) => cell(runs.map((run) => run.get(budget)!)));
}

/** And the realised cost relative to the budget: the mean, and the one furthest off. */
function contestOwn(kept: readonly Kept[], policy: PolicyName): string[] {
  return BUDGETS.map((budget) => {
    const runs = directions(kept).map(({ costs, fit, report }) =>
      judgeOwnThresholds(policy, fit, report, costs, budget),
    );
    const ratios = runs.map(({ cost }) => cost / budget);
    const furthest = ratios.reduce((a, b) => (Math.abs(b - 1) > Math.abs(a - 1) ? b : a));
    return `${cell(runs)} × ${mean(ratios).toFixed(3)} (${furthest.toFixed(3)})`;
  });
}

function cell(runs: readonly AtBudget[]): string {
  const drops = runs.map(({ lost }) => mean(lost));
  const agreement = 1 - mean(runs.map(({ disagreed }) => mean(disagreed)));
  return `${points(mean(drops))} ± ${points(deviation(drops))} (${(100 * agreement).toFixed(1)})`;
}

const header = ['policy', ...BUDGETS.map(String)];
const markdown = (rows: readonly (readonly string[])[]) =>
  [header, header.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
const PUBLISHED = [
  ['BranchyNet, as published in EENet', '0.14', '1.33', '6.35', ''],
  ['MSDNet, as published in EENet', '0.09', '1.11', '5.14', ''],
  ['PABEE, as published in EENet', '0.21', '2.05', '9.51', ''],
  ['EENet, as published', '0.06', '1.00', '5.00', ''],
];

const sections = models.split(',').map((model) => {
  const kept = readKept(folder, model);
  const rows = [
    ['max-prob, geometric thresholds', ...contest(kept, 'max-prob', geometric)],
    ...POLICY_NAMES.flatMap((name) => [
      [name, ...contest(kept, name)],
      ...(policyOf(name).thresholds ? [[`${name}, its own thresholds`, ...contestOwn(kept, name)]] : []),
    ]),
  ];
  console.log(`${model}, ${kept.length} seeds\n${table([header, ...rows])}`);
  const others = model === 'resnet56' ? PUBLISHED : [];
  return `## ${model}, ${kept.length} seeds\n\n${markdown([...rows, ...others])}\n`;
});
writeFileSync(
  out,
  `# Exit policies compared

Made by \`npx tsx bench/policies.ts\` from what \`bench/cifar10.ts\` kept. Same trained heads, samples and costs for all of them. Each
cell: points of accuracy lost against the original at that honest average cost, mean ± standard deviation over the seeds and
both directions (calibrated on one part of 3,000 pictures, reported on the other, then swapped), and in brackets the agreement with the
original in per cent. Thresholds are searched by Offramp except in the first row, and where a policy has its own: there the drop is the one at the
cost that those realise, given at the end relative to the budget, mean and the run furthest off. What a policy fits, it fits on the part that calibrates:
\`ensemble\`, \`gain\`, \`class-margin\` and, for each budget, \`eenet\` on all of it, confidence heads on every third sample, which the search then does without.

Rows of other authors are for a backbone trained jointly with its exits, on other heads, and count latency (methods.md 3.4).

${sections.join('\n')}
Instead of any of this one could run a smaller network: ResNet-20 costs .325 of a ResNet-56 and loses 1.66 points.
`,
);
