import { column } from './nodes.ts';
import { scorePolicy } from './policy.ts';
import { ofSoftmax } from './rows.ts';

/** Largest class probability less the second largest. */
export const margin = scorePolicy({
  citation: 'Scheffer et al. 2001 (margin sampling), as an exit score in JEI-DNN (Regol et al. 2024)',
  nodes(b, { logits }) {
    const two = [b.fresh('two'), b.fresh('which')];
    const [top] = b.ops('TopK', [b.op('Softmax', [logits], { axis: 1 }), b.int64([2])], { axis: 1 }, two);
    return b.op('Sub', [column(b, top!, 0), column(b, top!, 1)]);
  },
  score: ({ logits, classes }) =>
    ofSoftmax(logits, classes, (p) => {
      let [first, second] = [-Infinity, -Infinity];
      for (const y of p) {
        if (Number.isNaN(y)) return Number.NaN;
        if (y > first) [first, second] = [y, first];
        else if (y > second) second = y;
      }
      return first - second;
    }),
});
