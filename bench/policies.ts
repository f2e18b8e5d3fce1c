/**
 * All exit policies on the same trained heads, the same samples and the same cost model; writes bench/policies.md.
 *
 *   npx tsx bench/policies.ts OUT FOLDER/MODEL …      FOLDER: where cifar10.ts kept its runs of MODEL
 */

import { writeFileSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { CLOSED } from '../src/calibrate/types.ts';
import { formatTable } from '../src/cli/tables.ts';
import { HIGHEST_OPEN, POLICY_NAMES, type PolicyName, policyOf } from '../src/policies/index.ts';
import { argMaxRows } from '../src/policies/rows.ts';
import { choosePolicy } from '../src/predict/choose-policy.ts';
import { fitFinalAnswer } from '../src/predict/fitted-policy.ts';
import { type HeadPredictions, type Predictions, rowsOf } from '../src/predict/predict.ts';
import { fitConfidenceLayer } from '../src/train/confidence.ts';
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
  type Way,
} from './budgets.ts';
import { markdown } from './markdown.ts';

const BUDGETS = [0.745, 0.638, 0.532, 0.4];
/** Policies that are shown with an ensembled final answer too. */
const ENSEMBLED: readonly PolicyName[] = ['max-prob', 'ensemble', 'correctness'];
const [out, ...places] = process.argv.slice(2) as [string, ...string[]];

/** MSDNet's geometric exit distribution, p_k ∝ q^k: thresholds are quantiles of the samples still in play (Huang et al. 2018, section 5; adaptive_inference.py of their code). */
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
      const threshold = Math.min(score[staying[leaving]!]!, HIGHEST_OPEN);
      for (const n of staying) if (score[n]! > threshold) gone[n] = 1;
      return threshold;
    });
  });
  return [...found, scores.map(() => CLOSED)].map((thresholds) => ({ thresholds }));
};

/**
 * Confidence heads are not kept by cifar10.ts: they are fitted here, as compile does, on every third sample of the part that calibrates,
 * which is then the validation split.
 */
function gated(fit: HeadPredictions, report: HeadPredictions) {
  const all = [...fit.labels.keys()];
  const third = Int32Array.from(all.filter((i) => i % 3 === 0));
  const gates = fit.pooled.map((pooled, k) => {
    const width = pooled.length / all.length;
    const answers = argMaxRows(fit.logits[k]!, all.length);
    const rows = Float32Array.from({ length: third.length * width }, (_, at) => {
      return pooled[third[Math.floor(at / width)]! * width + (at % width)]!;
    });
    return fitConfidenceLayer(
      rows,
      third.map((i) => Number(answers[i] === fit.labels[i])),
    );
  });
  const confident = (predictions: HeadPredictions): Predictions => ({
    ...predictions,
    confidence: predictions.pooled.map((pooled, k) => {
      const { weights, bias } = gates[k]!;
      return Float32Array.from(predictions.labels, (_, i) => {
        const z = weights.reduce((sum, w, f) => sum + w * pooled[i * weights.length + f]!, bias);
        return 1 / (1 + Math.exp(-z));
      });
    }),
  });
  const rest = Int32Array.from(all.filter((i) => i % 3 !== 0));
  const whole = confident(fit);
  return { validation: rowsOf(whole, third), fit: rowsOf(whole, rest), report: confident(report) };
}

/** Both directions of every seed: fitted and calibrated on one part, reported on the other. */
const directions = (kept: readonly Kept[]) =>
  kept.flatMap(({ costs, calibration, test }) => [
    { costs, fit: calibration, report: test },
    { costs, fit: test, report: calibration },
  ]);

function contest(kept: readonly Kept[], policy: PolicyName, way?: Way): string[] {
  const runs = directions(kept).map(({ costs, fit, report }) => {
    if (policy !== 'confidence') return judgeBudgets(policy, fit, report, costs, BUDGETS, way);
    const parts = gated(fit, report);
    return judgeBudgets(policy, parts.fit, parts.report, costs, BUDGETS, way);
  });
  return BUDGETS.map((budget) => cell(runs.map((run) => run.get(budget)!)));
}

