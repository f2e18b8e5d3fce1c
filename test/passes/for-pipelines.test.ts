import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GraphBuilder, makeModel, makeNode } from '../../src/graph/builder.ts';
import { renameValues } from '../../src/graph/rename.ts';
import { floatTensor } from '../../src/graph/tensor.ts';
import type { DataType, Dim, Graph } from '../../src/graph/types.ts';
import { type Tensor, withSession } from '../../src/ort/session.ts';
import { floatsOf, tensorOf } from '../../src/ort/tensors.ts';
import { forPipelines, type PipelineInput, type PipelineOptions } from '../../src/passes/for-pipelines.ts';
import { runPasses } from '../../src/passes/pass.ts';
import { hasCode } from '../expect.ts';
import { noise } from '../models.ts';

const test = suite('for-pipelines');
const [N, CLASSES] = [3, 4];

interface Shape {
  readonly dataType?: DataType;
  readonly dims?: readonly Dim[];
  /** What makes scores of logits. */
  readonly end?: 'Softmax' | 'LogSoftmax' | 'Identity';
  readonly input?: string;
  readonly scores?: string;
  /** What a value inside is called. */
  readonly inside?: string;
}

/** Pictures → scores, an exit index, and an output that nobody asks for. */
function pictureNet({
  dataType = 'float',
  dims = ['N', 3, 4, 4],
  end = 'Identity',
  input = 'image',
  scores = 'scores',
  inside = 'pooled',
}: Shape = {}): Graph {
  const b = new GraphBuilder();
  b.input(input, dataType, dims);
  const values = dims.slice(1).reduce<number>((n, dim) => n * (dim as number), 1);
  const weight = floatTensor('weight', [values, CLASSES], noise(values * CLASSES, 5));
  b.initializer(weight);
  const flat = b.op('Flatten', [input], { axis: 1 }, inside);
  const w = dataType === 'float' ? 'weight' : b.op('Cast', ['weight'], { to: 10 });
  const logits = b.op('MatMul', [flat, w]);
  b.op(end, [logits], end === 'Identity' ? {} : { axis: 1 }, scores);
  b.op('ArgMax', [logits], { axis: 1, keepdims: 0 }, 'exit_index');
  b.op('Relu', [logits], {}, 'unused');
  b.output(scores, dataType, ['N', CLASSES]);
  b.output('exit_index', 'int64', ['N']);
  b.output('unused', dataType, ['N', CLASSES]);
  return b.build('pictures');
}

const about = (
  more: Partial<PipelineInput> = {},
  options: Partial<PipelineOptions> = {},
): PipelineOptions => ({
  inputs: [{ name: 'image', dataType: 'float', dims: ['N', 3, 4, 4], as: 'pixel_values', ...more }],
  scores: 'scores',
  scoresType: 'float',
  areProbabilities: false,
  others: ['exit_index'],
  ...options,
});

const run = (graph: Graph, feeds: Record<string, Tensor>) =>
  withSession(makeModel(graph), {}, (session) => session.run(feeds));

const PICTURES = noise(N * 48, 3);
const pictures = (dataType: DataType = 'float', dims = [N, 3, 4, 4], values = PICTURES) =>
  tensorOf(dataType, values, dims);

/** Planar pictures with their channels last. */
const channelsLast = (values: Float32Array) =>
  values.map((_, i) => {
    const [n, pixel, c] = [Math.floor(i / 48), Math.floor((i % 48) / 3), i % 3];
    return values[n * 48 + c * 16 + pixel]!;
  });

/** ONNX Runtime computes half floats as floats, and rounds at the end where there is a half float to end in. */
const HALF = 2 ** -8;

function assertNear(found: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  assert.is(found.length, expected.length);
  for (let i = 0; i < expected.length; i++)
    assert.ok(Math.abs(found[i]! - expected[i]!) <= tolerance, `${i}: ${found[i]} for ${expected[i]}`);
}

const namesOf = (values: Graph['inputs']) => values.map(({ name }) => name);

