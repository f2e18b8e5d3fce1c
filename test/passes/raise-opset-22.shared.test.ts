import { readdirSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { opsetOf } from '../../src/graph/types.ts';
import { raiseModel } from '../../src/model/raise-model.ts';
import { loadModel } from '../../src/parser/index.ts';
import { sharedData } from '../shared.ts';

const test = suite('raise-opset, up to 22: real models');

/** Sizes that a file leaves open. */
const DIMS: Record<string, Record<string, number>> = {
  'silero_vad.onnx': { 'input.1': 256, 'state.1': 2 },
};

for (const file of readdirSync(sharedData('models')).filter((name) => name.endsWith('.onnx'))) {
  test(`${file}: every node does the same`, async () => {
    const { model } = await loadModel(sharedData('models', file));
    assert.ok(opsetOf(model) < 22);
    const raised = await raiseModel(model, { to: 22, dims: DIMS[file] ?? {} });
    assert.is(opsetOf(raised), 22);
    const before = new Set(model.graph.nodes);
    const made = raised.graph.nodes.filter((n) => !before.has(n)).map((n) => n.opType);
    assert.not(made.includes('Flatten'), 'every Softmax goes over one axis');
  });
}

test.run();
