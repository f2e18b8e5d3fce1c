/** From the original's numbers to a first network's: normalisation, layout, channels, size, type. */
import { type ImageShape, imageShape } from '../data/preprocessing.ts';
import type { InputSpec, Layout, Preprocessing } from '../data/types.ts';
import { elementCount } from '../graph/tensor.ts';
import { resizeSteps } from './resize-steps.ts';
import { cast, castSteps, nodeStep, reshape, type Step } from './steps.ts';

/** What red, green and blue weigh in grey, as in `lumaOf`, which rounds to whole numbers. */
const LUMA = [19595, 38470, 7471].map((w) => w / 2 ** 16);

/** An input and what its numbers mean. */
export interface Side {
  readonly input: InputSpec;
  readonly preprocessing: Preprocessing;
}

/** value = pixel · gain + offset, of one channel. */
interface Scaling {
  readonly gain: number;
  readonly offset: number;
}

/**
 * What makes `network`'s input from `original`'s; empty when both are the same. Undefined when that cannot be: they are not both pictures, of as
 * many channels or of 1 and 3, and not as many numbers; or one of them does not hold numbers.
 */
export function numberSteps(original: Side, network: Side): readonly Step[] | undefined {
  const [from, to] = [shapeOf(original, network), shapeOf(network, original)];
  const steps = from && to ? pictureSteps(original, from, network, to) : rowSteps(original, network);
  if (!steps) return undefined;
  const type = original.input.dataType;
  const computes = steps.some((step) => step.arithmetic) && type !== 'float';
  const casts = castSteps(computes ? 'float' : type, network.input.dataType);
  return casts && [...(computes ? [cast('float')] : []), ...steps, ...casts];
}

/** The picture that `side` is; numbers that are as many as the other's picture has pixels are one of one channel. */
function shapeOf(side: Side, other: Side): ImageShape | undefined {
  const [shape, like] = [pictureOf(side), pictureOf(other)];
  if (shape || !like || elementCount(side.input.dims) !== like.height * like.width) return shape;
  return { ...like, channels: 1 };
}

function pictureOf({ input, preprocessing }: Side): ImageShape | undefined {
  const shape = imageShape(input.dims, preprocessing.layout);
  const isLine = shape?.channels === 1 && (shape.height === 1 || shape.width === 1);
  return isLine ? undefined : shape;
}

/** Where the channels are; `flat` also for [H, W], which has no axis for them. */
const layoutOf = ({ input, preprocessing }: Side): Layout =>
  input.dims.length === 3 ? preprocessing.layout : 'flat';

function scalingOf({ preprocessing: { scale, mean, std } }: Side, channels: number): Scaling[] {
  return Array.from({ length: channels }, (_, c) => {
    const [m, s] = [mean[c] ?? mean[0]!, std[c] ?? std[0]!];
    return { gain: 1 / (scale * s), offset: -m / s };
  });
}

/** Inputs that are not both pictures: the same numbers in other dims. A picture is read as it lies, row by row or plane by plane. */
function rowSteps(original: Side, network: Side): readonly Step[] | undefined {
  const [from, to] = [original.input.dims, network.input.dims];
  if (elementCount(from) !== elementCount(to)) return undefined;
  const channels = Math.max(original.preprocessing.mean.length, network.preprocessing.mean.length);
  const told = toldScaling(original, network);
  const scaled = (layout: Layout) =>
    scaleSteps(scalingOf(original, channels), scalingOf(network, channels), layout, told);
  const shaped = `${from}` === `${to}` ? [] : [reshape(to, `[${to.join(', ')}]`)];
  return original.preprocessing.mean.length === channels
    ? [...scaled(layoutOf(original)), ...shaped]
    : [...shaped, ...scaled(layoutOf(network))];
}

