/** Softmax and LogSoftmax as single ops and as exporters write them out. */
import { numberOf, numbersOf } from '../graph/attributes.ts';
import { positive } from '../graph/shapes.ts';
import type { Node } from '../graph/types.ts';
import { constantOf, isVector, sameNumber, scalarOf, type Values } from './score-values.ts';

/** Whether a Softmax or LogSoftmax sums over a sample's classes; below opset 13 over all axes from `axis` on. */
export function isOverClasses(values: Values, node: Node, classes: number): boolean {
  const { dims } = values.facts.get(node.inputs[0]!)!;
  const classAxis = dims.indexOf(classes, 1);
  const axis = positive(numberOf(node, 'axis', values.opset < 13 ? 1 : -1), dims.length);
  return values.opset < 13 ? axis >= 1 && axis <= classAxis : axis === classAxis;
}

/** Whether Softmax `node` goes along the first axis, which counts samples. */
export function isOverSamples(values: Values, node: Node): boolean {
  const { dims } = values.facts.get(node.inputs[0]!)!;
  return positive(numberOf(node, 'axis', values.opset < 13 ? 1 : -1), dims.length) === 0;
}

/** A Softmax written out, e / ReduceSum(e) with e = Exp(z) or Exp(z - ReduceMax(z)): z. */
export function exponentOf(
  values: Values,
  { inputs: [top = '', bottom = ''] }: Node,
  classes: number,
): string | undefined {
  const exp = values.producer.get(top);
  const sum = values.producer.get(sameNumber(values, bottom));
  if (exp?.opType !== 'Exp' || !reduces(values, sum, 'ReduceSum', top, classes)) return undefined;
  return unshifted(values, exp.inputs[0]!, classes);
}

/** A LogSoftmax written out, z - ReduceLogSumExp(z), or z - Log(ReduceSum(Exp(z))): z. */
export function lessLogSum(
  values: Values,
  { inputs: [z = '', less = ''] }: Node,
  classes: number,
): string | undefined {
  const log = values.producer.get(sameNumber(values, less));
  const sum = log && values.producer.get(sameNumber(values, log.inputs[0]!));
  const exp = sum && values.producer.get(sum.inputs[0]!);
  const isWritten =
    log?.opType === 'Log' &&
    exp?.opType === 'Exp' &&
    exp.inputs[0] === z &&
    reduces(values, sum, 'ReduceSum', exp.outputs[0]!, classes);
  return isWritten || reduces(values, log, 'ReduceLogSumExp', z, classes)
    ? unshifted(values, z, classes)
    : undefined;
}

/** `value` before each sample's largest was taken off, if it was. */
function unshifted(values: Values, value: string, classes: number): string {
  const less = values.producer.get(value);
  const largest =
    less?.opType === 'Sub' ? values.producer.get(sameNumber(values, less.inputs[1]!)) : undefined;
  return reduces(values, largest, 'ReduceMax', less?.inputs[0] ?? '', classes) ? less!.inputs[0]! : value;
}

/** Whether `node` reduces `value` over its classes and nothing else. */
function reduces(
  values: Values,
  node: Node | undefined,
  op: string,
  value: string,
  classes: number,
): boolean {
  if (node?.opType !== op || node.inputs[0] !== value) return false;
  const { dims } = values.facts.get(value)!;
  const axes = numbersOf(node, 'axes', undefined) ?? constantOf(values, node.inputs[1] ?? '');
  const classAxis = dims.indexOf(classes, 1);
  return axes?.length === 1 && positive(axes[0]!, dims.length) === classAxis;
}

/** [1 - p, p] with p the Sigmoid of one number z, which is the Softmax of [0, z]: z. */
export function sigmoidPair(
  values: Values,
  { inputs, attributes: { axis } }: Node,
  classes: number,
): string | undefined {
  const [other, p = ''] = inputs.map((name) => sameNumber(values, name));
  const sigmoid = values.producer.get(p);
  const less = values.producer.get(other ?? '');
  const isBoth =
    classes === 2 &&
    inputs.length === 2 &&
    (axis?.value === 1 || axis?.value === -1) &&
    sigmoid?.opType === 'Sigmoid' &&
    less?.opType === 'Sub' &&
    scalarOf(values, less.inputs[0]!) === 1 &&
    sameNumber(values, less.inputs[1]!) === p;
  return isBoth && isVector(values.facts.get(sigmoid.inputs[0]!), 1) ? sigmoid.inputs[0] : undefined;
}
