import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type AttributeValue, GraphBuilder, makeModel, makeNode } from '../../src/graph/builder.ts';
import { floatTensor } from '../../src/graph/tensor.ts';
import { type Model, type OpsetImport, opsetOf } from '../../src/graph/types.ts';
import { alignOpsets } from '../../src/model/align-opsets.ts';
import { rejectsWith } from '../expect.ts';
import { tinyResidual } from '../models.ts';

const test = suite('align opsets');

const named = (...models: Model[]) => models.map((model, i) => ({ name: `net${i}.onnx`, model }));
const importing = (model: Model, ...more: OpsetImport[]): Model => ({
  ...model,
  opsetImports: [...model.opsetImports, ...more],
});

/** Softmax over [N, 2, 3] and a Squeeze, in their forms before 13. */
function oldForms(opset: number, irVersion = 6): Model {
  const b = new GraphBuilder();
  const y = b.op('Softmax', [b.input('x', 'float', ['N', 2, 3, 1])], { axis: 1 });
  b.output(b.op('Squeeze', [y], { axes: [3] }), 'float', ['N', 2, 3]);
  return makeModel(b.build('old'), opset, irVersion);
}

/** A node of ai.onnx.ml behind [N, 3]. */
function ml(version: number, opType: string, attributes: Record<string, AttributeValue> = {}): Model {
  const b = new GraphBuilder();
  const x = b.input('x', 'float', ['N', 3]);
  const node = makeNode(opType, [x], ['y'], attributes);
  b.nodes.push({ ...node, domain: 'ai.onnx.ml' });
  b.output('y', 'float', ['N', 3]);
  return importing(makeModel(b.build('ml'), 13), { domain: 'ai.onnx.ml', version });
}
const scaler = (version: number) =>
  ml(version, 'Scaler', {
    offset: { type: 'FLOATS', value: [1, 2, 3] },
    scale: { type: 'FLOATS', value: [2, 0.5, 1] },
  });

test('all go up to the highest opset; who is there already stays the same object', async () => {
  const models = [oldForms(11), tinyResidual({ opset: 17 }), oldForms(12), tinyResidual({ opset: 8 })];
  const aligned = await alignOpsets(named(...models));
  assert.equal(aligned.models.map(opsetOf), [17, 17, 17, 17]);
  assert.equal(
    aligned.models.map((m, i) => m === models[i]),
    [false, true, false, false],
  );
  assert.equal(aligned.opsetImports, [{ domain: '', version: 17 }]);
  assert.equal(
    aligned.models[0]!.graph.nodes.map((n) => n.opType),
    ['Shape', 'Flatten', 'Softmax', 'Reshape', 'Constant', 'Squeeze'],
  );
});

test('the same opset everywhere changes nothing, above 22 either; below 11 it becomes 12', async () => {
  for (const opset of [11, 22, 23]) {
    const models = [tinyResidual({ opset }), tinyResidual({ opset })];
    const aligned = await alignOpsets(named(...models));
    assert.ok(aligned.models.every((m, i) => m === models[i]));
    assert.is(aligned.opsetImports[0]!.version, opset);
  }
  const { models } = await alignOpsets(named(tinyResidual({ opset: 7 }), tinyResidual({ opset: 9 })));
  assert.equal(models.map(opsetOf), [12, 12]);
});

test('the IR version is the newest, and at least what came with the opset', async () => {
  const irOf = async (...models: Model[]) => (await alignOpsets(named(...models))).irVersion;
  assert.is(await irOf(oldForms(11, 4), oldForms(12, 3)), 7);
  assert.is(await irOf(oldForms(11, 9), oldForms(12, 3)), 9);
  assert.is(await irOf(oldForms(12, 7), makeModel(tinyResidual().graph, 21, 8)), 10);
  assert.is(await irOf(makeModel(tinyResidual().graph, 19, 4)), 9);
});