function pictureSteps(
  original: Side,
  from: ImageShape,
  network: Side,
  to: ImageShape,
): readonly Step[] | undefined {
  const isGreyed = from.channels === 3 && to.channels === 1;
  const isRepeated = from.channels === 1 && to.channels === 3;
  if (from.channels !== to.channels && !isGreyed && !isRepeated) return undefined;
  const [order, wanted] = [original.preprocessing.channels, network.preprocessing.channels];
  const isReversed = from.channels === 3 && to.channels === 3 && (order === 'bgr') !== (wanted === 'bgr');
  const isResized = from.height !== to.height || from.width !== to.width;

  const [first, last] = [layoutOf(original), layoutOf(network)];
  const layout = isGreyed || isResized ? 'NCHW' : isRepeated ? last : first;
  const axis = layout === 'NHWC' ? 3 : 1;
  const moved = first === last ? undefined : last === 'flat' ? `[${network.input.dims.join(', ')}]` : last;

  const steps: Step[] = [];
  let scaling = scalingOf(original, from.channels);
  const scaleTo = (next: readonly Scaling[], told?: string) => {
    steps.push(...scaleSteps(scaling, next, layout, told));
    scaling = [...next];
  };

  const worked = dimsIn(layout, from, original);
  steps.push(...moveSteps(original.input.dims, first, worked, layout, from.channels, moved));
  if (isGreyed) {
    const weights = order === 'bgr' ? LUMA.toReversed() : LUMA;
    steps.push(greyStep(weights.map((w, c) => w / scaling[c]!.gain)));
    scaling = [
      {
        gain: 1,
        offset: weights.reduce((sum, w, c) => sum + (w * scaling[c]!.offset) / scaling[c]!.gain, 0),
      },
    ];
  }
  if (isResized) {
    const { steps: resizing, hasBorders } = resizeSteps(from, to, network.preprocessing);
    // Borders are 0, so 0 must be black while they are added.
    if (hasBorders) scaleTo(scaling.map(() => ({ gain: 1, offset: 0 })));
    steps.push(...resizing);
  }
  if (isReversed) {
    steps.push(nodeStep('Gather', { axis }, (b) => [b.int64([2, 1, 0])], wanted));
    scaling.reverse();
  }
  if (isRepeated) {
    const write: Step['write'] = (b, value) => b.op('Concat', [value, value, value], { axis });
    steps.push({ told: wanted, write });
    scaling = [scaling[0]!, scaling[0]!, scaling[0]!];
  }
  scaleTo(scalingOf(network, to.channels), toldScaling(original, network));
  const made = dimsIn(layout, to, original);
  steps.push(...moveSteps(made, layout, network.input.dims, last, to.channels, moved));
  return steps;
}

/** Dims of one picture of `shape` in `layout`; `side`'s own where that has no channel axis. */
function dimsIn(layout: Layout, { channels, height, width }: ImageShape, side: Side): readonly number[] {
  if (layout === 'flat') return side.input.dims;
  return layout === 'NCHW' ? [channels, height, width] : [height, width, channels];
}

/** A picture of dims `dims` in layout `from` as one of dims `newDims` in layout `to`. */
function moveSteps(
  dims: readonly number[],
  from: Layout,
  newDims: readonly number[],
  to: Layout,
  channels: number,
  told: string | undefined,
): readonly Step[] {
  if (channels === 1) return `${dims}` === `${newDims}` ? [] : [reshape(newDims, told)];
  if (from === to) return [];
  return [nodeStep('Transpose', { perm: to === 'NHWC' ? [0, 2, 3, 1] : [0, 3, 1, 2] }, undefined, told)];
}

/** [N, 3, H, W] → [N, 1, H, W], the sum of the channels weighted. Without padding, so nothing but the picture enters. */
const greyStep = (weights: readonly number[]): Step => ({
  ...nodeStep('Conv', { kernel_shape: [1, 1] }, (b) => [b.float(weights, [1, 3, 1, 1])], 'gray'),
  arithmetic: true,
});

/**
 * A Mul and an Add that bring numbers of scaling `from` to scaling `to`, each only where it changes something; [C] of each. They are never
 * made part of a convolution, whose padding is 0 after them.
 */
function scaleSteps(
  from: readonly Scaling[],
  to: readonly Scaling[],
  layout: Layout,
  told?: string,
): readonly Step[] {
  const factors = to.map(({ gain }, c) => Math.fround(gain / from[c]!.gain));
  const shifts = to.map(({ gain, offset }, c) => {
    const old = from[c]!.offset * (gain / from[c]!.gain);
    const shift = offset - old;
    // Written in two ways, the same normalisation differs in the last bits of a double.
    return Math.abs(shift) <= 1e-12 * (Math.abs(offset) + Math.abs(old)) ? 0 : shift;
  });
  const step = (opType: 'Mul' | 'Add', values: readonly number[]): Step => {
    const isSame = values.every((v) => v === values[0]);
    const dims = isSame ? [] : layout === 'NCHW' ? [values.length, 1, 1] : [values.length];
    const others = (b: Parameters<Step['write']>[0]) => [b.float(isSame ? [values[0]!] : values, dims)];
    return { ...nodeStep(opType, {}, others, told), arithmetic: true };
  };
  return [
    ...(factors.some((f) => f !== 1) ? [step('Mul', factors)] : []),
    ...(shifts.some((s) => s !== 0) ? [step('Add', shifts)] : []),
  ];
}

function toldScaling({ preprocessing: a }: Side, { preprocessing: b }: Side): string {
  const isSame = `${a.mean}` === `${b.mean}` && `${a.std}` === `${b.std}`;
  return isSame ? 'scale' : 'mean and std';
}
