import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GraphBuilder, makeModel } from '../../src/graph/builder.ts';
import { elementCount, floatTensor } from '../../src/graph/tensor.ts';
import type { Graph } from '../../src/graph/types.ts';
import { Tensor, withSession } from '../../src/ort/session.ts';
import { enterBlockedLayout } from '../../src/passes/enter-blocked-layout.ts';
import { runPasses } from '../../src/passes/pass.ts';
import { noise, tinyResidual } from '../models.ts';

const test = suite('enter-blocked-layout');

/** x → Conv → Add x → Relu → Conv → Add → Relu, on maps of `channels`. */
function residual(channels: number): Graph {
  const b = new GraphBuilder();
  const dims = [channels, channels, 3, 3];
  let x = b.input('x', 'float', ['N', channels, 6, 6]);
  for (const i of [1, 2]) {
    const weight = b.initializer(
      floatTensor(
        `w${i}`,
        dims,
        noise(elementCount(dims), i).map((v) => v / 12),
      ),
    );
    const conv = b.op('Conv', [x, weight], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] });
    x = b.op('Relu', [b.op('Add', [conv, x])]);
  }
  b.output(x, 'float', ['N', channels, 6, 6]);
  return b.build('residual');
}

const poolsOf = (graph: Graph) => graph.nodes.filter((n) => n.opType === 'AveragePool');
const after = (graph: Graph) => runPasses(graph, [enterBlockedLayout]);

test('takes in a plain map that a Conv and a residual read, once', () => {
  const graph = after(residual(16));
  assert.equal(
    poolsOf(graph).map((n) => n.inputs),
    [['x']],
    'the second block has everything blocked',
  );
});

test('does nothing twice, nothing without a residual, nothing to channels that are no whole blocks', () => {
  const graph = after(residual(16));
  assert.is(after(graph), graph);
  const odd = residual(12);
  assert.is(after(odd), odd);
  const fed = tinyResidual().graph;
  assert.is(after(fed), fed, 'its residuals are all made by convolutions of 8 channels, or blocked');
});

test('outputs are the same, NaN and infinities included', async () => {
  const x = noise(2 * 16 * 36, 7);
  x[5] = Number.NaN;
  x[700] = Number.POSITIVE_INFINITY;
  const run = (graph: Graph) =>
    withSession(makeModel(graph), { threads: 1 }, async (session) => {
      const outputs = await session.run({ x: new Tensor('float32', x, [2, 16, 6, 6]) });
      return outputs[graph.outputs[0]!.name]!.data as Float32Array;
    });
  const [plain, blocked] = [await run(residual(16)), await run(after(residual(16)))];
  plain.forEach((v, i) => {
    const same = Object.is(v, blocked[i]) || Math.abs(v - blocked[i]!) <= 1e-5 * Math.abs(v) + 1e-6;
    assert.ok(same, `${i}: ${v} and ${blocked[i]}`);
  });
  assert.ok(plain.some(Number.isNaN));
});

test('works inside branches, where weights come from outside', () => {
  const inner = residual(16);
  const [w1, ...rest] = inner.initializers;
  const branch: Graph = {
    ...inner,
    inputs: [],
    initializers: rest,
    nodes: [
      {
        opType: 'Concat',
        domain: '',
        name: 'local',
        inputs: ['w1'],
        outputs: ['w1/local'],
        attributes: { axis: { type: 'INT', value: 0 } },
      },
      ...inner.nodes.map((n) => ({ ...n, inputs: n.inputs.map((i) => (i === 'w1' ? 'w1/local' : i)) })),
    ],
  };
  const b = new GraphBuilder();
  const x = b.input('x', 'float', ['N', 16, 6, 6]);
  const other = new GraphBuilder('else/');
  other.output(other.op('Identity', [x]), 'float', ['N', 16, 6, 6]);
  b.initializer(w1!);
  const y = b.op('If', [b.input('which', 'bool', [1])], {
    then_branch: branch,
    else_branch: other.build('else'),
  });
  b.output(y, 'float', ['N', 16, 6, 6]);
  const graph = after(b.build('outer'));
  const then = graph.nodes[0]!.attributes.then_branch;
  assert.is(then?.type === 'GRAPH' && poolsOf(then.value).length, 1);
});

test.run();
