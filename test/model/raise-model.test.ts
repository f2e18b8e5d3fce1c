import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { float, GraphBuilder, makeModel } from '../../src/graph/builder.ts';
import { floatTensor } from '../../src/graph/tensor.ts';
import { type Model, opsetOf } from '../../src/graph/types.ts';
import { inspectFile } from '../../src/model/inspect.ts';
import { raiseModel } from '../../src/model/raise-model.ts';
import { serializeModel } from '../../src/parser/index.ts';
import { checkLowerable } from '../../src/passes/lower-exits.ts';
import { rejectsWith } from '../expect.ts';
import { tinyResidual } from '../models.ts';

const test = suite('raise model');
const folder = mkdtempSync(join(tmpdir(), 'offramp-raise-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));

function save(name: string, model: Model): string {
  const path = join(folder, name);
  writeFileSync(path, serializeModel(model));
  return path;
}

/** `tinyResidual` with its Relus as the Clips that opset 10 and below wrote them. */
function clipped(opset: number): Model {
  const model = tinyResidual({ opset });
  const nodes = model.graph.nodes.map((n) =>
    n.opType === 'Relu' ? { ...n, opType: 'Clip', attributes: { min: float(0), max: float(6) } } : n,
  );
  return { ...model, graph: { ...model.graph, nodes } };
}

test('a model below opset 11 is raised, another is the very same', async () => {
  const raised = await raiseModel(clipped(8));
  assert.is(opsetOf(raised), 12);
  assert.is(raised.graph.nodes.filter((n) => n.opType === 'Clip').length, 7);
  const model = tinyResidual({ opset: 11 });
  assert.is(await raiseModel(model), model);
});

test('a raised model that does something else is not used, and says where', async () => {
  const b = new GraphBuilder();
  const x = b.input('x', 'float', ['N', 1, 1, 9]);
  const scales = b.op('Identity', [b.initializer(floatTensor('shrinks', [4], [1, 1, 1, 0.6]))]);
  b.output(b.op('Resize', [x, scales], {}, 'scores'), 'float', ['N', 1, 1, 5]);
  const error = await rejectsWith('raised-model-differs', () => raiseModel(makeModel(b.build('shrink'), 10)));
  assert.match(error.message, /opset is 10; .* scores deviates by \d\.\de[+-]\d of its largest element/);
});

test('raised as far as asked for, with the ranks that a run showed', async () => {
  const b = new GraphBuilder();
  const y = b.op('Relu', [b.input('x', 'float', ['N', 5])]);
  b.output(b.op('Relu', [b.op('Softmax', [y])], {}, 'scores'), 'float', ['N', 5]);
  const model = makeModel(b.build('scores'), 12);
  const raised = await raiseModel(model, { to: 22 });
  assert.is(opsetOf(raised), 22);
  assert.equal(
    raised.graph.nodes.map((n) => n.opType),
    ['Relu', 'Softmax', 'Relu'],
  );
  assert.is(await raiseModel(raised, { to: 17 }), raised);
});

test('what a newer form no longer gives is not asked for', async () => {
  const b = new GraphBuilder();
  const kept = b.ops('Dropout', [b.input('x', 'float', ['N', 5])], {}, ['kept', 'mask'])[0]!;
  b.output(b.op('Relu', [kept], {}, 'scores'), 'float', ['N', 5]);
  const raised = await raiseModel(makeModel(b.build('dropout'), 11), { to: 13 });
  assert.equal(raised.graph.nodes[0]!.outputs, ['kept']);
});

test('inspect says so, the file stays the source, and exits fit inside a batch', async () => {
  const path = save('old.onnx', clipped(9));
  const { source, typed, plan, notes } = await inspectFile({ model: path });
  assert.equal(notes, [
    {
      code: 'opset-raised',
      level: 'info',
      message: 'Opset 9, raised to 12: both gave the same outputs for random input.',
    },
  ]);
  assert.is(opsetOf(source.model), 9);
  assert.is(source.sha256, createHash('sha256').update(readFileSync(path)).digest('hex'));
  assert.is(opsetOf(typed.model), 12);
  assert.is(typed.batch, 'dynamic');
  checkLowerable(
    typed,
    plan.exits.map((exit) => exit.tap.value),
  );
});

test('weights outside of the file are found', async () => {
  const model = clipped(10);
  const [first, ...rest] = model.graph.initializers;
  writeFileSync(join(folder, 'first.bin'), first!.bytes);
  const external = { location: 'first.bin', offset: 0, length: first!.bytes.length };
  const initializers = [{ ...first!, bytes: new Uint8Array(), external }, ...rest];
  const path = save('external.onnx', { ...model, graph: { ...model.graph, initializers } });
  const { source, typed } = await inspectFile({ model: path });
  assert.is(typed.model.graph.initializers[0], source.model.graph.initializers[0]);
  assert.equal(source.externalFiles, ['first.bin']);
});

test('inspect warns above opset 22, where browsers lose If, and refuses below 7', async () => {
  const { typed, notes } = await inspectFile({ model: save('new.onnx', tinyResidual({ opset: 23 })) });
  assert.is(opsetOf(typed.model), 23);
  assert.match(notes[0]!.message, /^Opset 23: .*WebGPU/);
  assert.equal((await inspectFile({ model: save('usual.onnx', tinyResidual({ opset: 22 })) })).notes, []);
  const error = await rejectsWith('opset-too-old', () =>
    inspectFile({ model: save('ancient.onnx', tinyResidual({ opset: 6 })) }),
  );
  assert.match(error.hint, 'update_onnx_opset');
});

test.run();
