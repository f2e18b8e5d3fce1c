import { reduceMax } from './nodes.ts';
import { scorePolicy } from './policy.ts';
import { largestOf, ofSoftmax } from './rows.ts';

/** Largest class probability. */
export const maxProb = scorePolicy({
  citation: 'Huang et al. 2018 (MSDNet), section 3; Kaya et al. 2019 (SDN)',
  nodes: (b, { logits, opset }) => reduceMax(b, b.op('Softmax', [logits], { axis: 1 }), 1, opset),
  score: ({ logits, classes }) => ofSoftmax(logits, classes, largestOf),
});
