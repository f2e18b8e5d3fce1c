/** Models whose values and nodes have the very names that ours would get: every name stays unique, in all scopes. */
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { calibrate } from '../../src/commands/calibrate.ts';
import { compile } from '../../src/commands/compile.ts';
import { inspect } from '../../src/commands/inspect.ts';
import { makeNode, makeValue } from '../../src/graph/builder.ts';
import { renameValues } from '../../src/graph/rename.ts';
import type { Graph, Model, Node } from '../../src/graph/types.ts';
import { subgraphs } from '../../src/graph/walk.ts';
import { parseModel, serializeModel } from '../../src/parser/index.ts';
import { rejectsWith } from '../expect.ts';
import { tinyResidual } from '../models.ts';
import { assertSamePackage } from '../timeless.ts';
import { tinyProject } from '../tiny-project.ts';

const test = suite('names like ours');
const { at, remove } = tinyProject('names');

test.after(remove);

const nodesOf = (graph: Graph): Node[] =>
  graph.nodes.flatMap((node) => [node, ...subgraphs(node).flatMap(nodesOf)]);

/** Values that any scope defines. */
const definedIn = (graph: Graph): string[] => [
  ...new Set([...graph.inputs, ...graph.initializers].map((v) => v.name)),
  ...graph.nodes.flatMap((node) => [
    ...node.outputs.filter((n) => n !== ''),
    ...subgraphs(node).flatMap(definedIn),
  ]),
];

function assertUnique(graph: Graph): void {
  const named = nodesOf(graph)
    .map((node) => node.name)
    .filter((name) => name !== '');
  for (const names of [named, definedIn(graph)])
    assert.equal(
      names.filter((name, i) => names.indexOf(name) !== i),
      [],
    );
}

const save = (model: Model, name: string) => {
  writeFileSync(at(name), serializeModel(model));
  return at(name);
};

const common = {
  train: 'random:64',
  cache: at('cache'),
  threads: 1,
  epochs: 1,
  report: false,
  timing: false,
} as const;

test('nodes named as operators, as skl2onnx names them, and as everything of ours', async () => {
  const model = tinyResidual();
  const { graph: emitted } = await compileTo('plain', model, 'plain.onnx');
  const ours = nodesOf(emitted).map((node) => node.name);
  // Every name that the emitted model of the same net has, on the original's own nodes, backwards.
  const nodes = model.graph.nodes.map((node, i) => ({ ...node, name: ours.at(-1 - i)! }));
  const { graph } = await compileTo('nodes', { ...model, graph: { ...model.graph, nodes } }, 'nodes.onnx');
  assertUnique(emitted);
  assertUnique(graph);
  for (const node of nodes)
    assert.ok(nodesOf(graph).some((n) => n.name === node.name && n.opType === node.opType));
});

test('values named as ours, the inputs and outputs of the early-exit model among them', async () => {
  const model = tinyResidual();
  const names = new Map([
    ['stem', 'exit_1/logits'],
    ['block1', 'thresholds'],
    ['block2', 'exit_2/score'],
    ['block3', 'exit_index'],
    ['GlobalAveragePool', 'answer/logits'],
    ['Flatten', 'feature/exit_1'],
    ['fc.weight', 'exit_confidence'],
    ['fc.bias', 'const'],
  ]);
  const graph = renameValues(model.graph, names);
  const nodes = graph.nodes.map((node) => ({ ...node, name: node.outputs[0]! }));
  const file = save({ ...model, graph: { ...graph, nodes } }, 'values.onnx');
  const taps = ['exit_1/logits', 'thresholds_', 'exit_2/score'];
  await compile({ ...common, model: file, taps, out: at('values') });
  const emitted = parseModel(readFileSync(at('values/model.onnx'))).graph;
  assertUnique(emitted);
  assert.equal(
    emitted.outputs.map((v) => v.name),
    ['scores', 'exit_index', 'exit_confidence'],
  );
  cpSync(at('values'), at('again'), { recursive: true });
  await calibrate({
    folder: at('again'),
    model: file,
    train: 'random:64',
    cache: at('cache'),
    report: false,
    timing: false,
  });
  assertSamePackage(at('again'), at('values'));
});

test('an input or output named as one of ours is refused before any work', async () => {
  const model = tinyResidual();
  const nodes = [
    ...model.graph.nodes,
    makeNode('ArgMax', ['scores'], ['exit_index'], { axis: 1, keepdims: 0 }),
  ];
  const outputs = [...model.graph.outputs, makeValue('exit_index', 'int64', ['N'])];
  const file = save({ ...model, graph: { ...model.graph, nodes, outputs } }, 'taken.onnx');
  const error = await rejectsWith('name-taken', () => inspect({ model: file }));
  assert.match(error.message, 'exit_index');
});

test('a model that was compiled already is refused as that', async () => {
  await rejectsWith('already-compiled', () => inspect({ model: at('plain/model.onnx') }));
  await rejectsWith('already-compiled', () =>
    compile({ ...common, model: at('plain/model.onnx'), out: at('twice') }),
  );
});

async function compileTo(folder: string, model: Model, file: string): Promise<Model> {
  await compile({ ...common, model: save(model, file), taps: ['stem', 'block1', 'block2'], out: at(folder) });
  return parseModel(readFileSync(at(`${folder}/model.onnx`)));
}

test.run();
