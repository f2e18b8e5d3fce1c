/** Analysis: weights that are no numbers. */
import { toFloat32Array, toNumbers } from '../graph/tensor.ts';
import type { Model, Tensor } from '../graph/types.ts';
import { readFunctions } from '../parser/functions.ts';
import { tensorsOf, withBytes } from '../parser/index.ts';

const FLOATS = ['float', 'float16', 'bfloat16', 'double'];

/**
 * In words, which tensor of `model` holds NaN, or else infinite numbers; undefined where none does. Infinite ones may be meant (of masks), so this
 * says why scores are none, not whether. `folder`: of external data.
 */
export async function describeNotFinite(model: Model, folder = '.'): Promise<string | undefined> {
  let infinite: string | undefined;
  for (const tensor of tensorsOf(model.graph, readFunctions(model))) {
    if (!FLOATS.includes(tensor.dataType)) continue;
    const values = await valuesOf(tensor, folder);
    if (values?.some(Number.isNaN)) return `${tensor.name} holds NaN`;
    if (infinite === undefined && values?.some((value) => !Number.isFinite(value)))
      infinite = `${tensor.name} holds infinite numbers`;
  }
  return infinite;
}

/** Undefined where they cannot be read: that is said elsewhere. */
const valuesOf = async (tensor: Tensor, folder: string): Promise<Float32Array | number[] | undefined> => {
  try {
    const whole = await withBytes(tensor, folder);
    return whole.dataType === 'float' ? toFloat32Array(whole) : toNumbers(whole);
  } catch {
    return undefined;
  }
};
