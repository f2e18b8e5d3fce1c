import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { attachExits } from '../../src/passes/attach-exits.ts';
import type { HeadKind } from '../../src/passes/exits.ts';
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

test('one family an exit, or one for all; another count is refused', () => {
  const plan = syntheticPlan(1e9);
  const kinds = plan.exits.map((_, i): HeadKind => (i === 0 ? 'residual' : 'pool'));
  assert.equal(
    attachExits(plan, { kind: kinds, seed: 1 }).map((head) => head.kind),
    kinds,
  );
  const same = attachExits(plan, { kind: 'residual', seed: 1 });
  assert.equal(attachExits(plan, { kind: kinds, seed: 1 })[0], same[0]);
  try {
    attachExits(plan, { kind: [...kinds, 'pool'], seed: 1 });
    assert.unreachable();
  } catch (error) {
    assert.is((error as { code: string }).code, 'wrong-head-count');
  }
});

test('heads of equal taps start from different weights, the same at every call', () => {
  const plan = syntheticPlan();
  const twice = { ...plan, exits: [plan.exits[0]!, { ...plan.exits[1]!, tap: plan.exits[0]!.tap }] };
  const [a, b] = attachExits(twice, { kind: 'conv', seed: 1 });
  assert.not.equal(a!.graph.initializers, b!.graph.initializers);
  assert.equal(attachExits(twice, { kind: 'conv', seed: 1 })[1], b);
});

test.run();
