/** Values of a model that ONNX Runtime runs and onnxruntime-node does not hand over, or that only the edge of the graph reads. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { compile } from '../../src/commands/compile.ts';
import { evaluate } from '../../src/commands/evaluate.ts';
import { makeNode } from '../../src/graph/builder.ts';
import type { Model, Node } from '../../src/graph/types.ts';
import { serializeModel } from '../../src/parser/index.ts';
import { exposeValues } from '../../src/passes/expose-values.ts';
import { rejectsWith } from '../expect.ts';
import { tinyResidual } from '../models.ts';
import { tinyProject } from '../tiny-project.ts';

const test = suite('odd values');
const { at, compileOptions, remove } = tinyProject('odd-values', {
  ...{ train: 'random:16', calibration: 'random:16', test: 'random:16', preset: 'none' },
  ...{ taps: ['block1'], epochs: 1, verify: 'all' },
});
test.after(remove);

const FLOAT8E4M3FN = 17;
const INT4 = 22;

/** `made` between the first block and what reads it, which reads `read` then. */
function between(opset: number, read: string, made: readonly Node[]): Model {
  const model = tinyResidual({ seed: 4, opset });
  const after = model.graph.nodes.findIndex(({ outputs }) => outputs.includes('block1')) + 1;
  const [before, behind] = [model.graph.nodes.slice(0, after), model.graph.nodes.slice(after)];
  const moved = behind.map((node) => ({
    ...node,
    inputs: node.inputs.map((name) => (name === 'block1' ? read : name)),
  }));
  return { ...model, irVersion: 10, graph: { ...model.graph, nodes: [...before, ...made, ...moved] } };
}

/** With outputs `added` behind the scores, made by `made`. */
function withOutputs(
  made: readonly Node[],
  added: readonly string[],
  model = tinyResidual({ seed: 4 }),
): Model {
  const { graph } = model;
  const outputs = [...graph.outputs, ...added.map((name) => ({ name, type: undefined }))];
  return { ...model, graph: { ...graph, nodes: [...graph.nodes, ...made], outputs } };
}

async function compiled(name: string, model: Model): Promise<string> {
  mkdirSync(at(name));
  writeFileSync(at(`${name}/net.onnx`), serializeModel(model));
  await compile({ ...compileOptions(`${name}/out`), model: at(`${name}/net.onnx`) });
  return at(`${name}/out`);
}

for (const [name, type, opset] of [
  ['float8e4m3fn', FLOAT8E4M3FN, 19],
  ['int4', INT4, 21],
] as const)
  test(`values of ${name} are refused by their name`, async () => {
    const cast = (input: string, output: string, to: number) => makeNode('Cast', [input], [output], { to });
    const model = between(opset, 'back', [cast('block1', 'small', type), cast('small', 'back', 1)]);
    const error = await rejectsWith('unsupported-type', () => compiled(name, model));
    assert.match(error.message, new RegExp(`the model has ${name} values`));
  });

test('a sequence among the outputs stays one, and its model is verified and evaluated', async () => {
  const out = await compiled(
    'sequence',
    withOutputs([makeNode('SequenceConstruct', ['scores', 'scores'], ['both'])], ['both']),
  );
  const { largestDifference } = await evaluate({ folder: out, test: 'random:16' });
  assert.ok(largestDifference < 1);
});

test('texts that only another output reads', async () => {
  const strings = [...'abcde'].map((letter) => new TextEncoder().encode(letter));
  const names = { name: 'names', dataType: 'string', dims: [5], bytes: new Uint8Array(), strings } as const;
  const constant: Node = {
    ...makeNode('Constant', [], ['names']),
    attributes: { value: { type: 'TENSOR', value: names } },
  };
  await compiled(
    'texts',
    withOutputs(
      [
        constant,
        makeNode('ArgMax', ['scores'], ['index'], { axis: 1, keepdims: 0 }),
        makeNode('Gather', ['names', 'index'], ['label']),
      ],
      ['label'],
    ),
  );
});

test('operators whose domain is written out, in branches too', async () => {
  const model = tinyResidual({ seed: 4 });
  const nodes = model.graph.nodes.map((node) => ({ ...node, domain: 'ai.onnx' }));
  await compiled('domain', { ...model, graph: { ...model.graph, nodes } });
});

test('a sparse constant, which cannot be fetched, is not shown', () => {
  const sparse = { sparse_value: { type: 'OPAQUE', value: undefined } } as const;
  const constant: Node = { ...makeNode('Constant', [], ['w']), attributes: sparse };
  const { graph } = tinyResidual({ seed: 4 });
  const { outputs } = exposeValues.run({ ...graph, nodes: [constant, ...graph.nodes] });
  const names = outputs.map(({ name }) => name);
  assert.ok(names.includes('block1') && !names.includes('w'));
});

test.run();