/** The policy that `--policy auto` takes at these budgets, on the part that calibrates alone; with `--final original` unless `ensembled`. */
function contestAuto(kept: readonly Kept[], ensembled: boolean): { row: string[]; taken: string } {
  const runs = directions(kept).map(({ costs, fit, report }) => {
    const parts = gated(fit, report);
    const final = ensembled ? fitFinalAnswer(parts.validation) : undefined;
    const choice = { target: 'accuracy', budgets: BUDGETS, haveConfidence: true, seed: 1, final } as const;
    const { policy } = choosePolicy(parts.validation, parts.fit, costs, choice).fittedPolicy;
    const [own, other] = policy === 'confidence' ? [parts.fit, parts.report] : [fit, report];
    return { policy, at: judgeBudgets(policy, own, other, costs, BUDGETS, { ensembled }) };
  });
  return {
    row: BUDGETS.map((budget) => cell(runs.map(({ at }) => at.get(budget)!))),
    taken: runs.map(({ policy }) => policy).join(', '),
  };
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
const PUBLISHED = [
  ['BranchyNet, as published in EENet', '0.14', '1.33', '6.35', ''],
  ['MSDNet, as published in EENet', '0.09', '1.11', '5.14', ''],
  ['PABEE, as published in EENet', '0.21', '2.05', '9.51', ''],
  ['EENet, as published', '0.06', '1.00', '5.00', ''],
];

const shares = (values: readonly number[]) => values.map((v) => (100 * v).toFixed(1)).join(', ');

const sections = places.map((place) => {
  const model = basename(place);
  const kept = readKept(dirname(place), model);
  const auto = contestAuto(kept, true);
  const alone = contestAuto(kept, false);
  const rows = [
    ['`auto`', ...auto.row],
    ['`auto --final original`', ...alone.row],
    ['max-prob, geometric thresholds', ...contest(kept, 'max-prob', { find: geometric })],
    ...POLICY_NAMES.flatMap((name) => [
      [name, ...contest(kept, name)],
      ...(ENSEMBLED.includes(name)
        ? [[`${name}, ensembled`, ...contest(kept, name, { ensembled: true })]]
        : []),
      ...(policyOf(name).thresholds ? [[`${name}, its own thresholds`, ...contestOwn(kept, name)]] : []),
    ]),
  ];
  const { exits } = kept[0]!.costs;
  const [prefix, head] = [exits.map((exit) => exit.prefix), exits.map((exit) => exit.head)];
  const title = `${model}, ${kept.length} seeds, exits at ${shares(prefix)} % with heads of ${shares(head)} % of the MACs`;
  console.log(`${title}\n${formatTable([header, ...rows])}`);
  const others = model === 'resnet56' ? PUBLISHED : [];
  return `## ${title}\n\n${markdown([header, ...rows, ...others])}\n\n\`auto\` took, run by run: ${auto.taken}; with \`--final original\`: ${alone.taken}.\n`;
});
writeFileSync(
  out,
  `# Exit policies compared

Made by \`bench/policies.ts\` from what \`bench/cifar10.ts\` kept (the commands are in [README.md](README.md)). Within a table: the same trained heads, samples and costs for all policies.
Each cell: points of accuracy lost against the original at that honest average cost, mean ± standard deviation over the seeds and both
directions (calibrated on one part of 3,000 pictures, reported on the other, then swapped), and in brackets the agreement with the original
in per cent. Thresholds are searched by Offramp except in the row of geometric ones, and where a policy brings its own: there the drop is the
one at the cost that those realise, given at the end relative to the budget, mean and the run furthest off. What a policy fits, it fits on the
part that calibrates, on all of it; confidence heads on every third sample, which the search then does without. \`auto\` chooses as compile does:
policies fitted on every third sample, compared on the rest at the four budgets together; the one it takes is then fitted as in its row.

*Ensembled*, and \`auto\` by default: samples that go all the way are answered by the original and the open exits together, at one weight (src/policies/final-answer.ts),
fitted where the policy is. This form was chosen after reported figures of others had been seen, a weight for each exit among them, on these very pictures; the
ResNet-20 has the same pictures, so it is no independent test either. Of a cell the standard error by the pictures alone is about .1, .13,
.17 and .25 points for the ResNet-56 and .16, .21, .28 and .4 for the ResNet-20: differences between good policies, or a negative loss, in one cell
mean little.

Rows of other authors are for a backbone trained jointly with its exits, on other heads, and count latency (Ilhan et al. 2024, table 1).

${sections.join('\n')}
Instead of any of this one could run a smaller network: ResNet-20 costs .325 of a ResNet-56 and loses 1.66 points.
`,
);