test('inputs and scores get the names of pipelines, other outputs go, and the answers stay to the bit', async () => {
  const graph = pictureNet();
  const after = runPasses(graph, [forPipelines(about())]);
  assert.equal([namesOf(after.inputs), namesOf(after.outputs)], [['pixel_values'], ['logits', 'exit_index']]);
  assert.equal(after.nodes.length, graph.nodes.length - 1, 'renaming takes no nodes');
  const before = await run(graph, { image: pictures() });
  const now = await run(after, { pixel_values: pictures() });
  assert.equal(now.logits!.data, before.scores!.data);
  assert.equal(now.exit_index!.data, before.exit_index!.data);
});

test('a model that has them already stays as it is', () => {
  const graph = pictureNet({ input: 'pixel_values', scores: 'logits' });
  const outputs = graph.outputs.slice(0, 2);
  const own = { ...graph, outputs, nodes: graph.nodes.filter(({ outputs: [name] }) => name !== 'unused') };
  const after = runPasses(own, [forPipelines(about({ name: 'pixel_values' }, { scores: 'logits' }))]);
  assert.equal(after.nodes, own.nodes);
  assert.equal([after.inputs, after.outputs], [own.inputs, own.outputs]);
});

test('channels last', async () => {
  const graph = pictureNet({ dims: ['N', 4, 4, 3] });
  const after = runPasses(graph, [forPipelines(about({ dims: ['N', 4, 4, 3], channelsLast: true }))]);
  assert.equal(after.inputs[0]!.type!.dims, ['N', 3, 4, 4]);
  const before = await run(graph, { image: pictures('float', [N, 4, 4, 3], channelsLast(PICTURES)) });
  const now = await run(after, { pixel_values: pictures() });
  assert.equal(now.logits!.data, before.scores!.data);
});

test('half floats in and out', async () => {
  const graph = pictureNet({ dataType: 'float16' });
  const options = about({ dataType: 'float16' }, { scoresType: 'float16' });
  const after = runPasses(graph, [forPipelines(options)]);
  assert.equal([after.inputs[0]!.type!.dataType, after.outputs[0]!.type!.dataType], ['float', 'float']);
  const before = await run(graph, { image: pictures('float16') });
  const now = await run(after, { pixel_values: pictures() });
  assert.is(now.logits!.type, 'float32');
  assertNear(floatsOf(now.logits!), floatsOf(before.scores!), HALF);
});

test('pictures of other numbers', async () => {
  for (const dataType of ['double', 'uint8', 'int32'] as const) {
    const graph = pictureNet({ dataType: 'float', input: 'image' });
    const inputs = [{ ...graph.inputs[0]!, type: { dataType, dims: ['N', 3, 4, 4] } }];
    const nodes = [
      makeNode('Cast', ['image'], ['floats'], { to: 1 }),
      ...renameValues({ ...graph, inputs: [], initializers: [] }, new Map([['image', 'floats']])).nodes,
    ];
    const other = { ...graph, inputs, nodes };
    const after = runPasses(other, [forPipelines(about({ dataType }))]);
    assert.is(after.inputs[0]!.type!.dataType, 'float');
    const values = PICTURES.map((v) => 100 * Math.abs(v) + 0.1);
    const before = await run(other, { image: pictures(dataType, [N, 3, 4, 4], values) });
    const now = await run(after, { pixel_values: pictures('float', [N, 3, 4, 4], values) });
    assertNear(floatsOf(now.logits!), floatsOf(before.scores!), 1e-3);
  }
});

test('the softmax of what comes out is what came out', async () => {
  for (const end of ['Softmax', 'LogSoftmax', 'Identity'] as const)
    for (const dataType of ['float', 'float16'] as const) {
      const graph = pictureNet({ end, dataType });
      const areProbabilities = end === 'Softmax';
      const options = about({ dataType }, { areProbabilities, scoresType: dataType });
      const after = runPasses(graph, [forPipelines(options)]);
      const before = floatsOf((await run(graph, { image: pictures(dataType) })).scores!);
      const logits = floatsOf((await run(after, { pixel_values: pictures() })).logits!);
      const expected = areProbabilities ? before.map(Math.log) : before;
      assertNear(logits, expected, dataType === 'float16' ? HALF : 1e-5);
    }
});

