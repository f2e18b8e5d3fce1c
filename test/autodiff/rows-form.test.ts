/** Heads in rows give what they give as maps, in training. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { enterRows, leaveRows } from '../../src/autodiff/rows-form.ts';
import { trainingForm } from '../../src/autodiff/training-form.ts';
import { float, GraphBuilder, makeModel, toAttribute } from '../../src/graph/builder.ts';
import { floatTensor } from '../../src/graph/tensor.ts';
import type { Graph, Node } from '../../src/graph/types.ts';
import { type Feeds, Tensor, withSession } from '../../src/ort/session.ts';
import { type Pass, runPasses } from '../../src/passes/pass.ts';
import { signed } from './check-gradient.ts';

const test = suite('passes: rows-form');
const IN = [3, 4, 6, 6];

/** Convolutions of every kind a head has, a residual, and a value that is asked for as a map. */
function head(): Graph {
  const b = new GraphBuilder();
  const x = b.input('x', 'float', IN);
  const weight = (name: string, ...dims: number[]) =>
    b.initializer(
      floatTensor(
        name,
        dims,
        signed(
          dims.reduce((a, d) => a * d),
          name.length + dims[0]!,
        ),
      ),
    );
  const normalised = (value: string, channels: number, i: number) => {
    const parts = ['scale', 'shift', 'mean', 'var'].map((p) => weight(`bn${i}/${p}`, channels));
    const outputs = [`bn${i}`, `bn${i}/batch_mean`, `bn${i}/batch_var`];
    const attributes = { training_mode: 1, momentum: float(0), epsilon: 1e-3 };
    return b.ops('BatchNormalization', [value, ...parts], attributes, outputs)[0]!;
  };
  const pads = [1, 1, 1, 1];
  const first = b.op('Conv', [x, weight('w1', 4, 4, 3, 3)], { kernel_shape: [3, 3], pads });
  const around = b.op('Add', [x, normalised(first, 4, 1)]);
  const halved = b.op('Conv', [b.op('Relu', [around]), weight('w2', 6, 4, 3, 3), weight('b2', 6)], {
    kernel_shape: [3, 3],
    strides: [2, 2],
    pads,
  });
  const last = b.op('Relu', [normalised(halved, 6, 2)], {}, 'last');
  const point = b.op('Conv', [last, weight('w3', 5, 6, 1, 1)], { kernel_shape: [1, 1] });
  b.op('Flatten', [b.op('GlobalAveragePool', [point])], { axis: 1 }, 'pooled');
  for (const [name, dims] of [['pooled', [3, 5]], ['last', [3, 6, 3, 3]], ['bn2/batch_var', [6]]] as const)
    b.output(name, 'float', dims); // biome-ignore format: one line
  return b.build('head');
}

const run = (graph: Graph, feeds: Feeds) =>
  withSession(makeModel(graph), { threads: 1 }, (session) => session.run(feeds));

test('rows give what maps give; values that are asked for as maps are maps', async () => {
  const graph = head();
  const inRows = runPasses(graph, [enterRows, leaveRows]);
  const feeds = {
    x: new Tensor(
      'float32',
      signed(
        IN.reduce((a, d) => a * d),
        5,
      ),
      IN,
    ),
  };
  const [maps, rows] = [await run(graph, feeds), await run(inRows, feeds)];
  for (const { name } of graph.outputs) {
    assert.equal(rows[name]!.dims, maps[name]!.dims, name);
    const [a, c] = [maps[name]!.data as Float32Array, rows[name]!.data as Float32Array];
    for (const [i, value] of a.entries())
      assert.ok(Math.abs(value - c[i]!) < 1e-4, `${name}[${i}]: ${value}, ${c[i]}`);
  }
});

test('between convolutions nothing is transposed but weights', () => {
  const graph = head();
  const { nodes } = runPasses({ ...graph, outputs: graph.outputs.slice(0, 1) }, [enterRows, leaveRows]);
  const count = (op: string) => nodes.filter((n) => n.opType === op).length;
  assert.is(count('Conv') + count('RowsConv') + count('BatchNormalization'), 0);
  assert.is(nodes.filter((n) => n.opType === 'Gemm').length, 3);
  const maps = nodes.filter(
    (n) =>
      n.opType === 'Transpose' && JSON.stringify(n.attributes.perm) === '{"type":"INTS","value":[0,2,1]}',
  );
  assert.is(maps.length, 1, 'the input, once');
});

test('a value that leaves a form with another shape or type is named', () => {
  const spoiled = (pass: Pass, op: string, change: (node: Node) => Node): Pass => ({
    ...pass,
    run(graph) {
      const after = pass.run(graph);
      return { ...after, nodes: after.nodes.map((node) => (node.opType === op ? change(node) : node)) };
    },
  });
  const refused = (passes: readonly Pass[], message: RegExp) =>
    assert.throws(
      () => runPasses(head(), passes),
      (e: { code: string; message: string }) => e.code === 'pass-broke-invariant' && message.test(e.message),
    );
  const kept = spoiled(enterRows, 'Flatten', (node) => ({ ...node, attributes: { axis: toAttribute(0) } }));
  refused([kept], /enter-rows: value pooled is float \[1, 15\], and was float \[3, 5\]/);
  const cast = spoiled(leaveRows, 'Flatten', (node) => ({ ...node, opType: 'Shape', attributes: {} }));
  refused([enterRows, cast], /leave-rows: value pooled is int64 \[4\], and was float \[3, 5\]/);
  const training = trainingForm({ seed: 1 });
  const atRest = spoiled(training, 'GlobalAveragePool', (node) => ({ ...node, opType: 'Identity' }));
  const b = new GraphBuilder();
  const x = b.input('x', 'float', [3, 4, 6, 6]);
  b.op('GlobalAveragePool', [b.op('Dropout', [x])], {}, 'y');
  b.output('y', 'float', [3, 4, 1, 1]);
  assert.throws(() => runPasses(b.build('dropped'), [atRest]), /value y is float \[3, 4, 6, 6\]/);
  assert.ok(runPasses(b.build('dropped'), [training]));
});

test('convolutions in groups stay as they are', () => {
  const b = new GraphBuilder();
  const x = b.input('x', 'float', [1, 4, 3, 3]);
  const w = b.initializer(floatTensor('w', [4, 1, 3, 3], signed(36, 1)));
  b.op('Conv', [x, w], { kernel_shape: [3, 3], group: 4 }, 'y');
  b.output('y', 'float', [1, 4, 1, 1]);
  const graph = b.build('grouped');
  assert.is(runPasses(graph, [enterRows, leaveRows]), graph);
});

test('so do those whose columns would fill the memory; what follows them is in rows', () => {
  const b = new GraphBuilder();
  const x = b.input('x', 'float', [2048, 16, 32, 32]);
  const weight = (name: string) => b.initializer(floatTensor(name, [16, 16, 3, 3], signed(2304, 1)));
  const pads = [1, 1, 1, 1];
  const wide = b.op('Conv', [x, weight('w1')], { kernel_shape: [3, 3], pads, strides: [2, 2] });
  b.op('Conv', [wide, weight('w2')], { kernel_shape: [3, 3], pads, strides: [8, 8] }, 'y');
  b.output('y', 'float', [2048, 16, 2, 2]);
  const { nodes } = runPasses(b.build('large'), [enterRows, leaveRows]);
  const found = nodes.map(({ opType }) => opType).filter((op) => op === 'Conv' || op === 'Gemm');
  assert.equal(found, ['Conv', 'Gemm']);
});

test.run();
