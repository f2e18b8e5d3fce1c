/**
 * How long the search for thresholds takes for every policy: eight exits, 3,000 samples, the original's answer at the end and the ensembled
 * one. CPU seconds, so that a busy machine shows little; each in a process of its own, as `compile` searches once. Prints the page.
 *
 *   npm run bench -- search
 */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type CostModel, pickBudget } from '../src/calibrate/index.ts';
import { POLICY_NAMES, type PolicyName } from '../src/policies/index.ts';
import { searchFor } from '../src/predict/choose-policy.ts';
import { fitFinalAnswer, fitPolicy } from '../src/predict/fitted-policy.ts';
import { outcomesAt } from '../src/predict/outcomes.ts';
import type { Predictions } from '../src/predict/predict.ts';
import { normal, ofOriginal, uniform } from '../test/calibrate/simulate.ts';
import { markdown } from './markdown.ts';

const SELF = fileURLToPath(import.meta.url);
const RUNS = 3;
const SAMPLES = 3000;
const VALIDATION = 1500;
const CLASSES = 10;
const AIM = 5;
const BUDGETS = [0.4, 0.6];
const PREFIXES = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8];

/** Eight exits along one network, or two in a first, three in a second and three in the original. */
const COSTS: Readonly<Record<string, CostModel>> = {
  'one network': ofOriginal(
    PREFIXES,
    PREFIXES.map(() => 0.02),
  ),
  'three networks': {
    exits: [
      ...[0.06, 0.1].map((prefix, k) => ({ network: 0, prefix, head: k === 1 ? 0 : 0.01 })),
      ...[0.1, 0.2, 0.3].map((prefix, k) => ({ network: 1, prefix, head: k === 2 ? 0 : 0.02 })),
      ...[0.25, 0.5, 0.75].map((prefix) => ({ network: 2, prefix, head: 0.02 })),
    ],
    networks: [0.1, 0.3, 1],
  },
};

/**
 * Logits of eight exits and the original. The label's logit stands out by the skill of the exit and how easy the sample is;
 * half of the noise's variance is common to all exits.
 */
function simulated(samples: number, seed: number): Predictions {
  const random = uniform(seed);
  const exits = PREFIXES.length;
  const all = Array.from({ length: exits + 1 }, () => new Float32Array(samples * CLASSES));
  const confidence = PREFIXES.map(() => new Float32Array(samples));
  const labels = Int32Array.from({ length: samples }, () => Math.floor(random() * CLASSES));
  for (const [i, label] of labels.entries()) {
    const ease = 1.4 * normal(random);
    const common = Array.from({ length: CLASSES }, () => Math.SQRT1_2 * normal(random));
    for (const [k, logits] of all.entries()) {
      const skill = 2.4 + 1.6 * (k / exits) + ease;
      for (const [c, noise] of common.entries())
        logits[i * CLASSES + c] = 2 * (noise + Math.SQRT1_2 * normal(random) + (c === label ? skill : 0));
      if (k < exits) confidence[k]![i] = 1 / (1 + Math.exp(-skill - normal(random)));
    }
  }
  return { logits: all.slice(0, exits), confidence, original: all[exits]!, labels };
}

interface Task {
  readonly policy: PolicyName;
  readonly isEnsembled: boolean;
  readonly costs: string;
}
interface Taken {
  /** CPU seconds. */
  readonly seconds: number;
  /** Accuracy on the samples searched at each of `BUDGETS`, in percent: a search that finds less is no faster search. */
  readonly found: readonly number[];
}

function searched({ policy, isEnsembled, costs: named }: Task): Taken {
  const costs = COSTS[named]!;
  const validation = simulated(VALIDATION, 1);
  const fitted = {
    ...fitPolicy(policy, validation, costs),
    final: isEnsembled ? fitFinalAnswer(validation) : undefined,
  };
  const outcomes = outcomesAt(simulated(SAMPLES, 2), fitted);
  const start = process.cpuUsage();
  const hull = searchFor(outcomes, fitted, costs, 'accuracy');
  const { user, system } = process.cpuUsage(start);
  const found = BUDGETS.map((budget) => 100 * pickBudget({ hull, unseen: [] }, budget).accuracy);
  return { seconds: (user + system) / 1e6, found };
}

function inProcess(task: Task): Taken {
  const runs = Array.from({ length: RUNS }, () => {
    const printed = execFileSync(process.execPath, [...process.execArgv, SELF, JSON.stringify(task)]);
    return JSON.parse(printed.toString()) as Taken;
  });
  return runs.toSorted((a, b) => a.seconds - b.seconds)[RUNS >> 1]!;
}

function page(): string {
  const tasks = POLICY_NAMES.flatMap((policy) =>
    [false, true].flatMap((isEnsembled) =>
      Object.keys(COSTS).map((costs): Task => ({ policy, isEnsembled, costs })),
    ),
  );
  const taken = new Map(
    tasks.map((task) => {
      console.error(JSON.stringify(task));
      return [JSON.stringify(task), inProcess(task)];
    }),
  );
  const cells = POLICY_NAMES.map((policy) => [
    policy,
    ...[false, true].flatMap((isEnsembled) =>
      Object.keys(COSTS).map((costs) => {
        const { seconds, found } = taken.get(JSON.stringify({ policy, isEnsembled, costs }))!;
        return `${seconds.toFixed(1)} (${found.map((percent) => percent.toFixed(2)).join(', ')})`;
      }),
    ),
  ]);
  const most = Math.max(...[...taken.values()].map(({ seconds }) => seconds));
  const head = ['the original answers at the end', 'the ensemble answers at the end'].flatMap((end) =>
    Object.keys(COSTS).map((costs) => `${end}: ${costs}`),
  );
  return `# The search for thresholds

Made by \`npm run bench -- search\`: CPU seconds for eight exits and ${SAMPLES.toLocaleString('en')} simulated samples of ${CLASSES} classes, the median of ${RUNS} runs, each in a process of its own. In brackets the accuracy
in percent that was found, on the samples searched, at costs of ${BUDGETS.join(' and ')}. Aimed at: ${AIM} s. The longest takes ${most.toFixed(1)} s.

${markdown([['policy', ...head], ...cells])}
`;
}

const task = process.argv[2];
if (task) console.log(JSON.stringify(searched(JSON.parse(task) as Task)));
else console.log(page());
