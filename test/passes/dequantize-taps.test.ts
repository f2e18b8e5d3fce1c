import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GraphBuilder, makeModel } from '../../src/graph/builder.ts';
import { floatTensor } from '../../src/graph/tensor.ts';
import type { Model } from '../../src/graph/types.ts';
import { observeFacts } from '../../src/model/observe-facts.ts';
import { cutSegments } from '../../src/passes/cut-segments.ts';
import { dequantizeTaps } from '../../src/passes/dequantize-taps.ts';
import { lowerExits } from '../../src/passes/lower-exits.ts';
import { runPasses } from '../../src/passes/pass.ts';
import { planExits } from '../../src/passes/plan-exits.ts';
import { noise, tinyResidual } from '../models.ts';
import { byHand, midway, prepare, runLowered, samples } from './by-hand.ts';

const test = suite('dequantize-taps');

/** A chain of three QLinearConv, the second halving the map: input [N, 3, 8, 8] → `scores` [N, 5]. */
function quantisedNet(): Model {
  const b = new GraphBuilder();
  const zero = (type: 'uint8' | 'int8', name: string) =>
    b.initializer({ name, dataType: type, dims: [], bytes: Uint8Array.of(type === 'uint8' ? 128 : 0) });
  const middle = zero('uint8', 'middle');
  const origin = zero('int8', 'origin');
  const weight = (name: string, dims: number[], seed: number) => {
    const values = noise(
      dims.reduce((a, d) => a * d, 1),
      seed,
    ).map((v) => Math.round(v * 127));
    return b.initializer({
      name,
      dataType: 'int8',
      dims,
      bytes: new Uint8Array(Int8Array.from(values).buffer),
    });
  };
  const image = b.input('image', 'float', ['N', 3, 8, 8]);
  const scale = { image: b.float(1 / 64), weight: b.float(1 / 400), map: b.float(1 / 48) };
  let x = b.op('QuantizeLinear', [image, scale.image, middle]);
  let before = scale.image;
  for (const [i, [from, to, stride]] of [
    [3, 8, 1],
    [8, 16, 2],
    [16, 16, 1],
  ].entries()) {
    const inputs = [
      x,
      before,
      middle,
      weight(`w${i}`, [to!, from!, 3, 3], 5 + i),
      scale.weight,
      origin,
      scale.map,
      middle,
    ];
    const window = { kernel_shape: [3, 3], pads: [1, 1, 1, 1], strides: [stride!, stride!] };
    x = b.op('QLinearConv', inputs, window, `map${i}`);
    before = scale.map;
  }
  const map = b.op('DequantizeLinear', [x, scale.map, middle]);
  const pooled = b.op('Flatten', [b.op('GlobalAveragePool', [map])], { axis: 1 });
  const matrix = b.initializer(
    floatTensor(
      'fc',
      [5, 16],
      noise(80, 3).map((v) => 8 * v),
    ),
  );
  b.op('Gemm', [pooled, matrix], { transB: 1 }, 'scores');
  b.output('scores', 'float', ['N', 5]);
  return makeModel(b.build('quantised'), 17);
}

test('a model without QOperator nodes is left alone', () => {
  const { graph } = tinyResidual();
  assert.is(runPasses(graph, [dequantizeTaps]), graph);
});

test('heads hang on floats, int8 rows are carried, and the exits are those of heads and policy by hand', async () => {
  const model = quantisedNet();
  const graph = runPasses(model.graph, [dequantizeTaps]);
  assert.is(runPasses(graph, [dequantizeTaps]), graph);
  const taps = ['map0/float', 'map1/float'];
  const { typed, heads } = await prepare({ ...model, graph }, 'pool', taps);
  const { exits } = planExits(typed, { taps });
  assert.equal(
    exits.map((e) => e.tap.live),
    [['map0'], ['map1']],
  );
  assert.equal(
    cutSegments(typed, taps).carried.map((c) => c.live),
    [['map0'], ['map1']],
  );

  const hand = await byHand(typed, heads, samples);
  const tops = hand.logits.slice(0, 2).map((logits) =>
    Float32Array.from({ length: logits.length / 5 }, (_, i) => {
      const row = [...logits.slice(5 * i, 5 * i + 5)];
      const largest = Math.max(...row);
      return 1 / row.reduce((sum, v) => sum + Math.exp(v - largest), 0);
    }),
  );
  const thresholds = tops.map((t) => midway(t, 0.6));
  const lowered = lowerExits(typed, heads, { policy: 'max-prob' });
  const made = JSON.stringify(lowered.graph.nodes.map((n) => n.outputs));
  assert.not.ok(made.includes('map2/float'), 'what nobody reads is gone');
  for (const batch of [1, 7]) {
    const got = await runLowered(lowered, samples, batch, thresholds);
    got.exits.forEach((exit, i) => {
      const first = tops.findIndex((t, k) => t[i]! > thresholds[k]!);
      assert.is(exit, first < 0 ? 2 : first);
    });
    assert.is(new Set(got.exits).size, 3);
  }
  const plain = await observeFacts(model);
  assert.equal(planExits(plain).exits, [], 'without the pass there is no float to hang a head on');
});

test.run();
