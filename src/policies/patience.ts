import type { GraphBuilder } from '../graph/builder.ts';
import { asColumn, column, reduceSum } from './nodes.ts';
import type { Policy } from './policy.ts';
import { argMaxRows } from './rows.ts';

/**
 * How often in a row open exits have now given the same answer: the counter of PABEE, section 3.2, as a share of the number of
 * exits. Threshold (t − ½) / exits is patience t. State: the class before (0 for none, else 1 more than its index), the counter.
 */
export const patience: Policy = {
  citation: 'Zhou et al. 2020 (PABEE), section 3.2',
  readsConfidence: false,
  state: () => 2,
  nodes(b, { logits, exits, state, opset }) {
    const answer = b.op('Cast', [b.op('ArgMax', [logits], { axis: 1, keepdims: 0 })], { to: 1 });
    const now = b.op('Add', [answer, b.float(1)]);
    const count = state ? countNodes(b, now, state) : b.op('Mul', [now, b.float(0)]);
    // ArgMax hides NaN; 0 times the sum of the logits does not.
    const trouble = b.op('Mul', [reduceSum(b, logits, 1, opset), b.float(0)]);
    return {
      score: b.op('Add', [b.op('Mul', [count, b.float(1 / exits)]), trouble]),
      logits,
      state: b.op('Concat', [asColumn(b, now), asColumn(b, count)], { axis: 1 }),
    };
  },
  decide({ logits, classes, exits, state }) {
    const score = Float32Array.from(argMaxRows(logits, logits.length / classes), (answer, i) => {
      const count = state[2 * i] === answer + 1 ? state[2 * i + 1]! + 1 : 0;
      state[2 * i] = answer + 1;
      state[2 * i + 1] = count;
      const row = logits.subarray(i * classes, (i + 1) * classes);
      return row.every(Number.isFinite) ? count / exits : Number.NaN;
    });
    return { score, logits };
  },
};

/** The counter [M] where the answers are `now` [M], and were and had been counted as `state` [M, 2] says. */
function countNodes(b: GraphBuilder, now: string, state: string): string {
  const same = b.op('Cast', [b.op('Equal', [now, column(b, state, 0)])], { to: 1 });
  return b.op('Mul', [b.op('Add', [column(b, state, 1), b.float(1)]), same]);
}
