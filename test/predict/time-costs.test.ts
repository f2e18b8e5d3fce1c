import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type CostModel, leavingCosts } from '../../src/calibrate/index.ts';
import { costsOfTimes } from '../../src/predict/time-costs.ts';
import { ofOriginal } from '../calibrate/simulate.ts';

const test = suite('time costs');

/** Milliseconds of leaving at each exit, never leaving last, by adding up segments and heads. */
function timesOf(segments: readonly number[], heads: readonly number[]) {
  const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
  const way = segments.map((_, k) => sum(segments.slice(0, k + 1)));
  return {
    alone: way.map((time, k) => time + (heads[k] ?? 0)),
    open: way.map((time, k) => time + sum(heads.slice(0, k + 1))),
  };
}

const near = (a: readonly number[], b: readonly number[]) =>
  assert.ok(a.length === b.length && a.every((v, i) => Math.abs(v - b[i]!) < 1e-12), `${a} is not ${b}`);
const partsOf = ({ exits }: CostModel) => [exits.map((e) => e.prefix), exits.map((e) => e.head)] as const;

test('heads and ways to taps come out of sums of both', () => {
  const { alone, open } = timesOf([0.5, 1, 2, 0.5], [0.1, 0.3, 0.2]);
  const [prefix, head] = partsOf(costsOfTimes(alone, open, ofOriginal([0.1, 0.2, 0.3], [0, 0, 0])));
  near(head, [0.1 / 4, 0.3 / 4, 0.2 / 4]);
  near(prefix, [0.5 / 4, 1.5 / 4, 3.5 / 4]);
});

test('noise makes no time negative and no tap nearer than the one before', () => {
  const [prefix, head] = partsOf(costsOfTimes([1, 0.9, 2], [1, 0.8, 1.9], ofOriginal([0.1, 0.2], [0, 0])));
  assert.ok(head.every((h) => h >= 0) && prefix.every((p) => p >= 0 && p <= 1));
  assert.ok(prefix[1]! >= prefix[0]!);
});

test('of a chain, each way is within its network, and leaving costs what was measured', () => {
  const networks: CostModel = {
    exits: [0, 0, 1, 2, 2].map((network) => ({ network, prefix: 0, head: 0 })),
    networks: [0.1, 0.2, 1],
  };
  const [ways, heads] = [
    [0.5, 0.9, 0.7, 1, 3],
    [0.1, 0.3, 0.2, 0.4, 0.1],
  ];
  const whole = 4;
  const alone = [...ways!.map((way, k) => way + heads![k]!), whole];
  // By hand: what earlier networks ran up to their last exits, heads passed, the way here.
  const open = [0.5 + 0.1, 0.9 + 0.4, 0.9 + 0.7 + 0.6, 1.6 + 1 + 1, 1.6 + 3 + 1.1, 1.6 + 4 + 1.1];
  const costs = costsOfTimes(alone, open, networks);
  const [prefix, head] = partsOf(costs);
  near(
    head,
    [0.1, 0, 0, 0.4, 0.1].map((ms) => ms / whole),
  );
  near(
    prefix,
    [0.5, 1.2, 0.9, 1, 3].map((ms) => ms / whole),
  );
  near(
    leavingCosts(costs),
    open.map((ms) => ms / whole),
  );
  near(costs.networks, [1.2 / whole, 0.9 / whole, 1]);
});

test.run();
