/** Pictures at another size, by two constant matrices. */
import type { ImageShape } from '../data/preprocessing.ts';
import { isPointSampling } from '../data/resample.ts';
import type { Preprocessing, Resample } from '../data/types.ts';
import { floatTensor } from '../graph/tensor.ts';
import { type Filter, WEIGHT_BITS, weightsOf } from '../runtime/pixels.ts';
import { type Placed, placed } from '../runtime/place.ts';
import type { Step } from './steps.ts';

/**
 * Pictures [N, C, H, W] of size `from` at the size of `to`: a MatMul along each axis that changes, whose weights are those of `resized`, which are
 * Pillow's BILINEAR to the bit. Pillow rounds pixels after each axis; here they are not rounded, since nothing says that the original reads whole
 * numbers: a pixel of a CIFAR-10 picture differs by .3 of 255 on average and by 1 at most. What samples at points in pictures does not do so
 * here, where the filter of that name stands for it. `hasBorders`: some pixels of the result are 0, whatever the picture.
 */
export function resizeSteps(
  from: ImageShape,
  to: ImageShape,
  { resize = 'stretch', resample = 'bilinear' }: Pick<Preprocessing, 'resize' | 'resample'>,
): { readonly steps: readonly Step[]; readonly hasBorders: boolean } {
  const { x, y } = placed(from, to, resize);
  const filter = filterOf(resample);
  const columns = matrixOf(from.width, to.width, x, filter);
  const rows = matrixOf(from.height, to.height, y, filter);
  const step = (matrix: Matrix, isLeft: boolean): Step => ({
    told: `${from.height}×${from.width} → ${to.height}×${to.width}`,
    arithmetic: true,
    write(b, value) {
      const { height, width, weights } = isLeft ? matrix : transposed(matrix);
      const name = b.fresh('weights');
      b.initializers.push(floatTensor(name, [height, width], weights));
      return b.op('MatMul', isLeft ? [name, value] : [value, name]);
    },
  });
  return {
    steps: [
      ...(columns.isIdentity ? [] : [step(columns, false)]),
      ...(rows.isIdentity ? [] : [step(rows, true)]),
    ],
    hasBorders: columns.hasBorders || rows.hasBorders,
  };
}

function filterOf(resample: Resample): Filter {
  if (!isPointSampling(resample)) return resample;
  return resample === 'affine-bicubic' ? 'bicubic' : 'bilinear';
}

interface Matrix {
  readonly height: number;
  readonly width: number;
  /** [height, width] */
  readonly weights: Float32Array;
}

/** The `to` pixels of a line as sums of the `from` pixels of another, of which `place` keeps a part: [to, from]. */
function matrixOf(from: number, to: number, place: Placed, filter: Filter) {
  const { starts, counts, weights, taps } = weightsOf(from, place, filter);
  const matrix = new Float32Array(to * from);
  for (let i = 0; i < place.size; i++) {
    const row = (place.border + i) * from + starts[i]!;
    for (let j = 0; j < counts[i]!; j++) matrix[row + j] = weights[i * taps + j]! / 2 ** WEIGHT_BITS;
  }
  const isIdentity = from === to && place.whole === to;
  return { height: to, width: from, weights: matrix, isIdentity, hasBorders: place.size < to };
}

function transposed({ height, width, weights }: Matrix): Matrix {
  const turned = weights.map((_, i) => weights[(i % height) * width + Math.floor(i / height)]!);
  return { height: width, width: height, weights: turned };
}
