/** Gradients of the normalisations, in closed form. */

import { numberOf } from '../graph/attributes.ts';
import { float } from '../graph/builder.ts';
import type { TypedBuilder } from '../graph/infer.ts';
import { positive } from '../graph/shapes.ts';
import { elementCount } from '../graph/tensor.ts';
import type { Vjp } from './vjp.ts';

/**
 * BatchNormalization over [N, C, ...]. With batch statistics (Ioffe & Szegedy 2015, section 3):
 * dx = γ·s·(dy − mean(dy) − x̂·mean(dy·x̂)), s = 1/√(var + ε), x̂ = s·(x − mean). Training nodes need momentum 0, so
 * that their second and third outputs are the batch's own mean and variance (see `trainingForm`).
 */
export const batchNormalization: Vjp = ({ node, b, x, y, dy, dims, wants }) => {
  const training = numberOf(node, 'training_mode', 0) === 1;
  const [mean, variance] = training ? [y[1]!, y[2]!] : [x[3]!, x[4]!];
  const c = dims(1)[0]!;
  const axes = b.int64(dims(0).flatMap((_, i) => (i === 1 ? [] : [i])));
  const column = b.int64([
    c,
    ...dims(0)
      .slice(2)
      .map(() => 1),
  ]);
  const perChannel = (value: string) => b.op('Reshape', [value, column]);
  const total = (value: string) => b.op('Reshape', [b.op('ReduceSum', [value, axes]), b.int64([c])]);
  const scale = inverseDeviation(b, variance, numberOf(node, 'epsilon', 1e-5));
  const gain = b.op('Mul', [x[1]!, scale]);
  const count = elementCount(dims(0)) / c;

  const statistics = training || wants(1);
  const sumDy = total(dy);
  const sumDyX = statistics ? total(b.op('Mul', [dy, x[0]!])) : '';
  const dScale = statistics ? b.op('Mul', [scale, b.op('Sub', [sumDyX, b.op('Mul', [mean, sumDy])])]) : '';
  return [
    () => {
      const first = b.op('Mul', [dy, perChannel(gain)]);
      if (!training) return first;
      // dx = gain·dy + p·x + q, with everything per channel gathered into p and q.
      const p = b.op('Mul', [gain, b.op('Mul', [b.op('Mul', [dScale, scale]), b.float(-1 / count)])]);
      const q = b.op('Sub', [
        b.op('Mul', [b.op('Mul', [gain, sumDy]), b.float(-1 / count)]),
        b.op('Mul', [p, mean]),
      ]);
      if (dims(0).length === 2) return b.op('Add', [first, b.op('Add', [b.op('Mul', [x[0]!, p]), q])]);
      // An affine map per channel in one pass over x: BatchNormalization with mean 0, variance 1 and ε 0.
      const unit = [b.float(new Array<number>(c).fill(0)), b.float(new Array<number>(c).fill(1))];
      const rest = b.op('BatchNormalization', [x[0]!, p, q, ...unit], { epsilon: float(0) });
      return b.op('Add', [first, rest]);
    },
    () => dScale,
    () => sumDy,
  ];
};

/** 1 / √(variance + ε) */
const inverseDeviation = (b: TypedBuilder, variance: string, epsilon: number) =>
  b.op('Reciprocal', [b.op('Sqrt', [b.op('Add', [variance, b.float(epsilon)])])]);

/** LayerNormalization over the axes from `axis` on (Ba et al. 2016, eq. 4): as BatchNormalization, per sample. */
export const layerNormalization: Vjp = ({ node, b, x, dy, dims }) => {
  const rank = dims(0).length;
  const from = positive(numberOf(node, 'axis', -1), rank);
  const axes = dims(0).flatMap((_, i) => (i >= from ? [i] : []));
  const mean = (value: string) => b.op('ReduceMean', [value], { axes });
  const centred = b.op('Sub', [x[0]!, mean(x[0]!)]);
  const variance = mean(b.op('Mul', [centred, centred]));
  const scale = inverseDeviation(b, variance, numberOf(node, 'epsilon', 1e-5));
  const normal = b.op('Mul', [centred, scale]);
  return [
    () => {
      const g = b.op('Mul', [dy, x[1]!]);
      const along = b.op('Mul', [normal, mean(b.op('Mul', [g, normal]))]);
      return b.op('Mul', [scale, b.op('Sub', [b.op('Sub', [g, mean(g)]), along])]);
    },
    () => b.op('Mul', [dy, normal]),
    () => dy,
  ];
};
