/** Backbones of other forms than a chain of convolutions: each is lowered and held against heads and policy by hand. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GraphBuilder, makeModel, makeValue } from '../../src/graph/builder.ts';
import { elementCount, floatTensor } from '../../src/graph/tensor.ts';
import type { Model } from '../../src/graph/types.ts';
import { lowerExits } from '../../src/passes/lower-exits.ts';
import { noise } from '../models.ts';
import { byHand, midway, prepare, runLowered, samples } from '../passes/by-hand.ts';

const test = suite('forms');

/** Input [N, 3, 8, 8] → stem [N, 8, 8, 8] → `middle`, two stages by `body`, the second halving the map → `scores` [N, 5]. */
class Net extends GraphBuilder {
  private seed = 40;
  readonly image = this.input('image', 'float', ['N', 3, 8, 8]);

  weight(dims: number[], gain = 1.4): string {
    const scale = gain * Math.sqrt(3 / elementCount(dims.slice(1)));
    const values = noise(elementCount(dims), this.seed++).map((v) => v * scale);
    return this.initializer(floatTensor(`weight${this.seed}`, dims, values));
  }

  conv(
    x: string,
    from: number,
    to: number,
    options: { stride?: number; kernel?: number; group?: number } = {},
  ) {
    const { stride = 1, kernel = 3, group = 1 } = options;
    const pad = (kernel - 1) / 2;
    const attributes = {
      kernel_shape: [kernel, kernel],
      pads: [pad, pad, pad, pad],
      strides: [stride, stride],
      group,
    };
    return this.op('Conv', [x, this.weight([to, from / group, kernel, kernel])], attributes);
  }

  relu = (x: string, as?: string) => this.op('Relu', [x], {}, as);

  finish(x: string, channels: number, opset = 17): Model {
    const pooled = this.op('Flatten', [this.op('GlobalAveragePool', [x])], { axis: 1 });
    this.op('Gemm', [pooled, this.weight([5, channels], 6)], { transB: 1 }, 'scores');
    this.output('scores', 'float', ['N', 5]);
    return makeModel(this.build('form'), opset);
  }
}

