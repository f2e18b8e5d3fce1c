/** Gradients of blocked maps (see blocked.ts). */
import { numberOf } from '../graph/attributes.ts';
import type { TypedBuilder } from '../graph/infer.ts';
import { type Dims, slide, type Window, windowOf } from '../graph/shapes.ts';
import { elementCount } from '../graph/tensor.ts';
import { affine, blockedOp, channelDot, channelSum, viewed } from './blocked.ts';
import { scaled, type Vjp, zeros } from './vjp.ts';
import { inputGradient as plainInputGradient } from './vjps-conv.ts';

/** Along one axis: the taps that meet positions p, p + stride, … of a map, ordered by the output they read there. */
interface Phase {
  readonly taps: readonly number[];
  readonly pads: readonly [number, number];
}

/** The phases 0 … stride − 1 of an axis: position stride·m + p takes tap k of output m + (p + pad − k) / stride. */
function phasesOf(size: number, out: number, stride: number, kernel: number, pad: number): Phase[] {
  return Array.from({ length: stride }, (_, p) => {
    const taps = Array.from({ length: kernel }, (_, i) => kernel - 1 - i).filter(
      (k) => (p + pad - k) % stride === 0,
    );
    if (taps.length === 0) return { taps, pads: [0, 0] as const };
    const [first, last] = [taps[0]!, taps.at(-1)!].map((k) => (p + pad - k) / stride) as [number, number];
    return { taps, pads: [-first, size / stride + last - out] as const };
  });
}

function phases(size: Dims, window: Window) {
  const out = slide(size, window);
  return size.map((d, i) => phasesOf(d, out[i]!, window.strides[i]!, window.kernel[i]!, window.pads[i]!));
}

/** Whether the gradients of a convolution over a map of `size` can be written as convolutions. */
export function canDifferentiate(size: Dims, window: Window): boolean {
  return (
    window.dilations.every((d) => d === 1) &&
    size.every((d, i) => d % window.strides[i]! === 0) &&
    phases(size, window).every((axis) => axis.every(({ pads }) => pads.every((p) => p >= 0)))
  );
}

/** BlockedConv. */
export const blockedConv: Vjp = ({ node, b, x, dy, dims }) => {
  const size = dims(0).slice(2);
  const window = windowOf(node);
  const block = numberOf(node, 'block', 1);
  return [
    () => inputGradient(b, dy, x[1]!, size, window, block),
    () => weightGradient(b, dy, x[0]!, dims(1), window, block),
    () => channelSum(b, dy),
  ];
};

/**
 * A convolution of the output gradient for each phase of the strides, over the taps that meet it; the phases are put side by side, columns first.
 * A plain input gets a plain gradient.
 */
function inputGradient(
  b: TypedBuilder,
  dy: string,
  weight: string,
  size: Dims,
  window: Window,
  block: number,
): string {
  const [o, i, ...kernel] = b.dims(weight) as [number, number, ...number[]];
  const [n] = b.dims(dy) as [number];
  if (i < block) {
    const plain = blockedOp(b, 'ReorderOutput', [dy], { channels: o });
    return plainInputGradient(b, plain, weight, [n, i, ...size], window, 1);
  }
  const byTap = b.op(
    'Transpose',
    [viewed(b, weight, [o / block, block, i / block, block, elementCount(kernel)])],
    { perm: [4, 2, 0, 1, 3] },
  );
  const [rows, columns] = phases(size, window) as [Phase[], Phase[]];
  const [height, width] = [size[0]! / rows.length, size[1]! / columns.length];
  const part = (row: Phase, column: Phase): string => {
    const taps = row.taps.flatMap((r) => column.taps.map((c) => r * kernel[1]! + c));
    if (taps.length === 0) return zeros(b, [n, i, height, width]);
    const chosen = b.op('Gather', [byTap, b.int64(taps)], { axis: 0 });
    const filter = b.op('Transpose', [chosen], { perm: [1, 2, 0, 3, 4] });
    const shape = [row.taps.length, column.taps.length];
    return blockedOp(b, 'Conv', [dy, viewed(b, filter, [i, o, ...shape])], {
      kernel_shape: shape,
      pads: [row.pads[0], column.pads[0], row.pads[1], column.pads[1]],
    });
  };
  const beside = (parts: readonly string[], dims: readonly number[]) =>
    parts.length === 1
      ? parts[0]!
      : b.op(
          'Concat',
          parts.map((p) => viewed(b, p, dims)),
          { axis: 1 },
        );
  const lines = rows.map((row) =>
    beside(
      columns.map((column) => part(row, column)),
      [(n * i * height * width) / block, block],
    ),
  );
  const all = beside(lines, [(n * i * height) / block, size[1]! * block]);
  return viewed(b, all, [n, i, ...size]);
}

/**
 * A convolution whose channels are the samples and whose window is the output gradient, spread by the strides. The channels of a block lie side
 * by side in the rows of its input, so that one window slides over all of them: a row of its output is [kw · block].
 */
