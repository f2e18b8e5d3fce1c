/** Networks of one kind of op each with about `megabytes` of random weights, for branch-weights.ts. */
import { type AttributeValue, GraphBuilder, makeModel } from '../src/graph/builder.ts';
import { Random } from '../src/graph/random.ts';
import { elementCount, floatTensor, numberTensor, toHalf } from '../src/graph/tensor.ts';
import type { DataType, Model, Tensor } from '../src/graph/types.ts';

/** Dimensions of a sample. */
type Sample = readonly number[];

class Net {
  readonly b = new GraphBuilder();
  private readonly random = new Random(1, 'branch-weights');
  private bytes = 0;

  /** A float weight; normal, so that maps keep their size. `fan`: values that one output sums. */
  weight(dims: readonly number[], fan = elementCount(dims.slice(1))): string {
    const scale = Math.sqrt(1 / fan);
    // 4096 different values are enough, and quickly drawn.
    const some = Float32Array.from({ length: 4096 }, () => scale * this.random.gaussian());
    const values = Float32Array.from(
      { length: elementCount(dims) },
      (_, i) => some[(i * 2654435761) & 4095]!,
    );
    return this.add(floatTensor(this.b.fresh('weight'), dims, values));
  }

  half(dims: readonly number[]): string {
    const scale = Math.sqrt(1 / elementCount(dims.slice(1)));
    const some = toHalf(Float32Array.from({ length: 4096 }, () => scale * this.random.gaussian()));
    const values = Uint16Array.from({ length: elementCount(dims) }, (_, i) => some[(i * 2654435761) & 4095]!);
    const bytes = new Uint8Array(values.buffer);
    return this.add({ name: this.b.fresh('weight'), dataType: 'float16', dims, bytes });
  }

  int8(dims: readonly number[]): string {
    const bytes = Uint8Array.from({ length: elementCount(dims) }, (_, i) => ((i * 2654435761) >>> 7) & 255);
    return this.add({ name: this.b.fresh('weight'), dataType: 'int8', dims, bytes });
  }

  constant(dataType: DataType, dims: readonly number[], value: number): string {
    const values = new Array<number>(elementCount(dims)).fill(value);
    return this.add(numberTensor(this.b.fresh('constant'), dataType, dims, values)!);
  }

  private add(tensor: Tensor): string {
    this.bytes += tensor.bytes.byteLength;
    this.b.initializers.push(tensor);
    return tensor.name;
  }

  op(type: string, inputs: readonly string[], attributes: Record<string, AttributeValue> = {}): string {
    return this.b.op(type, inputs, attributes);
  }

  /** `block` after `block` until there are enough weights. */
  repeat(x: string, megabytes: number, block: (x: string) => string): string {
    let y = x;
    while (this.bytes < megabytes * 1e6) y = block(y);
    return y;
  }
}

const CONV = { kernel_shape: [3, 3], pads: [1, 1, 1, 1] };
const POINT = { kernel_shape: [1, 1] };

export interface Subject {
  readonly sample: Sample;
  /** From the input [N, …sample] to a value of any shape. */
  readonly body: (net: Net, x: string, megabytes: number) => string;
  readonly input?: DataType;
}

/** Quantizes, multiplies and goes back: one product of integers with the float world around it. */
const quantized = (net: Net, x: string, product: (x: string) => string): string => {
  const [scale, zero] = [net.constant('float', [], 0.02), net.constant('uint8', [], 128)];
  return net.op('DequantizeLinear', [product(net.op('QuantizeLinear', [x, scale, zero])), scale, zero]);
};

