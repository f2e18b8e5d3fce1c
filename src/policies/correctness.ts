import {
  exitFeatureNodes,
  exitFeatures,
  exitFeaturesSize,
  featureStateSize,
  withAnswers,
} from './exit-features.ts';
import { logisticRegression } from './logistic.ts';
import type { FitData, Policy, PolicyParameters } from './policy.ts';

const RIDGE = 1;

/**
 * How likely the exit's answer is right: a logistic regression, with a bias for each class answered, on the features of this exit
 * and of the open ones before it. The score is the log odds z as z / (1 + |z|), which tells apart samples whose float32 probabilities are all near 1.
 * Parameters:
 * `weight` [exits, 3 + 2·exits] and `bias` [exits, classes].
 */
export const correctness: Policy = {
  citation:
    'after failure prediction (arXiv 2508.21495), with the exit features of JEI-DNN (Regol et al. 2024)',
  readsConfidence: false,
  state: featureStateSize,
  fit: fitCorrectness,
  nodes(b, place, { weight, bias }) {
    const { logits, exit, exits, classes } = place;
    const { features, count, answer, state } = exitFeatureNodes(b, place);
    const from = exit * exitFeaturesSize(exits);
    const product = b.op('MatMul', [features, b.float(weight!.slice(from, from + count), [count, 1])]);
    const byClass = b.op('Gather', [b.float(bias!.slice(exit * classes, (exit + 1) * classes)), answer]);
    const odds = b.op('Add', [b.op('Reshape', [product, b.int64([-1])]), byClass]);
    return { score: b.op('Softsign', [odds]), logits, state };
  },
  decide(outputs, { weight, bias }) {
    const { exit, exits, classes, logits } = outputs;
    const size = exitFeaturesSize(exits);
    const { features, answers } = exitFeatures(outputs);
    const score = Float32Array.from(answers, (answer, i) => {
      let z = bias![exit * classes + answer]!;
      for (let f = 0; f < size; f++) z += weight![exit * size + f]! * features[i * size + f]!;
      return z / (1 + Math.abs(z));
    });
    return { score, logits };
  },
};

function fitCorrectness({ exits, labels, classes }: FitData): PolicyParameters {
  const size = exitFeaturesSize(exits.length);
  const state = new Float32Array(labels.length * featureStateSize(exits.length));
  const everySample = Int32Array.from(labels.keys());
  const fitted = exits.map(({ logits }, exit) => {
    const { features, answers } = exitFeatures({ logits, classes, exit, exits: exits.length, state });
    const right = Uint8Array.from(answers, (answer, i) => Number(answer === labels[i]));
    const rows = withAnswers(features, answers, classes);
    return logisticRegression(rows, size + classes, right, everySample, RIDGE);
  });
  const part = (from: number, to: number, constant: number) =>
    fitted.flatMap(({ weights, bias }) =>
      Array.from(weights.subarray(from, to), (w) => Math.fround(w + constant * bias)),
    );
  return { weight: part(0, size, 0), bias: part(size, size + classes, 1) };
}
