import {
  exitFeatureNodes,
  exitFeatures,
  exitFeaturesSize,
  featureStateSize,
  withAnswers,
} from './exit-features.ts';
import { logisticRegression } from './logistic.ts';
import { column } from './nodes.ts';
import type { FitData, Policy, PolicyParameters } from './policy.ts';
import { argMaxRows } from './rows.ts';

const RIDGE = 1;

/**
 * Expected gain of going on: P(wrong here, right in the end) − P(right here, wrong in the end). The score is minus that, in [−1, 1]: a
 * threshold is minus the price of the rest, so that a sample leaves when its expected gain is less than going on costs.
 * Each probability is a logistic regression on the features of this exit and of the open ones before it, with a bias for each
 * class answered. Parameters: `weight` [exits, 3 + 2·exits, 2] and `bias` [exits, classes, 2], for losing and for winning by leaving.
 */
export const gain: Policy = {
  citation:
    'after the optimal rule of Regol et al. 2025 (Is the acquisition worth the cost?), with the exit features of JEI-DNN (Regol et al. 2024)',
  readsConfidence: false,
  state: featureStateSize,
  fit: fitGain,
  nodes(b, place, { weight, bias }) {
    const { logits, exit, exits, classes } = place;
    const { features, count, answer, state } = exitFeatureNodes(b, place);
    const rows = weight!.slice(
      exit * exitFeaturesSize(exits) * 2,
      (exit * exitFeaturesSize(exits) + count) * 2,
    );
    const byClass = b.float(bias!.slice(exit * classes * 2, (exit + 1) * classes * 2), [classes, 2]);
    const odds = b.op('Add', [
      b.op('MatMul', [features, b.float(rows, [count, 2])]),
      b.op('Gather', [byClass, answer]),
    ]);
    const chances = b.op('Sigmoid', [odds]);
    return { score: b.op('Sub', [column(b, chances, 1), column(b, chances, 0)]), logits, state };
  },
  decide(outputs, { weight, bias }) {
    const { exit, exits, classes, logits } = outputs;
    const size = exitFeaturesSize(exits);
    const { features, answers } = exitFeatures(outputs);
    const chance = (i: number, which: number) => {
      let z = bias![(exit * classes + answers[i]!) * 2 + which]!;
      for (let f = 0; f < size; f++) z += weight![(exit * size + f) * 2 + which]! * features[i * size + f]!;
      return 1 / (1 + Math.exp(-z));
    };
    return { score: Float32Array.from(answers, (_, i) => chance(i, 1) - chance(i, 0)), logits };
  },
};

function fitGain({ exits, original, labels, classes }: FitData): PolicyParameters {
  const count = exits.length;
  const size = exitFeaturesSize(count);
  const state = new Float32Array(labels.length * featureStateSize(count));
  const last = argMaxRows(original, labels.length);
  const everySample = Int32Array.from(labels.keys());
  const fitted = exits.map(({ logits }, exit) => {
    const { features, answers } = exitFeatures({ logits, classes, exit, exits: count, state });
    const rows = withAnswers(features, answers, classes);
    const changes = (before: ArrayLike<number>, after: ArrayLike<number>) =>
      Uint8Array.from(labels, (label, i) => Number(before[i] !== label && after[i] === label));
    return [changes(answers, last), changes(last, answers)].map((happened) =>
      logisticRegression(rows, size + classes, happened, everySample, RIDGE),
    );
  });
  const pairs = (from: number, to: number, constant: number) =>
    fitted.flatMap(([losing, winning]) =>
      Array.from({ length: to - from }, (_, f) =>
        [losing!, winning!].map(({ weights, bias }) => Math.fround(weights[from + f]! + constant * bias)),
      ).flat(),
    );
  return { weight: pairs(0, size, 0), bias: pairs(size, size + classes, 1) };
}
