/** Two forms of students, as far as their time goes: pictures [3, 32, 32] to logits, a tenth of ResNet-56's MACs each. */
import { GraphBuilder } from '../src/graph/builder.ts';
import { Random } from '../src/graph/random.ts';
import { elementCount, floatTensor } from '../src/graph/tensor.ts';
import type { Graph } from '../src/graph/types.ts';

export interface StudentForm {
  readonly name: string;
  readonly stemStride: number;
  /** Channels of the stem, which are those of the first stage too. */
  readonly channels: number;
}

export const STUDENT_FORMS: readonly StudentForm[] = [
  { name: 'student: wide, early-downsampled', stemStride: 2, channels: 32 },
  { name: 'student: ResNet-8 form', stemStride: 1, channels: 16 },
];

/** A stem and three stages of one residual block each (He et al. 2016), channels doubled and sides halved between them. */
export function studentGraph({ stemStride, channels }: StudentForm, classes: number): Graph {
  const b = new GraphBuilder();
  const random = new Random(1, 'student');
  const filled = (name: string, dims: number[], value: () => number) =>
    b.initializer(floatTensor(name, dims, Float32Array.from({ length: elementCount(dims) }, value)));
  let count = 0;
  const weight = (dims: number[]) => {
    const deviation = Math.sqrt(2 / elementCount(dims.slice(1)));
    return filled(`${++count}/weight`, dims, () => deviation * random.gaussian());
  };
  const conv = (x: string, from: number, to: number, kernel: number, stride: number) => {
    const pad = kernel >> 1;
    const y = b.op('Conv', [x, weight([to, from, kernel, kernel])], {
      kernel_shape: [kernel, kernel],
      strides: [stride, stride],
      pads: [pad, pad, pad, pad],
    });
    const parts = ['scale', 'bias', 'mean', 'var'].map((part) =>
      filled(`norm${count}/${part}`, [to], () => (part === 'scale' || part === 'var' ? 1 : 0)),
    );
    return b.op('BatchNormalization', [y, ...parts]);
  };
  const relu = (x: string) => b.op('Relu', [x]);
  let x = relu(conv(b.input('features', 'float', ['N', 3, 32, 32]), 3, channels, 3, stemStride));
  let from = channels;
  for (const [to, stride] of [
    [channels, 1],
    [2 * channels, 2],
    [4 * channels, 2],
  ] as const) {
    const inner = conv(relu(conv(x, from, to, 3, stride)), to, to, 3, 1);
    const around = stride === 1 ? x : conv(x, from, to, 1, stride);
    x = relu(b.op('Add', [inner, around]));
    from = to;
  }
  const pooled = b.op('Flatten', [b.op('GlobalAveragePool', [x])]);
  const bias = filled('linear/bias', [classes], () => 0);
  b.op('Gemm', [pooled, weight([classes, from]), bias], { transB: 1 }, 'logits');
  b.output('logits', 'float', ['N', classes]);
  return b.build('student');
}
