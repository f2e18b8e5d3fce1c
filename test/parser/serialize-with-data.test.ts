/** External data that Offramp writes or moves: by ONNX Runtime, which must give what it gives for the model in one piece. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GraphBuilder, makeModel, makeNode } from '../../src/graph/builder.ts';
import { floatTensor } from '../../src/graph/tensor.ts';
import type { Model, Tensor } from '../../src/graph/types.ts';
import { Tensor as OrtTensor, withSession } from '../../src/ort/session.ts';
import { loadModel, parseModel, serializeModel, serializeWithData } from '../../src/parser/index.ts';
import { hasCode } from '../expect.ts';
import { noise } from '../models.ts';

const test = suite<{ folder: string }>('parser: serialize-with-data');

test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'offramp-data-'));
});
test.after.each(({ folder }) => rmSync(folder, { recursive: true, force: true }));

const SIDE = 150;
const BYTES = 4 * SIDE * SIDE;
const weight = (name: string, seed: number): Tensor =>
  floatTensor(
    name,
    [SIDE, SIDE],
    noise(SIDE * SIDE, seed).map((v) => v / 8),
  );

/** y = (x·w + If(yes, x·u, x))·k + b: `w` of the main graph, `u` of a branch, `k` a Constant, `b` small. */
function mixed(): Model {
  const inner = new GraphBuilder();
  inner.initializer(weight('u', 2));
  inner.nodes.push(makeNode('MatMul', ['x', 'u'], ['xu']));
  inner.output('xu', 'float', ['N', SIDE]);
  const other = new GraphBuilder();
  other.nodes.push(makeNode('Identity', ['x'], ['same']));
  other.output('same', 'float', ['N', SIDE]);
  const b = new GraphBuilder();
  b.input('x', 'float', ['N', SIDE]);
  b.initializer(weight('w', 1));
  b.initializer(floatTensor('b', [SIDE], noise(SIDE, 4)));
  b.initializer({ name: 'yes', dataType: 'bool', dims: [], bytes: Uint8Array.of(1) });
  b.nodes.push(
    makeNode('MatMul', ['x', 'w'], ['xw']),
    makeNode('If', ['yes'], ['branch'], {
      then_branch: inner.build('then'),
      else_branch: other.build('else'),
    }),
    makeNode('Add', ['xw', 'branch'], ['sum']),
    makeNode('Constant', [], ['k'], { value: weight('k', 3) }),
    makeNode('MatMul', ['sum', 'k'], ['product']),
    makeNode('Add', ['product', 'b'], ['y']),
  );
  b.output('y', 'float', ['N', SIDE]);
  return makeModel(b.build('mixed'));
}

const run = (model: Uint8Array, externalDataFolder?: string) =>
  withSession(model, { externalDataFolder }, async (session) => {
    const { y } = await session.run({ x: new OrtTensor('float32', noise(2 * SIDE, 5), [2, SIDE]) });
    return y!.data as Float32Array;
  });

test('a model within the limit is written as it always was', () => {
  const model = mixed();
  const whole = serializeModel(model);
  const { model: bytes, data } = serializeWithData(model, { location: 'w', limit: whole.length });
  assert.is(data, undefined);
  assert.equal(bytes, whole);
  assert.ok(serializeWithData(model, { location: 'w', limit: whole.length - 1 }).data);
});

test('above the limit weights go into one file, and ONNX Runtime answers the same', async ({ folder }) => {
  const model = mixed();
  const { model: bytes, data } = serializeWithData(model, { location: 'model.onnx.data', limit: 200_000 });
  assert.ok(bytes.length < 10_000);
  writeFileSync(join(folder, 'model.onnx'), bytes);
  writeFileSync(join(folder, 'model.onnx.data'), Buffer.concat(data!));
  const expected = await run(serializeModel(model));
  assert.equal(await run(bytes, folder), expected);
  const loaded = await loadModel(join(folder, 'model.onnx'));
  assert.equal(loaded.externalFiles, ['model.onnx.data']);
  const offset = 4096 * Math.ceil(BYTES / 4096);
  const [w, small] = loaded.model.graph.initializers;
  assert.equal(w!.external, { location: 'model.onnx.data', offset: 0, length: BYTES });
  assert.is(small!.external, undefined);
  const [, branch, , constant] = loaded.model.graph.nodes;
  const inner = branch!.attributes.then_branch!;
  assert.ok(inner.type === 'GRAPH' && inner.value.initializers[0]!.external!.offset === offset);
  const k = constant!.attributes.value!;
  assert.ok(k.type === 'TENSOR' && k.value.external!.offset === 2 * offset);
  assert.ok(data!.includes(model.graph.initializers[0]!.bytes), 'pieces are the tensors themselves');
  const again = serializeWithData(mixed(), { location: 'model.onnx.data', limit: 200_000 });
  assert.equal(again.model, bytes);
  assert.equal(Buffer.concat(again.data!), Buffer.concat(data!));
});

test('tensors of a file, whose elements lie in typed fields or outside already', async ({ folder }) => {
  const model = mixed();
  const [w, ...rest] = model.graph.initializers;
  writeFileSync(join(folder, 'other.bin'), w!.bytes);
  const outside: Tensor = {
    ...w!,
    bytes: new Uint8Array(0),
    external: { location: 'other.bin', offset: 0, length: undefined },
  };
  const source = { ...model, graph: { ...model.graph, initializers: [outside, ...rest] } };
  const parsed = parseModel(serializeModel(source));
  const { model: bytes, data } = serializeWithData(parsed, { location: 'more.bin', limit: 1000 });
  writeFileSync(join(folder, 'more.bin'), Buffer.concat(data!));
  writeFileSync(join(folder, 'model.onnx'), bytes);
  assert.equal(await run(bytes, folder), await run(serializeModel(model)));
  assert.equal((await loadModel(join(folder, 'model.onnx'))).externalFiles, ['other.bin', 'more.bin']);
  const nothing = { ...parsed, graph: { ...parsed.graph, nodes: [], initializers: [outside] } };
  assert.is(serializeWithData(nothing, { location: 'more.bin', limit: 1 }).data, undefined);
});

test('what no file can take is refused', () => {
  // 2 GiB of zeros that are never touched take no memory.
  const bytes = new Uint8Array(2 ** 31);
  const graph = {
    ...mixed().graph,
    nodes: [
      makeNode('LabelEncoder', ['x'], ['y'], {
        values_tensor: { name: 't', dataType: 'uint8', dims: [2 ** 31], bytes },
      }),
    ],
  };
  assert.throws(
    () => serializeWithData({ ...mixed(), graph }, { location: 'w' }),
    hasCode('model-too-large'),
  );
});

test.run();
