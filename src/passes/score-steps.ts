/** What models do to scores between an activation and the output: clip, scale, shift, log, round. */
import { numberOf } from '../graph/attributes.ts';
import { elementCount } from '../graph/tensor.ts';
import type { Node } from '../graph/types.ts';
import type { Activation } from './exits.ts';
import { isVector, scalarOf, type Values } from './score-values.ts';

/** What happens to scores on their way from an activation to the output. */
export type Step =
  | { readonly does: 'clip'; readonly low: number; readonly high: number }
  | { readonly does: 'scale'; readonly by: number }
  | { readonly does: 'shift'; readonly by: number }
  | { readonly does: 'log' }
  | { readonly does: 'round' };

/** This far from exact, probabilities are still called a Softmax's. */
const EXACT = 1e-6;
/** What is added to probabilities so that their logarithm exists. */
const EPSILON = 1e-3;

/** What scores are after `step`; undefined where another class could become the largest, or where no `Activation` names the result. */
export function activationAfter(activation: Activation, step: Step, classes: number): Activation | undefined {
  const isSoft = activation === 'softmax' || activation === 'scaled-softmax';
  switch (step.does) {
    case 'log':
      return activation === 'softmax' ? 'log-softmax' : undefined;
    case 'round':
      return activation === 'softmax' ? 'scaled-softmax' : activation;
    case 'scale':
      if (step.by === 1) return activation;
      return isSoft && step.by > 0 ? 'scaled-softmax' : undefined;
    case 'shift':
      if (step.by === 0) return activation;
      if (activation !== 'softmax' || Math.abs(step.by) > EPSILON) return undefined;
      return Math.abs(step.by) <= EXACT ? activation : 'scaled-softmax';
    case 'clip': {
      const { low, high } = step;
      if (activation === 'sigmoid') return low < 0.5 && high > 0.5 ? activation : undefined;
      // The largest probability is at least 1 / classes, and no two are above a half.
      const [least, half] = [1 / classes, 0.5];
      if (activation === 'log-softmax')
        return low <= Math.log(least) && high >= Math.log(half) ? activation : undefined;
      if (activation !== 'softmax' || low > least || high < half) return undefined;
      return low <= EXACT && high >= 1 - EXACT ? activation : 'scaled-softmax';
    }
  }
}

/** What `node` does to every score, and the value it reads; undefined where it does something else. */
export function stepOf(
  values: Values,
  node: Node,
  classes: number,
): (Step & { readonly from: string }) | undefined {
  const [x = '', y = ''] = node.inputs;
  const from = (value: string) => (isVector(values.facts.get(value), classes) ? value : undefined);
  const step = <S extends Step>(made: S, value: string) => {
    const read = from(value);
    return read === undefined ? undefined : { ...made, from: read };
  };
  switch (node.opType) {
    case 'Log':
      return step({ does: 'log' }, x);
    case 'Clip': {
      const bound = (name: 'min' | 'max', at: number, open: number) =>
        node.inputs[at] ? scalarOf(values, node.inputs[at]!) : numberOf(node, name, open);
      const low = bound('min', 1, Number.NEGATIVE_INFINITY);
      const high = bound('max', 2, Number.POSITIVE_INFINITY);
      return low === undefined || high === undefined ? undefined : step({ does: 'clip', low, high }, x);
    }
    case 'DequantizeLinear': {
      const rounded = values.producer.get(x);
      const isWhole =
        rounded?.opType === 'QuantizeLinear' && elementCount(values.facts.get(y)?.dims ?? []) === 1;
      return isWhole ? step({ does: 'round' }, rounded.inputs[0]!) : undefined;
    }
    case 'Mul':
    case 'Add': {
      const [value, by] =
        scalarOf(values, y) === undefined ? [y, scalarOf(values, x)] : [x, scalarOf(values, y)];
      if (by === undefined) return undefined;
      return step(node.opType === 'Mul' ? { does: 'scale', by } : { does: 'shift', by }, value);
    }
    case 'Div':
    case 'Sub': {
      const by = scalarOf(values, y);
      if (by === undefined) return undefined;
      return step(node.opType === 'Div' ? { does: 'scale', by: 1 / by } : { does: 'shift', by: -by }, x);
    }
    case 'Neg':
      return step({ does: 'scale', by: -1 }, x);
    default:
      return undefined;
  }
}