test('values inside that have these names give way', async () => {
  for (const inside of ['logits', 'pixel_values']) {
    const graph = pictureNet({ inside });
    const after = runPasses(graph, [forPipelines(about())]);
    const before = await run(graph, { image: pictures() });
    const now = await run(after, { pixel_values: pictures() });
    assert.equal(now.logits!.data, before.scores!.data, inside);
    // With nodes of its own before and behind, whose names may be taken too.
    const steps = about({ dims: ['N', 4, 4, 3], channelsLast: true }, { areProbabilities: true });
    const other = pictureNet({ inside, end: 'Softmax', dims: ['N', 4, 4, 3] });
    const { logits } = await run(runPasses(other, [forPipelines(steps)]), { pixel_values: pictures() });
    assert.is(logits!.data.length, N * CLASSES);
  }
});

test('an output that goes may be called logits', async () => {
  const graph = pictureNet();
  const nodes = [...graph.nodes, makeNode('Neg', ['unused'], ['logits'])];
  const outputs = [...graph.outputs, { name: 'logits', type: graph.outputs[0]!.type }];
  const after = runPasses({ ...graph, nodes, outputs }, [forPipelines(about())]);
  const before = await run(graph, { image: pictures() });
  assert.equal((await run(after, { pixel_values: pictures() })).logits!.data, before.scores!.data);
});

test('an input or a kept output of these names is refused', () => {
  const graph = pictureNet({ scores: 'pixel_values' });
  const options = about({}, { scores: 'pixel_values' });
  assert.throws(() => runPasses(graph, [forPipelines(options)]), hasCode('name-taken'));
});

/** Ids and mask [N, 6] → scores: a weight a place, so that it shows where each token is. */
function textNet(dataType: 'int64' | 'int32'): Graph {
  const b = new GraphBuilder();
  for (const name of ['attention_mask', 'input_ids']) b.input(name, dataType, ['N', LENGTH]);
  b.initializer(floatTensor('weight', [2 * LENGTH, CLASSES], noise(2 * LENGTH * CLASSES, 8)));
  const both = b.op('Concat', ['input_ids', 'attention_mask'], { axis: 1 });
  b.op('MatMul', [b.op('Cast', [both], { to: 1 }), 'weight'], {}, 'scores');
  b.output('scores', 'float', ['N', CLASSES]);
  return b.build('texts');
}
const LENGTH = 6;
const PAD = 9;

for (const side of ['left', 'right'] as const)
  for (const dataType of ['int64', 'int32'] as const)
    test(`texts of any length, padded on the ${side}, for ${dataType}`, async () => {
      const graph = textNet(dataType);
      const inputs = ['attention_mask', 'input_ids'].map((name): PipelineInput => {
        const padding = { value: name === 'input_ids' ? PAD : 0, side, length: LENGTH };
        return { name, as: name, dataType, dims: ['N', LENGTH], padding };
      });
      const options = {
        inputs,
        scores: 'scores',
        scoresType: 'float',
        areProbabilities: false,
        others: [],
      } as const;
      const after = runPasses(graph, [forPipelines(options)]);
      assert.equal(
        after.inputs.map(({ name, type }) => [name, type!.dataType, type!.dims]),
        ['attention_mask', 'input_ids'].map((name) => [name, 'int64', ['N', 'sequence_length']]),
      );
      for (const length of [1, 4, LENGTH, LENGTH + 1, 15]) {
        const ids = Array.from({ length }, (_, i) => i + 1);
        const fitted = (values: readonly number[], pad: number) => {
          const kept = side === 'left' ? values.slice(-LENGTH) : values.slice(0, LENGTH);
          const rest = Array<number>(LENGTH - kept.length).fill(pad);
          return side === 'left' ? [...rest, ...kept] : [...kept, ...rest];
        };
        const mask = ids.map(() => 1);
        const row = (type: DataType, values: readonly number[]) =>
          tensorOf(type, Float32Array.from([...values, ...values]), [2, values.length]);
        const before = await run(graph, {
          input_ids: row(dataType, fitted(ids, PAD)),
          attention_mask: row(dataType, fitted(mask, 0)),
        });
        const now = await run(after, { input_ids: row('int64', ids), attention_mask: row('int64', mask) });
        assert.equal(now.logits!.data, before.scores!.data, `${length} tokens`);
      }
    });

test.run();