const FORMS: Record<string, () => Model> = {
  'DenseNet: every layer reads all before it': () => {
    const b = new Net();
    const parts = [b.relu(b.conv(b.image, 3, 8))];
    let width = 8;
    for (const name of ['tap1', 'tap2', 'tap3']) {
      const all = b.op('Concat', [...parts], { axis: 1 }, name);
      parts.push(b.relu(b.conv(all, width, 4)));
      width += 4;
    }
    return b.finish(b.op('Concat', [...parts], { axis: 1 }), width);
  },
  'Inception: parallel branches of several kernels and a pooling one': () => {
    const b = new Net();
    let x = b.relu(b.conv(b.image, 3, 8), 'tap1');
    for (const name of ['tap2', 'tap3']) {
      const pooled = b.op('MaxPool', [x], { kernel_shape: [3, 3], pads: [1, 1, 1, 1], strides: [1, 1] });
      const branches = [b.conv(x, 8, 2, { kernel: 1 }), b.conv(x, 8, 4), b.conv(pooled, 8, 2, { kernel: 1 })];
      x = b.relu(b.op('Concat', branches, { axis: 1 }), name);
    }
    return b.finish(b.relu(b.conv(x, 8, 16, { stride: 2 })), 16);
  },
  'MobileNet: depthwise convolutions between pointwise ones, squeeze and excitation': () => {
    const b = new Net();
    let x = b.relu(b.conv(b.image, 3, 8), 'tap1');
    for (const name of ['tap2', 'tap3']) {
      const wide = b.op('HardSwish', [b.conv(x, 8, 16, { kernel: 1 })]);
      const deep = b.op('HardSwish', [b.conv(wide, 16, 16, { group: 16 })]);
      const gate = b.op('Sigmoid', [b.conv(b.op('GlobalAveragePool', [deep]), 16, 16, { kernel: 1 })]);
      x = b.op('Add', [x, b.conv(b.op('Mul', [deep, gate]), 16, 8, { kernel: 1 })], {}, name);
    }
    return b.finish(b.relu(b.conv(x, 8, 16, { stride: 2 })), 16);
  },
  'ShuffleNet: channels split, shuffled through five axes, joined': () => {
    const b = new Net();
    let x = b.relu(b.conv(b.image, 3, 8), 'tap1');
    for (const name of ['tap2', 'tap3']) {
      const [left, right] = b.ops('Split', [x, b.int64([4, 4])], { axis: 1 }, [
        b.fresh('left'),
        b.fresh('right'),
      ]);
      const joined = b.op('Concat', [left!, b.relu(b.conv(right!, 4, 4))], { axis: 1 });
      const five = b.op('Reshape', [joined, b.int64([-1, 2, 4, 8, 8])]);
      const turned = b.op('Transpose', [five], { perm: [0, 2, 1, 3, 4] });
      x = b.op('Reshape', [turned, b.int64([-1, 8, 8, 8])], {}, name);
    }
    return b.finish(b.relu(b.conv(x, 8, 16, { stride: 2 })), 16);
  },
  'channels last between convolutions, as tf2onnx leaves them': () => {
    const b = new Net();
    const last = (x: string, as?: string) => b.op('Transpose', [x], { perm: [0, 2, 3, 1] }, as);
    const first = (x: string) => b.op('Transpose', [x], { perm: [0, 3, 1, 2] });
    let x = last(b.relu(b.conv(b.image, 3, 8)), 'tap1');
    for (const name of ['tap2', 'tap3']) x = b.op('Add', [x, last(b.relu(b.conv(first(x), 8, 8)))], {}, name);
    return b.finish(b.relu(b.conv(first(x), 8, 16, { stride: 2 })), 16);
  },
  'a signal: convolutions of one dimension': () => {
    const b = new Net();
    const conv = (x: string, from: number, to: number, as: string) =>
      b.relu(b.op('Conv', [x, b.weight([to, from, 3])], { kernel_shape: [3], pads: [1, 1] }), as);
    let x = b.op('Reshape', [b.image, b.int64([-1, 3, 64])]);
    let from = 3;
    for (const name of ['tap1', 'tap2', 'tap3']) {
      x = conv(x, from, 8, name);
      from = 8;
    }
    return b.finish(conv(x, 8, 16, 'last'), 16);
  },
  'a batch axis that is not the first': () => {
    const b = new Net();
    const rows = b.op('Reshape', [b.image, b.int64([-1, 8, 24])]);
    let x = b.op('Transpose', [rows], { perm: [1, 0, 2] }, 'time_first');
    for (const name of ['tap1', 'tap2', 'tap3']) {
      x = b.op('Tanh', [b.op('MatMul', [x, b.weight([24, 24])])]);
      b.op('Transpose', [x], { perm: [1, 0, 2] }, name);
      x = b.op('Transpose', [name], { perm: [1, 0, 2] });
    }
    const mean = b.op('ReduceMean', [x], { axes: [0], keepdims: 0 });
    b.op('Gemm', [mean, b.weight([5, 24], 6)], { transB: 1 }, 'scores');
    b.output('scores', 'float', ['N', 5]);
    return makeModel(b.build('form'), 17);
  },
  'an If in the backbone, whose branches read values from outside': () => {
    const b = new Net();
    let x = b.relu(b.conv(b.image, 3, 8), 'tap1');
    for (const name of ['tap2', 'tap3']) {
      const inner = b.conv(x, 8, 8);
      const branch = (op: string) => {
        const g = new GraphBuilder(`${name}/${op}/`);
        const made = g.op('Add', [g.op(op, [inner]), x]);
        return { ...g.build(op), outputs: [makeValue(made, 'float', undefined)] };
      };
      const yes = b.bool(true);
      x = b.ops('If', [yes], { then_branch: branch('Relu'), else_branch: branch('Neg') }, [name])[0]!;
    }
    return b.finish(b.relu(b.conv(x, 8, 16, { stride: 2 })), 16);
  },
  'a Loop in the backbone': () => {
    const b = new Net();
    let x = b.relu(b.conv(b.image, 3, 8), 'tap1');
    for (const name of ['tap2', 'tap3']) {
      const weight = b.weight([8, 8, 3, 3], 0.7);
      const g = new GraphBuilder(`${name}/`);
      g.input(`${name}/i`, 'int64', []);
      const go = g.input(`${name}/go`, 'bool', []);
      const state = g.input(`${name}/state`, 'float', ['N', 8, 8, 8]);
      const on = g.op('Identity', [go]);
      const next = g.op('Relu', [
        g.op('Conv', [state, weight], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }),
      ]);
      const body = {
        ...g.build('body'),
        outputs: [makeValue(on, 'bool', []), makeValue(next, 'float', undefined)],
      };
      x = b.ops('Loop', [b.int64(2), b.bool(true), x], { body }, [name])[0]!;
    }
    return b.finish(b.relu(b.conv(x, 8, 16, { stride: 2 })), 16);
  },
  'operators of another domain, which Offramp has never heard of but ONNX Runtime has': () => {
    const b = new Net();
    let x = b.relu(b.conv(b.image, 3, 8), 'tap1');
    for (const name of ['tap2', 'tap3']) {
      const inner = b.conv(x, 8, 8);
      b.nodes.push({
        opType: 'QuickGelu',
        domain: 'com.microsoft',
        name,
        inputs: [inner],
        outputs: [name],
        attributes: {},
      });
      x = name;
    }
    const model = b.finish(b.relu(b.conv(x, 8, 16, { stride: 2 })), 16);
    return { ...model, opsetImports: [...model.opsetImports, { domain: 'com.microsoft', version: 1 }] };
  },
};

for (const [name, make] of Object.entries(FORMS)) {
  test(name, async () => {
    const { typed, heads } = await prepare(make(), 'strided', ['tap1', 'tap2', 'tap3']);
    const hand = await byHand(typed, heads, samples);
    const scores = hand.logits.slice(0, 3).map((logits) => largestProbability(logits));
    const thresholds = scores.map((s) => midway(s, 0.7));
    const model = lowerExits(typed, heads, { policy: 'max-prob' });
    const largest = Math.max(...hand.logits.flatMap((l) => [...l]).map(Math.abs));
    for (const [batch, open] of [
      [1, thresholds],
      [7, thresholds],
      [64, [1, thresholds[1]!, 1]],
      [7, [1, 1, 1]],
    ] as const) {
      const got = await runLowered(model, samples, batch, open);
      got.exits.forEach((exit, i) => {
        const first = open.findIndex((t, k) => t < 1 && scores[k]![i]! > t);
        assert.is(exit, first < 0 ? 3 : first, `sample ${i} in batches of ${batch}`);
        for (let c = 0; c < 5; c++)
          assert.ok(Math.abs(got.scores[5 * i + c]! - hand.logits[exit]![5 * i + c]!) < 1e-5 * largest);
      });
      if (open === thresholds) assert.is(new Set(got.exits).size, 4, 'every exit is taken by some sample');
    }
  });
}

function largestProbability(logits: Float32Array): Float32Array {
  return Float32Array.from({ length: logits.length / 5 }, (_, i) => {
    const row = [...logits.slice(5 * i, 5 * i + 5)];
    const largest = Math.max(...row);
    return 1 / row.reduce((sum, v) => sum + Math.exp(v - largest), 0);
  });
}

test.run();
