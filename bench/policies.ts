/**
 * All exit policies on the same trained heads, the same samples and the same cost model; writes bench/policies.md.
 *
 *   npx tsx bench/policies.ts [FOLDER of cifar10.ts] [MODELS] [OUT]
 */
import { measure } from '../src/calibrate/index.ts';
import { CLOSED } from '../src/calibrate/types.ts';
import { table } from '../src/cli/tables.ts';
import { POLICY_NAMES, type PolicyName } from '../src/policies/index.ts';
import { deviation, type Finder, judgeBudgets, mean, points, readKept } from './budgets.ts';

const BUDGETS = [0.745, 0.638, 0.532, 0.4];
const [folder = '/tmp/cifar10-outcomes', models = 'resnet56'] = process.argv.slice(2);

/** MSDNet's geometric exit distribution: p_k ∝ q^k for a range of q, thresholds as quantiles of the samples still in play (methods.md 4.2). */
const geometric: Finder = (view, costs) => {
  const { scores, labels } = view();
  const exits = scores.length;
  const found = Array.from({ length: 79 }, (_, i) => {
    const q = (i + 1) / 20;
    const weights = Array.from({ length: exits + 1 }, (_, k) => q ** (k + 1));
    const total = weights.reduce((a, b) => a + b);
    const gone = new Uint8Array(labels.length);
    return scores.map((score, k) => {
      const staying = [...labels.keys()].filter((i) => !gone[i]).sort((a, b) => score[b]! - score[a]!);
      const leave = Math.min(staying.length - 1, Math.floor((labels.length * weights[k]!) / total));
      const threshold = Math.min(score[staying[leave]!]!, 1 - 2 ** -24);
      for (const i of staying) if (score[i]! > threshold) gone[i] = 1;
      return threshold;
    });
  });
  const closed = scores.map(() => CLOSED);
  return [...found, closed].map((thresholds) => ({
    thresholds,
    ...measure(view(thresholds), costs, thresholds),
  }));
};

for (const model of models.split(',')) {
  const kept = readKept(folder, model);
  const contestants: [string, PolicyName, Finder?][] = [
    ['max-prob, geometric', 'max-prob', geometric],
    ...POLICY_NAMES.map((name): [string, PolicyName] => [name, name]),
  ];
  const rows = contestants.map(([label, policy, find]) => {
    const runs = kept.flatMap(({ costs, calibration, test }) => [
      judgeBudgets(policy, calibration, test, costs, BUDGETS, find),
      judgeBudgets(policy, test, calibration, costs, BUDGETS, find),
    ]);
    const cells = BUDGETS.map((budget) => {
      const drops = runs.map((run) => mean(run.get(budget)!.lost));
      const agreement = 1 - mean(runs.map((run) => mean(run.get(budget)!.disagreed)));
      return `${points(mean(drops))} ± ${points(deviation(drops))} (${(100 * agreement).toFixed(1)})`;
    });
    return [label, ...cells];
  });
  console.log(`${model}, ${kept.length} seeds`);
  console.log(table([['policy', ...BUDGETS.map(String)], ...rows]));
}
