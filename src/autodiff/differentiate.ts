/** Reverse-mode differentiation: from the loss backwards through the graph, one rule per op (`VJPS`). */
import { gradientMisshapen, lossNotScalar, noGradientRule, noPathToLoss } from '../errors/index.ts';
import { qualifiedOp } from '../graph/attributes.ts';
import { makeValue } from '../graph/builder.ts';
import { TypedBuilder } from '../graph/infer.ts';
import { elementCount } from '../graph/tensor.ts';
import type { Graph, Node } from '../graph/types.ts';
import { ancestors, inOrder } from '../graph/walk.ts';
import type { Pass } from '../passes/pass.ts';
import { sumTo } from './vjp.ts';
import { VJPS } from './vjps.ts';

/** Ops whose outputs are integers, booleans or piecewise constant: no gradient passes. */
const NON_DIFFERENTIABLE: ReadonlySet<string> = new Set([
  'And', 'ArgMax', 'ArgMin', 'Ceil', 'Constant', 'ConstantOfShape', 'Equal', 'Floor', 'Greater', 'GreaterOrEqual', 'Less',
  'LessOrEqual', 'Not', 'OneHot', 'Or', 'Round', 'Shape', 'Sign',
]); // biome-ignore format: a list

/** Name prefix of an Identity node that lets no gradient through. */
const STOP_GRADIENT = 'stop_gradient';

/**
 * Adds an output `grad/<name>` for each initializer or input in `wrt`: the derivative of the one-element float value
 * `loss`, in the shape of <name>. The graph's shapes must be static (see `bindDims`). Gradients stop at integer and
 * boolean values, at `NON_DIFFERENTIABLE` ops and at Identity nodes named `stop_gradient…`.
 * Throws `no-gradient-rule`, `no-path-to-loss`, `loss-not-scalar`, `gradient-misshapen`.
 */
export function differentiate(options: { readonly loss: string; readonly wrt: readonly string[] }): Pass {
  const outputs = options.wrt.map((name) => `grad/${name}`);
  const isDone = (graph: Graph) => outputs.every((name) => graph.outputs.some((v) => v.name === name));
  return {
    name: 'differentiate',
    run: (graph) => (isDone(graph) ? graph : addGradients(graph, options.loss, options.wrt)),
  };
}

function addGradients(graph: Graph, loss: string, wrt: readonly string[]): Graph {
  const builder = new TypedBuilder('grad/', graph);
  const seedType = builder.typeOf(loss);
  if (seedType.dataType !== 'float' || elementCount(seedType.dims) !== 1)
    throw lossNotScalar(loss, `${seedType.dataType} [${seedType.dims.join(', ')}]`);

  const active = activeValues(graph, builder, wrt);
  const path = inOrder(graph, ancestors(graph, [loss])).filter((n) => n.outputs.some((o) => active.has(o)));
  const parts = new Map<string, string[]>([[loss, [builder.float([1], seedType.dims)]]]);

  /** The sum of what has arrived at `value`; undefined when nothing has. */
  const gradientOf = (value: string): string | undefined => {
    const arrived = parts.get(value) ?? [];
    if (arrived.length < 2) return arrived[0];
    const total = builder.op(arrived.length === 2 ? 'Add' : 'Sum', arrived);
    parts.set(value, [total]);
    return total;
  };

  /** `gradient`, broadcast to the shape of `value`. */
  const filled = (gradient: string, value: string): string => {
    const dims = builder.dims(value);
    if (builder.dims(gradient).join() === dims.join()) return gradient;
    const full = builder.op('Expand', [gradient, builder.int64(dims)]);
    parts.set(value, [full]);
    return full;
  };

  for (const node of path.reverse()) {
    const gradients = node.outputs.map(gradientOf);
    if (gradients.every((g) => g === undefined)) continue;
    const [dy, ...others] = gradients;
    const rule = VJPS[qualifiedOp(node)];
    if (!rule) throw noGradientRule(node.opType, node.name);
    if (node.opType !== 'Split' && others.some((g) => g !== undefined))
      throw noGradientRule(`${node.opType} through a later output`, node.name);
    const thunks = rule({
      node,
      b: builder,
      x: node.inputs,
      y: node.outputs,
      get gradients() {
        return gradients.map((g, i) => g && filled(g, node.outputs[i]!));
      },
      get dy() {
        return filled(dy ?? '', node.outputs[0]!);
      },
      looseDy: dy ?? '',
      wants: (i) => active.has(node.inputs[i] ?? ''),
      dims: (i) => builder.dims(node.inputs[i]!),
    });
    node.inputs.forEach((input, i) => {
      if (!active.has(input)) return;
      const thunk = thunks[i];
      if (!thunk) throw noGradientRule(node.opType, node.name, input);
      const gradient = thunk();
      checkGradient(builder, gradient, input, node);
      const part = sumTo(builder, gradient, builder.dims(input));
      parts.set(input, [...(parts.get(input) ?? []), part]);
    });
  }

  const outputs = wrt.map((name) => {
    const gradient = gradientOf(name);
    if (gradient === undefined) throw noPathToLoss(name, loss);
    builder.op('Identity', [filled(gradient, name)], {}, `grad/${name}`);
    return makeValue(`grad/${name}`, 'float', builder.dims(name));
  });
  return {
    ...graph,
    nodes: [...graph.nodes, ...builder.nodes],
    initializers: [...graph.initializers, ...builder.initializers],
    outputs: [...graph.outputs, ...outputs],
  };
}

/** Throws `gradient-misshapen` unless `gradient` is float and broadcasts with the shape of `value`, whose axes stand last. */
function checkGradient(builder: TypedBuilder, gradient: string, value: string, node: Node): void {
  const found = builder.typeOf(gradient);
  const dims = builder.dims(value);
  const extra = found.dims.length - dims.length;
  const fits =
    found.dataType === 'float' &&
    extra >= 0 &&
    dims.every((size, axis) => size === 1 || [1, size].includes(found.dims[axis + extra]!));
  if (!fits) throw gradientMisshapen(node.opType, node.name, value, found, dims);
}

/** The float values that depend on `wrt` in a differentiable way, those included. */
function activeValues(graph: Graph, builder: TypedBuilder, wrt: readonly string[]): ReadonlySet<string> {
  const stops = (node: Node) =>
    NON_DIFFERENTIABLE.has(node.opType) ||
    (node.opType === 'Identity' && node.name.startsWith(STOP_GRADIENT));
  const active = new Set(wrt);
  for (const node of graph.nodes) {
    if (stops(node) || !node.inputs.some((i) => active.has(i))) continue;
    for (const output of node.outputs)
      if (output && builder.typeOf(output).dataType === 'float') active.add(output);
  }
  return active;
}