export const SUBJECTS: Readonly<Record<string, Subject>> = {
  'residual convolutions': {
    sample: [2048, 7, 7],
    body: (n, input, megabytes) =>
      n.repeat(input, megabytes, (x) => {
        const a = n.op('Relu', [n.op('Conv', [x, n.weight([512, 2048, 1, 1]), n.weight([512])], POINT)]);
        const b = n.op('Relu', [n.op('Conv', [a, n.weight([512, 512, 3, 3]), n.weight([512])], CONV)]);
        const c = n.op('Conv', [b, n.weight([2048, 512, 1, 1]), n.weight([2048])], POINT);
        return n.op('Relu', [n.op('Add', [c, x])]);
      }),
  },
  'Conv, BatchNormalization': {
    sample: [512, 7, 7],
    body: (n, input, megabytes) =>
      n.repeat(input, megabytes, (x) => {
        const conv = n.op('Conv', [x, n.weight([512, 512, 3, 3])], CONV);
        const [one, zero] = [() => n.constant('float', [512], 1), () => n.constant('float', [512], 0)];
        return n.op('Relu', [n.op('BatchNormalization', [conv, one(), zero(), zero(), one()])]);
      }),
  },
  'Conv, Concat, BatchNormalization': {
    sample: [2048, 7, 7],
    body: (n, input, megabytes) =>
      n.repeat(input, megabytes, (x) => {
        const [one, zero] = [() => n.constant('float', [2048], 1), () => n.constant('float', [2048], 0)];
        const a = n.op('Conv', [x, n.weight([1024, 2048, 1, 1]), n.weight([1024])], POINT);
        const b = n.op('Relu', [n.op('Conv', [a, n.weight([1024, 1024, 1, 1]), n.weight([1024])], POINT)]);
        const all = n.op('Concat', [a, b], { axis: 1 });
        return n.op('Relu', [n.op('BatchNormalization', [all, one(), zero(), zero(), one()])]);
      }),
  },
  'Conv, depthwise': {
    sample: [4096, 7, 7],
    body: (n, input, megabytes) =>
      n.repeat(input, megabytes, (x) => {
        const a = n.op('Conv', [x, n.weight([4096, 1, 3, 3]), n.weight([4096])], { ...CONV, group: 4096 });
        return n.op('Relu', [a]);
      }),
  },
  'Conv, 3 channels in': {
    sample: [3, 32, 32],
    body: (n, x, megabytes) => {
      // One wide layer: ONNX Runtime gives it another of its layouts.
      const maps = Math.ceil((megabytes * 1e6) / (3 * 7 * 7 * 4) / 16) * 16;
      const a = n.op('Conv', [x, n.weight([maps, 3, 7, 7]), n.weight([maps])], {
        kernel_shape: [7, 7],
        strides: [8, 8],
      });
      return n.op('Relu', [a]);
    },
  },
  ConvTranspose: {
    sample: [512, 7, 7],
    body: (n, input, megabytes) =>
      n.repeat(input, megabytes, (x) =>
        n.op('Relu', [n.op('ConvTranspose', [x, n.weight([512, 512, 3, 3]), n.weight([512])], CONV)]),
      ),
  },
  MatMul: {
    sample: [16, 768],
    body: (n, input, megabytes) =>
      n.repeat(input, megabytes, (x) => {
        const a = n.op('Add', [n.op('MatMul', [x, n.weight([768, 3072], 768)]), n.weight([3072])]);
        const b = n.op('Add', [
          n.op('MatMul', [n.op('Relu', [a]), n.weight([3072, 768], 3072)]),
          n.weight([768]),
        ]);
        return n.op('Add', [b, x]);
      }),
  },
  Gemm: {
    sample: [2048],
    body: (n, input, megabytes) =>
      n.repeat(input, megabytes, (x) =>
        n.op('Relu', [n.op('Gemm', [x, n.weight([2048, 2048]), n.weight([2048])], { transB: 1 })]),
      ),
  },
  Gather: {
    sample: [16],
    input: 'int64',
    body: (n, x, megabytes) =>
      n.op('Gather', [n.weight([Math.ceil((megabytes * 1e6) / 4 / 768), 768], 768), x]),
  },
  LSTM: {
    sample: [16, 512],
    body: (n, input, megabytes) =>
      n.op(
        'Transpose',
        [
          n.repeat(n.op('Transpose', [input], { perm: [1, 0, 2] }), megabytes, (x) => {
            const [w, r] = [n.weight([1, 2048, 512], 512), n.weight([1, 2048, 512], 512)];
            const y = n.op('LSTM', [x, w, r, n.weight([1, 4096], 4096)], { hidden_size: 512 });
            return n.op('Squeeze', [y, n.constant('int64', [1], 1)]);
          }),
        ],
        { perm: [1, 0, 2] },
      ),
  },
  QLinearConv: {
    sample: [512, 7, 7],
    body: (n, input, megabytes) =>
      quantized(n, input, (q) =>
        n.repeat(q, megabytes, (x) => {
          const [s, u] = [n.constant('float', [], 0.02), n.constant('uint8', [], 128)];
          const [ws, wz] = [n.constant('float', [512], 0.0002), n.constant('int8', [512], 0)];
          const bias = n.constant('int32', [512], 3);
          return n.op('QLinearConv', [x, s, u, n.int8([512, 512, 3, 3]), ws, wz, s, u, bias], CONV);
        }),
      ),
  },
  'QDQ Conv': {
    sample: [512, 7, 7],
    body: (n, input, megabytes) =>
      quantized(n, input, (q) =>
        n.repeat(q, megabytes, (x) => {
          const [s, u] = [n.constant('float', [], 0.02), n.constant('uint8', [], 128)];
          const [ws, wz] = [n.constant('float', [512], 0.0002), n.constant('int8', [512], 0)];
          const weight = n.op('DequantizeLinear', [n.int8([512, 512, 3, 3]), ws, wz], { axis: 0 });
          const bs = n.constant('float', [512], 0.000004);
          const bias = n.op('DequantizeLinear', [n.constant('int32', [512], 3), bs], { axis: 0 });
          const conv = n.op('Conv', [n.op('DequantizeLinear', [x, s, u]), weight, bias], CONV);
          return n.op('QuantizeLinear', [conv, s, u]);
        }),
      ),
  },
  ConvInteger: {
    sample: [512, 7, 7],
    body: (n, input, megabytes) =>
      quantized(n, input, (q) => {
        const [s, u] = [n.constant('float', [], 0.02), n.constant('uint8', [], 128)];
        return n.repeat(q, megabytes, (x) => {
          const sums = n.op('Cast', [n.op('ConvInteger', [x, n.int8([512, 512, 3, 3]), u], CONV)], { to: 1 });
          return n.op('QuantizeLinear', [n.op('Mul', [sums, n.constant('float', [], 0.0002)]), s, u]);
        });
      }),
  },
  QLinearMatMul: {
    sample: [16, 1024],
    body: (n, input, megabytes) =>
      quantized(n, input, (q) =>
        n.repeat(q, megabytes, (x) => {
          const [s, u] = [n.constant('float', [], 0.02), n.constant('uint8', [], 128)];
          const [ws, wz] = [n.constant('float', [], 0.0002), n.constant('int8', [], 0)];
          return n.op('QLinearMatMul', [x, s, u, n.int8([1024, 1024]), ws, wz, s, u]);
        }),
      ),
  },
  'QDQ MatMul': {
    sample: [16, 1024],
    body: (n, input, megabytes) =>
      quantized(n, input, (q) =>
        n.repeat(q, megabytes, (x) => {
          const [s, u] = [n.constant('float', [], 0.02), n.constant('uint8', [], 128)];
          const [ws, wz] = [n.constant('float', [], 0.0002), n.constant('int8', [], 0)];
          const weight = n.op('DequantizeLinear', [n.int8([1024, 1024]), ws, wz]);
          return n.op('QuantizeLinear', [
            n.op('MatMul', [n.op('DequantizeLinear', [x, s, u]), weight]),
            s,
            u,
          ]);
        }),
      ),
  },
  MatMulInteger: {
    sample: [16, 1024],
    body: (n, input, megabytes) =>
      n.repeat(input, megabytes, (x) => {
        // As ONNX Runtime's dynamic quantization writes it.
        n.b.ops('DynamicQuantizeLinear', [x], {}, [n.b.fresh('q'), n.b.fresh('s'), n.b.fresh('z')]);
        const [q, s, z] = n.b.nodes.at(-1)!.outputs as [string, string, string];
        const sums = n.op(
          'Cast',
          [n.op('MatMulInteger', [q, n.int8([1024, 1024]), z, n.constant('int8', [], 0)])],
          { to: 1 },
        );
        return n.op('Mul', [sums, n.op('Mul', [s, n.constant('float', [], 0.0005)])]);
      }),
  },
  'MatMul, weight transposed': {
    sample: [16, 1024],
    body: (n, input, megabytes) =>
      n.repeat(input, megabytes, (x) =>
        n.op('Relu', [n.op('MatMul', [x, n.op('Transpose', [n.weight([1024, 1024])], { perm: [1, 0] })])]),
      ),
  },
  'Conv, float16': {
    sample: [512, 7, 7],
    body: (n, input, megabytes) =>
      n.op(
        'Cast',
        [
          n.repeat(n.op('Cast', [input], { to: 10 }), megabytes, (x) =>
            n.op('Relu', [n.op('Conv', [x, n.half([512, 512, 3, 3]), n.half([512])], CONV)]),
          ),
        ],
        { to: 1 },
      ),
  },
};

/** The network of `name` with a mean over each sample at its end: x [N, …] → y [N, 1]. */
export function subjectModel(name: string, megabytes: number): Model {
  const { sample, body, input = 'float' } = SUBJECTS[name]!;
  const net = new Net();
  const x = net.b.input('x', input, ['N', ...sample]);
  const end = net.op('Flatten', [body(net, x, megabytes)]);
  const y = net.b.op('ReduceMean', [end], { axes: [1], keepdims: 1 }, 'y');
  net.b.output(y, 'float', ['N', 1]);
  return makeModel(net.b.build('subject'));
}
