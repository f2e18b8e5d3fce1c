/** Files of networks that ONNX Runtime refuses, or that have strange names: what is said of which of them. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { compare } from '../../src/commands/compare.ts';
import { inspect } from '../../src/commands/inspect.ts';
import { EXIT_CODES } from '../../src/errors/index.ts';
import { makeNode, makeValue } from '../../src/graph/builder.ts';
import { renameValues } from '../../src/graph/rename.ts';
import type { Model } from '../../src/graph/types.ts';
import { serializeModel } from '../../src/parser/index.ts';
import { rejectsWith } from '../expect.ts';
import { tinyResidual } from '../models.ts';
import { tinyProject } from '../tiny-project.ts';

const test = suite('strange files');
const { at, model, remove } = tinyProject('strange-files');
test.after(remove);

const save = (one: Model, name: string) => {
  writeFileSync(at(name), serializeModel(one));
  return at(name);
};

const renamed = (names: Readonly<Record<string, string>>, one = tinyResidual({ seed: 9 })): Model => ({
  ...one,
  graph: renameValues(one.graph, new Map(Object.entries(names))),
});

/** The small network with one operator replaced. */
function withOp(opType: string, domain: string): Model {
  const one = tinyResidual({ seed: 9 });
  const nodes = one.graph.nodes.map((node) => (node.opType === 'Gemm' ? { ...node, opType, domain } : node));
  const own = domain === '' ? [] : [{ domain, version: 1 }];
  return { ...one, opsetImports: [...one.opsetImports, ...own], graph: { ...one.graph, nodes } };
}

test('values of bfloat16, inside or as input, are refused for what they are', async () => {
  const { graph, ...rest } = tinyResidual({ seed: 9 });
  const [input] = graph.inputs;
  const through = (type: 'float' | 'bfloat16'): Model => {
    const nodes = graph.nodes.map((node) => ({
      ...node,
      inputs: node.inputs.map((name) => (name === input!.name ? 'back' : name)),
    }));
    const casts = [
      makeNode('Cast', [input!.name], ['half'], { to: 16 }),
      makeNode('Cast', ['half'], ['back'], { to: 1 }),
    ];
    const inputs = [makeValue(input!.name, type, input!.type!.dims!)];
    return { ...rest, graph: { ...graph, nodes: [...casts, ...nodes], inputs } };
  };
  for (const type of ['float', 'bfloat16'] as const) {
    const file = save(through(type), `${type}.onnx`);
    const { message } = await rejectsWith('unsupported-type', () => inspect({ model: file }));
    assert.match(message, 'bfloat16');
  }
});

test('which file ONNX Runtime cannot load, its reason, and what helps', async () => {
  const good = save(tinyResidual({ seed: 9 }), 'good.onnx');
  const custom = save(withOp('Mystery', 'org.example'), 'custom.onnx');
  const { opsetImports, ...rest } = tinyResidual();
  const future = opsetImports.map((one) => ({ ...one, version: 99 }));
  const newer = save({ ...rest, opsetImports: future }, 'newer.onnx');
  const calls = [
    [() => inspect({ model: custom }), `ONNX Runtime cannot load ${custom}: `],
    [() => inspect({ model: custom, first: [good] }), `ONNX Runtime cannot load the original, ${custom}: `],
    [
      () => inspect({ model, first: [good, custom] }),
      `ONNX Runtime cannot load first network 2, ${custom}: `,
    ],
    [() => compare({ a: model, b: custom, test: 'random:8' }), `ONNX Runtime cannot load ${custom}: `],
  ] as const;
  for (const [call, begins] of calls) {
    const error = await rejectsWith('model-not-loadable', call);
    assert.ok(error.message.startsWith(begins), error.message);
    assert.match(error.message, 'Mystery');
    assert.match(error.hint, 'no such operator');
  }
  assert.match((await rejectsWith('model-not-loadable', () => inspect({ model: newer }))).hint, 'opset 22');
  assert.is(EXIT_CODES.get('model-not-loadable'), 2);
});

test('an error of reading the original of a chain says that it is its file', async () => {
  writeFileSync(at('broken.onnx'), Buffer.from([0x08, 0xff]));
  const good = save(tinyResidual({ seed: 9 }), 'good.onnx');
  for (const call of [
    () => inspect({ model: at('broken.onnx'), first: [good] }),
    () => inspect({ model, first: [good, at('broken.onnx')] }),
  ]) {
    const error = await call().then(
      () => assert.unreachable(),
      (error) => error as Error,
    );
    assert.match(error!.message, at('broken.onnx'));
  }
});

test('only the original may not have the names that Offramp adds', async () => {
  const names = { image: 'thresholds', scores: 'exit_index', stem: 'exit_confidence' };
  const taken = save(renamed(names), 'taken.onnx');
  const { networks = [] } = await inspect({ model, first: [taken] });
  assert.is(networks.length, 2);
  await rejectsWith('name-taken', () => inspect({ model: taken, first: [model] }));
});

test('a name that JavaScript has another use for', async () => {
  const inner = save(renamed({ stem: '__proto__', block1: 'constructor', logits: 'toString' }), 'inner.onnx');
  const plain = save(renamed({}), 'plain.onnx');
  const [own, usual] = [await inspect({ model: inner }), await inspect({ model: plain })];
  assert.is(own.totalMacs, usual.totalMacs);
  assert.is(own.taps.length, usual.taps.length);
  for (const name of ['image', 'scores']) {
    const unusable = save(renamed({ [name]: '__proto__' }), 'unusable.onnx');
    const error = await rejectsWith('name-unusable', () => inspect({ model: unusable }));
    assert.match(error.message, '__proto__');
    await rejectsWith('name-unusable', () => inspect({ model, first: [unusable] }));
  }
  for (const name of ['image', 'scores'])
    await inspect({ model: save(renamed({ [name]: 'constructor' }), 'usual.onnx') });
});

test('a size that is called as what every object has', async () => {
  const one = tinyResidual();
  const inputs = one.graph.inputs.map((value) => ({
    ...value,
    type: { ...value.type!, dims: ['N', 3, 'constructor', 'toString'] },
  }));
  const path = save({ ...one, graph: { ...one.graph, inputs } }, 'sizes.onnx');
  const error = await rejectsWith('unknown-input-dim', () => inspect({ model: path }));
  assert.match(error.hint, 'constructor');
  const { inputs: read } = await inspect({ model: path, dims: { constructor: 8, toString: 8 } as never });
  assert.equal(read[0]!.dims, ['N', 3, 8, 8]);
});

test('files of one name are told apart by their folders, as they were given', async () => {
  for (const folder of ['a', 'b']) mkdirSync(at(folder), { recursive: true });
  const first = ['a/model.onnx', 'b/model.onnx'].map((name, n) => save(tinyResidual({ seed: 20 + n }), name));
  const { networks = [] } = await inspect({ model, first });
  assert.equal(
    networks.map(({ file }) => file),
    ['a/model.onnx', 'b/model.onnx', 'tiny-net.onnx'],
  );
});

test.run();
