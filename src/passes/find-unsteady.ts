/** Analysis: operators that, by their definition, answer a sample by the samples beside it, or by chance. */
import { toNumbers } from '../graph/tensor.ts';
import type { Graph, Model, Node, Tensor } from '../graph/types.ts';
import { isDefaultDomain, opsetOf } from '../graph/types.ts';
import { ancestors, dependents, nodeReads, subgraphs } from '../graph/walk.ts';
import { calleeOf, type LocalFunction, readFunctions } from '../parser/functions.ts';
import type { Fact } from './exits.ts';

export interface Unsteady {
  /** Of the graph itself. */
  readonly node: Node;
  /** The operator, and the function or subgraph of `node` that holds it. */
  readonly where: string;
  readonly kind: 'dynamic-quantisation' | 'training-mode' | 'along-the-batch' | 'random';
}

type Kind = Unsteady['kind'];
type Constant = (name: string) => Tensor | undefined;

/** The quantisation parameters are those of the whole tensor: a batch. */
const DYNAMIC_QUANTISATION = new Set([
  'DynamicQuantizeLinear',
  'com.microsoft.DynamicQuantizeMatMul',
  'com.microsoft.DynamicQuantizeLSTM',
]);
const RANDOM = new Set([
  'RandomNormal',
  'RandomNormalLike',
  'RandomUniform',
  'RandomUniformLike',
  'Multinomial',
  'Bernoulli',
]);

/**
 * The first such node, in graph order, that `values` depend on; mixing ones only where they read samples. What goes along the batch axis is
 * known only where `facts` are.
 */
export function findUnsteady(
  model: Model,
  values: readonly string[],
  sampleInputs: readonly string[],
  facts: ReadonlyMap<string, Fact> = new Map(),
): { readonly mixing?: Unsteady; readonly random?: Unsteady } {
  const { graph } = model;
  const functions = new Map(readFunctions(model).map((body) => [body.id, body]));
  const path = ancestors(graph, values);
  const sampled = dependents(graph, sampleInputs);
  const opset = opsetOf(model);
  const constant = constantsOf(graph, () => undefined);
  const found: { mixing?: Unsteady; random?: Unsteady } = {};
  for (const node of graph.nodes) {
    if (!path.has(node)) continue;
    const inside = findInside(node, constant, functions);
    const unsteady: Omit<Unsteady, 'node'> | undefined =
      inside ??
      (goesAlongBatch(node, constant, facts, opset)
        ? { where: node.opType, kind: 'along-the-batch' }
        : undefined);
    if (!unsteady) continue;
    if (unsteady.kind === 'random') found.random ??= { node, ...unsteady };
    else if (nodeReads(node).some((name) => sampled.has(name))) found.mixing ??= { node, ...unsteady };
  }
  return found;
}

/** What a graph's constants are by name: initializers and Constant nodes, or those around it. */
function constantsOf(graph: Pick<Graph, 'nodes'> & Partial<Graph>, outer: Constant): Constant {
  const own = new Map((graph.initializers ?? []).map((tensor) => [tensor.name, tensor]));
  for (const { opType, outputs, attributes } of graph.nodes) {
    if (opType === 'Constant' && attributes.value?.type === 'TENSOR')
      own.set(outputs[0]!, attributes.value.value);
  }
  return (name) => own.get(name) ?? outer(name);
}

/** What `node` is by itself, or has in a subgraph or in the function that it calls. */
function findInside(
  node: Node,
  constant: Constant,
  functions: ReadonlyMap<string, LocalFunction>,
): Omit<Unsteady, 'node'> | undefined {
  const callee = functions.get(calleeOf(node));
  const own = callee ? undefined : kindOf(node, constant);
  if (own) return { where: node.opType, kind: own };
  const within = (graph: Pick<Graph, 'nodes'> & Partial<Graph>, outer: Constant, place: string) => {
    const here = constantsOf(graph, outer);
    for (const inner of graph.nodes) {
      const found = findInside(inner, here, functions);
      if (found) return { ...found, where: `${found.where} in ${place}` };
    }
    return undefined;
  };
  if (callee) return within({ nodes: callee.nodes }, () => undefined, `function ${callee.id}`);
  for (const graph of subgraphs(node)) {
    const found = within(graph, constant, `a branch of ${node.opType}`);
    if (found) return found;
  }
  return undefined;
}

function kindOf(node: Node, constant: Constant): Kind | undefined {
  const { domain, opType, inputs, outputs, attributes } = node;
  const name = isDefaultDomain(domain) ? opType : `${domain}.${opType}`;
  if (DYNAMIC_QUANTISATION.has(name)) return 'dynamic-quantisation';
  if (RANDOM.has(name)) return 'random';
  const numbers = (input: number) => {
    const tensor = constant(inputs[input] ?? '');
    return tensor && !tensor.external ? toNumbers(tensor) : undefined;
  };
  if (name === 'Dropout') return numbers(2)?.[0] === 1 && numbers(1)?.[0] !== 0 ? 'random' : undefined;
  // Before opset 14 its further outputs mean training mode.
  if (name === 'BatchNormalization')
    return attributes.training_mode?.value === 1 || outputs.slice(1).some((output) => output !== '')
      ? 'training-mode'
      : undefined;
  return undefined;
}

/** Whether a float operator reduces or normalises along an axis that is the batch. */
function goesAlongBatch(
  node: Node,
  constant: Constant,
  facts: ReadonlyMap<string, Fact>,
  opset: number,
): boolean {
  if (!isDefaultDomain(node.domain)) return false;
  const fact = facts.get(node.inputs[0] ?? '');
  if (fact?.batchAxis === undefined || !/float|double/.test(fact.dataType)) return false;
  const rank = fact.dims.length;
  const axes = axesOf(node, rank, constant, opset);
  return axes?.some((axis) => (axis < 0 ? axis + rank : axis) === fact.batchAxis) ?? false;
}

/** The axes that `node` goes along; undefined where it is no such operator, or they are not known. */
function axesOf({ opType, inputs, attributes }: Node, rank: number, constant: Constant, opset: number) {
  const every = Array.from({ length: rank }, (_, axis) => axis);
  const from = (axis: number) => every.slice(axis < 0 ? axis + rank : axis);
  const axis = attributes.axis?.value as number | undefined;
  if (opType.startsWith('Reduce')) {
    const tensor = constant(inputs[1] ?? '');
    const given = (attributes.axes?.value as number[] | undefined) ?? (tensor && toNumbers(tensor));
    if (given?.length) return given;
    if (inputs[1] && !tensor) return undefined;
    return attributes.noop_with_empty_axes?.value === 1 ? [] : every;
  }
  switch (opType) {
    case 'Softmax':
    case 'LogSoftmax':
    case 'Hardmax':
      return opset < 13 ? from(axis ?? 1) : [axis ?? -1];
    case 'LpNormalization':
      return [axis ?? -1];
    case 'LayerNormalization':
      return from(axis ?? -1);
    case 'MeanVarianceNormalization':
      return (attributes.axes?.value as number[] | undefined) ?? [0, 2, 3];
    default:
      return undefined;
  }
}
