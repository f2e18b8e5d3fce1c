import { reduceSum } from './nodes.ts';
import { scorePolicy } from './policy.ts';
import { ofSoftmax } from './rows.ts';

/**
 * How far the entropy of the class probabilities is from its largest: 1 + Σ y log y / log C, in [0, 1] (the normalised form
 * of Ilhan et al. 2023, section 3; BranchyNet lets a sample leave when the entropy itself is small).
 */
export const entropy = scorePolicy({
  citation: 'Teerapittayanon et al. 2016 (BranchyNet), section III-C',
  nodes(b, { logits, classes, opset }) {
    const logs = b.op('LogSoftmax', [logits], { axis: 1 });
    const negative = reduceSum(b, b.op('Mul', [b.op('Exp', [logs]), logs]), 1, opset);
    return b.op('Add', [b.op('Mul', [negative, b.float(1 / Math.log(classes))]), b.float(1)]);
  },
  score: ({ logits, classes }) =>
    ofSoftmax(logits, classes, (p) => {
      let sum = 0;
      for (const y of p) sum += y === 0 ? 0 : y * Math.log(y);
      return 1 + sum / Math.log(classes);
    }),
});