function weightGradient(
  b: TypedBuilder,
  dy: string,
  x: string,
  to: Dims,
  window: Window,
  block: number,
): string {
  const [o, i, ...kernel] = to as [number, number, number, number];
  const [n, , height, width] = b.dims(x) as [number, number, number, number];
  const [, , ...out] = b.dims(dy) as [number, number, number, number];
  const { strides, pads } = window;
  const lanes = i < block ? 1 : block;
  const groups = i / lanes;
  const [top, left] = pads as [number, number];
  const missing = [height, width].map((d, at) => kernel[at]! + strides[at]! * (out[at]! - 1) - pads[at]! - d);
  const [below, right] = missing.map((d) => Math.max(d, 0)) as [number, number];

  const samples = samplesAsChannels(b, x, lanes, block);
  const cell = lanes * block;
  const lines = viewed(b, samples, [(groups * n * height) / block, width * cell]);
  const wide = left + right === 0 ? lines : b.op('Pad', [lines, b.int64([0, left * cell, 0, right * cell])]);
  const filter = b.op('Transpose', [viewed(b, dy, [n / block, block, o / block, elementCount(out), block])], {
    perm: [2, 0, 3, 1, 4],
  });
  const maps = [
    viewed(b, wide, [groups, n, height, (left + width + right) * lanes]),
    viewed(b, filter, [o, n, ...out]),
  ];
  const gradient = blockedOp(b, 'Conv', maps, {
    kernel_shape: out,
    // With one tap there is one row; a larger stride leaves those out that strides did not reach.
    strides: [kernel[0] === 1 ? strides[0]! : 1, 1],
    dilations: [strides[0]!, strides[1]! * lanes],
    pads: [top, 0, below, 0],
  });
  const [, , lineCount, lineLength] = b.dims(gradient) as [number, number, number, number];
  const byLine = viewed(b, gradient, [(groups * o) / block, lineCount, lineLength * block]);
  const reached = [kernel[0]!, kernel[1]! * cell];
  const whole = reached.join() === b.dims(byLine).slice(1).join();
  const kept = whole ? byLine : b.op('Slice', [byLine, b.int64([0, 0]), b.int64(reached), b.int64([1, 2])]);
  const parts = viewed(b, kept, [groups, o / block, elementCount(kernel), lanes, block]);
  return viewed(b, b.op('Transpose', [parts], { perm: [1, 4, 0, 3, 2] }), to);
}

/** [N, C, H, W], blocked or (`lanes` 1) plain → [C / lanes, N / block, H, W, lanes, block of N] */
function samplesAsChannels(b: TypedBuilder, x: string, lanes: number, block: number): string {
  const [n, c, ...size] = b.dims(x) as [number, number, ...number[]];
  if (lanes === 1) return blockedOp(b, 'ReorderInput', [b.op('Transpose', [x], { perm: [1, 0, 2, 3] })]);
  const blocked = blockedOp(b, 'ReorderInput', [viewed(b, x, [1, n, 1, c * elementCount(size)])]);
  if (c === lanes) return blocked;
  const parts = viewed(b, blocked, [n / block, c / lanes, elementCount(size) * lanes * block]);
  return b.op('Transpose', [parts], { perm: [1, 0, 2] });
}

/** BlockedNorm (Ioffe & Szegedy 2015, section 3), as BatchNormalization's: dx = gain·dy + p·x + q, everything per channel in p and q. */
export const blockedNorm: Vjp = ({ node, b, x, y, dy, dims }) => {
  const [mean, variance] = [y[1]!, y[2]!];
  const minus = b.float(-dims(0)[1]! / elementCount(dims(0)));
  const epsilon = b.float(numberOf(node, 'epsilon', 1e-5));
  const scale = b.op('Reciprocal', [b.op('Sqrt', [b.op('Add', [variance, epsilon])])]);
  const gain = b.op('Mul', [x[1]!, scale]);
  const sumDy = channelSum(b, dy);
  const sumDyX = channelDot(b, x[0]!, dy);
  const dScale = b.op('Mul', [scale, b.op('Sub', [sumDyX, b.op('Mul', [mean, sumDy])])]);
  return [
    () => {
      const p = b.op('Mul', [b.op('Mul', [gain, scale]), b.op('Mul', [dScale, minus])]);
      const q = b.op('Sub', [b.op('Mul', [b.op('Mul', [gain, sumDy]), minus]), b.op('Mul', [p, mean])]);
      return affine(b, dy, gain, '', { plus: affine(b, x[0]!, p, q) });
    },
    () => dScale,
    () => sumDy,
  ];
};

/** BlockedAverage: the gradient of one pixel, for all. */
export const blockedAverage: Vjp = ({ node, b, dy, dims }) => [
  () => {
    const [n, c, ...size] = dims(0) as [number, number, ...number[]];
    const block = numberOf(node, 'block', 1);
    const pixel = viewed(b, scaled(b, dy, 1 / elementCount(size)), [(n * c) / block, 1, block]);
    const spread = b.op('Expand', [pixel, b.int64([(n * c) / block, elementCount(size), block])]);
    return viewed(b, spread, dims(0));
  },
];

export const reorderInput: Vjp = ({ b, dy, dims }) => [
  () => blockedOp(b, 'ReorderOutput', [dy], { channels: dims(0)[1]! }),
];

export const reorderOutput: Vjp = ({ b, dy }) => [() => blockedOp(b, 'ReorderInput', [dy])];
