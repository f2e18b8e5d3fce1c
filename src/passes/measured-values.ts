/** Analysis: values that are read for the batch size alone, as exporters look it up once at the input and use it in every Reshape. */
import { numberOf } from '../graph/attributes.ts';
import type { Node } from '../graph/types.ts';
import { nodeReads } from '../graph/walk.ts';
import type { TypedModel } from './exits.ts';
import { constantOf, type Values, valuesOf } from './score-values.ts';

/** Those of `values`, which have the batch as their first axis, of which `nodes` read nothing but how many samples there are. */
export function measuredValues(
  { model, facts }: TypedModel,
  nodes: Iterable<Node>,
  values: readonly string[],
): Set<string> {
  const known = valuesOf(model, facts);
  const readers = new Map<string, Node[]>();
  for (const node of nodes)
    for (const name of new Set(nodeReads(node))) readers.set(name, [...(readers.get(name) ?? []), node]);
  const isCounted = (shape: string) =>
    (readers.get(shape) ?? []).every((node) => takesFirst(known, node, shape));
  const isMeasure = ({ opType, outputs }: Node) => opType === 'Shape' && isCounted(outputs[0]!);
  return new Set(
    values.filter((value) => facts.get(value)?.batchAxis === 0 && readers.get(value)?.every(isMeasure)),
  );
}

/** Whether `node` reads nothing of the vector `shape` but its first number. */
function takesFirst(values: Values, node: Node, shape: string): boolean {
  const [data, first, second, axes, steps] = node.inputs;
  if (data !== shape || node.inputs.lastIndexOf(shape) > 0) return false;
  const is = (name: string | undefined, number: number) =>
    name !== undefined && constantOf(values, name)?.join() === `${number}`;
  if (node.opType === 'Gather') return numberOf(node, 'axis', 0) === 0 && is(first, 0);
  const isPlain = (!axes || is(axes, 0)) && (!steps || is(steps, 1));
  return node.opType === 'Slice' && is(first, 0) && is(second, 1) && isPlain;
}
