import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { compare } from '../../src/commands/compare.ts';
import { compile } from '../../src/commands/compile.ts';
import { inspect } from '../../src/commands/inspect.ts';
import { GraphBuilder } from '../../src/graph/builder.ts';
import { inspectFile } from '../../src/model/inspect.ts';
import { serializeModel } from '../../src/parser/index.ts';
import { attachExits } from '../../src/passes/attach-exits.ts';
import { rejectsWith } from '../expect.ts';
import { tinyResidual } from '../models.ts';
import { tinyProject } from '../tiny-project.ts';

const test = suite('inspect');
const { at, remove, compileOptions } = tinyProject('inspect', { epochs: 1, taps: ['block1'] });
const folder = mkdtempSync(join(tmpdir(), 'offramp-inspect-'));
test.after(() => {
  rmSync(folder, { recursive: true, force: true });
  remove();
});

/** The small net of which only the three largest probabilities are outputs. */
const path = join(folder, 'best.onnx');
test.before(() => {
  const { graph, ...rest } = tinyResidual({ softmax: true });
  const b = new GraphBuilder('', new Set(graph.nodes.flatMap((n) => n.outputs)));
  b.ops('TopK', ['scores', b.int64([3])], { axis: 1 }, ['best', 'which']);
  b.output('best', 'float', ['N', 3]);
  b.output('which', 'int64', ['N', 3]);
  const nodes = [...graph.nodes, ...b.nodes];
  const initializers = [...graph.initializers, ...b.initializers];
  writeFileSync(
    path,
    serializeModel({ ...rest, graph: { ...graph, nodes, initializers, outputs: b.outputs } }),
  );
});

test('a value inside the model is given in place of the outputs when it is named', async () => {
  await rejectsWith('not-class-scores', () => inspectFile({ model: path }));
  const { typed, notes } = await inspectFile({ model: path, output: 'scores' });
  assert.equal(
    notes.map(({ message }) => message),
    ['scores lies inside the model: the early-exit model gives it in place of best, which.'],
  );
  assert.equal(typed.model.graph.outputs, [{ name: 'scores', type: { dataType: 'float', dims: ['N', 5] } }]);
  assert.is(typed.activation, 'softmax');
  assert.is(typed.logits, 'logits');
  await rejectsWith('unknown-output', () => inspectFile({ model: path, output: 'nowhere' }));
});

test('the public inspection is plain data', async () => {
  const plain = join(folder, 'plain.onnx');
  writeFileSync(plain, serializeModel(tinyResidual({ softmax: true, opset: 9 })));
  const found = await inspect({ model: plain, taps: ['block1'], head: 'pool' });
  assert.equal(JSON.parse(JSON.stringify(found)), found);
  const { inputs, exits, taps, totalMacs, rejected, notes, ...rest } = found;
  const { plan, ...inspected } = await inspectFile({ model: plain, taps: ['block1'] });
  assert.equal(rest, {
    opset: 9,
    output: 'scores',
    logits: 'logits',
    activation: 'softmax',
    classes: 5,
    batch: 'dynamic',
    notCounted: {},
  });
  assert.equal(inputs, [{ name: 'image', dataType: 'float', dims: ['N', 3, 8, 8] }]);
  assert.equal(taps, plan.taps);
  assert.equal(rejected, plan.rejected);
  assert.equal(notes, inspected.notes);
  assert.is(totalMacs, plan.totalMacs);
  const [head] = attachExits(plan, { kind: 'pool', seed: 1 });
  const { network: _, ...exit } = plan.exits[0]!;
  assert.equal(exits, [{ ...exit, head: 'pool', headMacs: head!.macs }]);
});

test('compiled so, it is compared with the same value of the original', async () => {
  const random = { train: 'random:64', calibration: 'random:32', test: 'random:32' };
  const { train, calibration, test: data } = random;
  await compile(
    compileOptions('out', {
      model: path,
      output: 'scores',
      train,
      calibration,
      test: data,
      report: false,
      timing: false,
    }),
  );
  const common = { test: data, cache: at('cache'), threads: 1 };
  const { agreement } = await compare({ a: path, b: at('out'), at: ['exact'], ...common });
  assert.is(agreement, 1);
});

test.run();
