/** Pictures at another size, by two constant matrices. */
import type { ImageShape } from '../data/preprocessing.ts';
import type { Resize } from '../data/types.ts';
import { floatTensor } from '../graph/tensor.ts';
import { placed, WEIGHT_BITS, weightsOf } from '../runtime/pixels.ts';
import type { Step } from './steps.ts';

/**
 * Pictures [N, C, H, W] of size `from` at the size of `to`: a MatMul along each axis that changes, whose weights are those of `resized`, which are
 * Pillow's BILINEAR to the bit. Pillow rounds pixels after each axis; here they are not rounded, since nothing says that the original reads whole
 * numbers: a pixel of a CIFAR-10 picture differs by .3 of 255 on average and by 1 at most. `hasBorders`: some pixels of the result are 0, whatever the picture.
 */
export function resizeSteps(
  from: ImageShape,
  to: ImageShape,
  resize: Resize,
): { readonly steps: readonly Step[]; readonly hasBorders: boolean } {
  const [across, down] = [to.width / from.width, to.height / from.height];
  const kept = resize === 'cover' ? Math.max(across, down) : Math.min(across, down);
  const columns = matrixOf(from.width, to.width, resize === 'stretch' ? across : kept);
  const rows = matrixOf(from.height, to.height, resize === 'stretch' ? down : kept);
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

interface Matrix {
  readonly height: number;
  readonly width: number;
  /** [height, width] */
  readonly weights: Float32Array;
}

/** The `to` pixels of a line as sums of the `from` pixels of another, scaled by `scale`: [to, from]. */
function matrixOf(from: number, to: number, scale: number) {
  const place = placed(from, to, scale);
  const { starts, counts, weights, taps } = weightsOf(from, place);
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