test('above 22 nothing is raised to: the message names both networks', async () => {
  const error = await rejectsWith('opsets-differ', () =>
    alignOpsets(named(tinyResidual({ opset: 17 }), tinyResidual({ opset: 23 }))),
  );
  assert.match(error.message, /net0\.onnx has 17, net1\.onnx 23/);
  assert.match(error.hint, /Export net1\.onnx with opset 22 or lower/);
});

test('the name of the network that cannot be raised comes first', async () => {
  const model = oldForms(11);
  const nodes = model.graph.nodes.map((n) => ({
    ...n,
    opType: n.opType === 'Softmax' ? 'Affine' : n.opType,
  }));
  const broken = { ...model, graph: { ...model.graph, nodes } };
  const error = await rejectsWith('cannot-raise-opset', () =>
    alignOpsets(named(tinyResidual({ opset: 17 }), broken)),
  );
  assert.match(
    error.message,
    /^net1\.onnx: the model's opset is 11, and Offramp cannot raise it to 17: Affine /,
  );
});

test('ai.onnx.ml goes up where its operators mean the same, and is proved, too', async () => {
  const models = [scaler(1), scaler(3)];
  const aligned = await alignOpsets(named(...models));
  const versions = aligned.models.map((m) => m.opsetImports.map((o) => o.version));
  assert.equal(versions, [
    [13, 3],
    [13, 3],
  ]);
  assert.is(aligned.models[1], models[1]);
  assert.is(aligned.models[0]!.graph, models[0]!.graph);
  assert.equal(aligned.opsetImports, [
    { domain: '', version: 13 },
    { domain: 'ai.onnx.ml', version: 3 },
  ]);
  const encoder = ml(1, 'LabelEncoder');
  const error = await rejectsWith('opsets-differ', () => alignOpsets(named(encoder, scaler(2))));
  assert.match(error.message, /ai\.onnx\.ml, and net0\.onnx has 1, net1\.onnx 2: node "y": LabelEncoder/);
  assert.match(error.hint, /the same version of ai\.onnx\.ml/);
  await rejectsWith('opsets-differ', () => alignOpsets(named(ml(3, 'TreeEnsembleClassifier'), scaler(5))));
});

test('a domain that is imported and not used takes any version; another must be the same', async () => {
  const custom = (version: number, opType: string) => {
    const model = tinyResidual({ opset: 17 });
    const node = { ...makeNode(opType, ['x'], ['custom']), domain: 'com.example' };
    const graph = opType ? { ...model.graph, nodes: [...model.graph.nodes, node] } : model.graph;
    return importing({ ...model, graph }, { domain: 'com.example', version });
  };
  const user = custom(2, 'Own');
  const aligned = await alignOpsets(named(custom(5, ''), user, custom(1, '')));
  assert.equal(
    aligned.models.map((m) => m.opsetImports[1]!.version),
    [2, 2, 2],
  );
  assert.is(aligned.models[1], user);
  await alignOpsets(named(user, custom(2, 'Other')));
  const error = await rejectsWith('opsets-differ', () => alignOpsets(named(custom(1, 'Own'), user)));
  assert.match(error.message, /com\.example, and net0\.onnx has 1, net1\.onnx 2: Offramp does not know/);
});

test('an operator that ONNX Runtime has in the older form only is no bug of ours', async () => {
  const b = new GraphBuilder();
  const x = b.input('x', 'float', ['N', 2, 5, 5]);
  const rois = b.initializer(floatTensor('rois', [1, 4], [0, 0, 3, 3]));
  b.output(b.op('RoiAlign', [x, rois, b.int64([0])], {}, 'y'), 'float', [1, 2, 1, 1]);
  const old = makeModel(b.build('rois'), 12);
  assert.is(opsetOf((await alignOpsets(named(old, tinyResidual({ opset: 21 })))).models[0]!), 21);
  const error = await rejectsWith('cannot-raise-opset', () =>
    alignOpsets(named(old, tinyResidual({ opset: 22 }))),
  );
  assert.match(error.message, /^net0\.onnx: .*opset is 12, and raised to 22 .*RoiAlign\(22\)/);
  assert.match(error.hint, /network that has opset 22 with an older one/);
});

test.run();
