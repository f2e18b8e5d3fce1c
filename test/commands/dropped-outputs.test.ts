/** Outputs that samples which leave early do not compute: what serves them alone goes, the others stay exact, and it is said everywhere. */
import { readFileSync, writeFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { compile } from '../../src/commands/compile.ts';
import { inspect } from '../../src/commands/inspect.ts';
import { makeNode, makeValue } from '../../src/graph/builder.ts';
import { floatTensor } from '../../src/graph/tensor.ts';
import type { Model } from '../../src/graph/types.ts';
import { Tensor, withSession } from '../../src/ort/session.ts';
import { parseModel, serializeModel } from '../../src/parser/index.ts';
import { rejectsWith } from '../expect.ts';
import { noise, tinyResidual } from '../models.ts';
import { manifestIn } from '../timeless.ts';
import { tinyProject } from '../tiny-project.ts';

const test = suite('dropped outputs');
const { at, remove } = tinyProject('dropped');

/**
 * The residual net with more outputs: `embedding` (own nodes and a weight, behind the last exit), `features` (on the way to the scores), `early` (own
 * nodes, from before the first exit), `label` (from the scores), `shift` (a constant that a later segment reads too).
 */
function withOutputs(): Model {
  const { graph, ...rest } = tinyResidual({ seed: 4 });
  const shift = makeNode('Constant', [], ['shift'], { value: floatTensor('', [1], [0.25]) });
  const own = [
    makeNode('MatMul', ['Flatten', 'project'], ['projected']),
    makeNode('LpNormalization', ['projected'], ['embedding'], { axis: 1 }),
    makeNode('ReduceMean', ['stem'], ['early'], { axes: [2, 3], keepdims: 0 }),
    makeNode('ArgMax', ['scores'], ['label'], { axis: 1, keepdims: 0 }),
  ];
  const nodes = graph.nodes.flatMap((node) =>
    node.outputs[0] === 'block3'
      ? [
          shift,
          { ...node, name: '', outputs: ['block3/plain'] },
          makeNode('Add', ['block3/plain', 'shift'], ['block3']),
        ]
      : [node],
  );
  return {
    ...rest,
    graph: {
      ...graph,
      nodes: [...nodes, ...own],
      initializers: [...graph.initializers, floatTensor('project', [16, 16], noise(256, 8))],
      outputs: [
        ...graph.outputs,
        makeValue('embedding', 'float', ['N', 16]),
        makeValue('Flatten', 'float', ['N', 16]),
        makeValue('early', 'float', ['N', 8]),
        makeValue('label', 'int64', ['N']),
        makeValue('shift', 'float', [1]),
      ],
    },
  };
}

const model = at('many.onnx');
const options = {
  model,
  train: 'random:64',
  cache: at('cache'),
  threads: 1,
  epochs: 1,
  taps: ['stem', 'block1'],
  output: 'scores',
};

test.before(() => writeFileSync(model, serializeModel(withOutputs())));
test.after(remove);

test('without --output nothing is dropped: compile refuses, and inspect names what would go', async () => {
  const { output: _, ...unnamed } = options;
  await rejectsWith('ambiguous-output', () => compile({ ...unnamed, out: at('out') }));
  const one = at('one.onnx');
  const { graph, ...rest } = withOutputs();
  const outputs = graph.outputs.filter(
    ({ name }) => name !== 'Flatten' && name !== 'embedding' && name !== 'early',
  );
  const map = { name: 'block3', type: undefined };
  writeFileSync(one, serializeModel({ ...rest, graph: { ...graph, outputs: [...outputs, map] } }));
  const error = await rejectsWith('other-outputs', () => compile({ ...unnamed, model: one, out: at('out') }));
  assert.match(error.message, 'outputs block3 are not computed');
  const { notes } = await inspect({ model: one, taps: ['stem', 'block1'] });
  const messages = notes.map(({ message }) => message).join();
  assert.match(messages, 'cannot have output block3');
  assert.match(messages, "`output: 'scores'` drops it");
});

test('with it they go with all that serves them alone; it is noted, in the manifest and in the README', async () => {
  const notes: string[] = [];
  await compile({ ...options, out: at('out') }, { onNote: (note) => notes.push(note.message) });
  assert.match(
    notes.join('\n'),
    'goes without outputs embedding, Flatten: samples that leave early do not compute them',
  );
  assert.equal(manifestIn(at('out')).outputs.dropped, ['embedding', 'Flatten']);
  assert.match(readFileSync(at('out/README.md'), 'utf8'), 'lacks the outputs `embedding`, `Flatten`');

  const { graph } = parseModel(readFileSync(at('out/model.onnx')));
  assert.equal(
    graph.outputs.map(({ name }) => name),
    ['scores', 'early', 'label', 'shift', 'exit_index', 'exit_confidence'],
  );
  assert.not.ok(graph.nodes.some(({ opType }) => opType === 'LpNormalization'));
  assert.not.ok(graph.initializers.some(({ name }) => name === 'project'));
});

test('outputs that stay are those of the original for every sample, whatever exit it takes', async () => {
  const image = new Tensor('float32', noise(7 * 192, 6), [7, 3, 8, 8]);
  const before = await withSession(model, {}, (session) => session.run({ image }));
  for (const threshold of [0, 0.21, 1]) {
    const thresholds = new Tensor('float32', Float32Array.of(threshold, threshold), [2]);
    const after = await withSession(at('out/model.onnx'), {}, (session) =>
      session.run({ image, thresholds }),
    );
    assert.equal(after.early!.data, before.early!.data);
    assert.equal(after.shift!.data, before.shift!.data);
    const scores = after.scores!.data as Float32Array;
    const best = Array.from({ length: 7 }, (_, i) => {
      const row = [...scores.slice(5 * i, 5 * i + 5)];
      return row.indexOf(Math.max(...row));
    });
    assert.equal(Array.from(after.label!.data as BigInt64Array, Number), best);
    if (threshold === 1) assert.equal(after.label!.data, before.label!.data);
  }
});

test.run();
