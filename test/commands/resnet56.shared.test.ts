import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { observeFacts } from '../../src/model/observe-facts.ts';
import { loadModel } from '../../src/parser/index.ts';
import { planExits } from '../../src/passes/plan-exits.ts';
import { sharedData } from '../shared.ts';

const test = suite('ResNet-56');

test('all 194 values are known', async () => {
  const file = sharedData('models', 'resnet56.onnx');
  const { model } = await loadModel(file);
  const typed = await observeFacts(model);
  const made = model.graph.nodes.flatMap((n) => n.outputs);
  assert.is(made.length, 194);
  for (const name of made) assert.ok(typed.facts.has(name), name);
  assert.equal(
    [...typed.facts.values()].filter((f) => f.batchTrouble),
    [],
  );
});

test('has 125.49 M MACs, as PTEENet counts, and taps after blocks are clean cuts', async () => {
  const file = sharedData('models', 'resnet56.onnx');
  const plan = planExits(await observeFacts((await loadModel(file)).model));
  assert.is(Math.round(plan.totalMacs / 1e4), 12549);
  assert.equal(plan.notCounted, {});
  assert.is(plan.exits.length > 2, true);
  for (const { tap } of plan.exits) assert.is(tap.live.length, 1);
});

test.run();
