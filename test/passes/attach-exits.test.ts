import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { attachExits } from '../../src/passes/attach-exits.ts';
import { headMacs } from '../../src/passes/heads.ts';
import { syntheticPlan } from '../train/synthetic.ts';

const test = suite('passes: attach-exits');

test('one head an exit, in order, with its cost', () => {
  const plan = syntheticPlan();
  const heads = attachExits(plan, { kind: 'conv2', seed: 1 });
  assert.equal(
    heads.map((h) => h.exit),
    plan.exits,
  );
  for (const head of heads) assert.is(head.macs, headMacs(head.graph));
});

test('strided heads narrow until they fit their share, and stop at the narrowest', () => {
  const wide = attachExits(syntheticPlan(1e9), { kind: 'strided', seed: 1 });
  const narrow = attachExits(syntheticPlan(2e6), { kind: 'strided', seed: 1 });
  assert.ok(wide[0]!.macs > 2 * narrow[0]!.macs, `${wide[0]!.macs} ${narrow[0]!.macs}`);
  const least = attachExits(syntheticPlan(10), { kind: 'strided', seed: 1 });
  assert.ok(least[0]!.macs > 0.5);
});

test('heads of equal taps start from different weights, the same at every call', () => {
  const plan = syntheticPlan();
  const twice = { ...plan, exits: [plan.exits[0]!, { ...plan.exits[1]!, tap: plan.exits[0]!.tap }] };
  const [a, b] = attachExits(twice, { kind: 'conv', seed: 1 });
  assert.not.equal(a!.graph.initializers, b!.graph.initializers);
  assert.equal(attachExits(twice, { kind: 'conv', seed: 1 })[1], b);
});

test.run();
