/** The optimizer as graph nodes: parameters and their moments go in, and come out updated. */
import { notAParameter } from '../errors/index.ts';
import { makeValue } from '../graph/builder.ts';
import { TypedBuilder } from '../graph/infer.ts';
import { elementCount, floatTensor, toFloat32Array } from '../graph/tensor.ts';
import type { Graph, Tensor } from '../graph/types.ts';
import type { Pass } from '../passes/pass.ts';

export interface Parameter {
  /** Name of a float initializer. */
  readonly name: string;
  /** Whether weight decay applies: to weights, not to biases and scales. */
  readonly decay: boolean;
}

export interface AdamwOptions {
  /** Packed in this order. */
  readonly parameters: readonly Parameter[];
  readonly beta1?: number;
  readonly beta2?: number;
  readonly epsilon?: number;
  readonly weightDecay?: number;
}

const BETA_1 = 0.9;
const BETA_2 = 0.999;

/**
 * Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2, lines 6–12, with α = 1 and η the learning rate):
 * θ ← θ − η·(m̂ / (√v̂ + ε) + λ·θ). All parameters live in one vector [P]: a dozen nodes and three state tensors, however many
 * parameters. Consumes the outputs `grad/<name>`; the initializers turn into slices of the vector.
 * Inputs: `parameters`, `adam_m`, `adam_v` [P], `learning_rate` [], `bias_correction` [2] (see `biasCorrection`).
 * Outputs: `next/parameters`, `next/adam_m`, `next/adam_v` [P], `gradient_norm` [] (NaN or infinite once anything diverged).
 */
export function adamw(options: AdamwOptions): Pass {
  return {
    name: 'append-adamw',
    run: (graph) => (graph.inputs.some((v) => v.name === 'parameters') ? graph : appendAdamw(graph, options)),
  };
}

function appendAdamw(graph: Graph, options: AdamwOptions): Graph {
  const { parameters, beta1 = BETA_1, beta2 = BETA_2, epsilon = 1e-8, weightDecay = 0.01 } = options;
  const tensors = parameters.map((p) => parameterOf(graph, p.name));
  const gradients = new Set(parameters.map((p) => `grad/${p.name}`));
  for (const name of gradients) {
    if (!graph.outputs.some((v) => v.name === name)) throw notAParameter(name, 'no such gradient output');
  }
  const sizes = tensors.map((t) => elementCount(t.dims));
  const total = sizes.reduce((a, s) => a + s, 0);

  const b = new TypedBuilder('adamw/', graph);
  const vectors = ['parameters', 'adam_m', 'adam_v'].map((name) => b.input(name, 'float', [total]));
  const [theta, m, v] = vectors as [string, string, string];
  const rate = b.input('learning_rate', 'float', []);
  const [correctM, correctV] = b.ops('Split', [b.input('bias_correction', 'float', [2])], {}, [
    b.fresh('m'),
    b.fresh('v'),
  ]);

  const slices = b.ops(
    'Split',
    [theta, b.int64(sizes)],
    {},
    sizes.map(() => b.fresh('slice')),
  );
  tensors.forEach((t, i) => {
    b.op('Reshape', [slices[i]!, b.int64(t.dims)], {}, t.name);
  });
  const unpacking = b.nodes.splice(0);

  const mul = (x: string, y: string) => b.op('Mul', [x, y]);
  const flat = [...gradients].map((g) => b.op('Reshape', [g, b.int64([-1])]));
  const g = b.op('Concat', flat, { axis: 0 });
  b.op('ReduceL2', [g], { keepdims: 0 }, 'gradient_norm');
  const average = (old: string, beta: number, value: string, as: string) =>
    b.op('Add', [mul(old, b.float(beta)), mul(value, b.float(1 - beta))], {}, as);
  const nextM = average(m, beta1, g, 'next/adam_m');
  const nextV = average(v, beta2, mul(g, g), 'next/adam_v');
  const deviation = b.op('Add', [b.op('Sqrt', [mul(nextV, correctV!)]), b.float(epsilon)]);
  const adam = b.op('Div', [mul(nextM, correctM!), deviation]);
  const decays = parameters.flatMap((p, i) => new Array<number>(sizes[i]!).fill(p.decay ? weightDecay : 0));
  const step = decays.some((d) => d) ? b.op('Add', [adam, mul(theta, b.float(decays))]) : adam;
  b.op('Sub', [theta, mul(step, rate)], {}, 'next/parameters');

  const trained = new Set(tensors.map((t) => t.name));
  return {
    ...graph,
    nodes: [...unpacking, ...graph.nodes, ...b.nodes],
    initializers: [...graph.initializers.filter((t) => !trained.has(t.name)), ...b.initializers],
    inputs: [...graph.inputs.filter((i) => !trained.has(i.name)), ...b.inputs],
    outputs: [
      ...graph.outputs.filter((o) => !gradients.has(o.name)),
      ...vectors.map((name) => makeValue(`next/${name}`, 'float', [total])),
      makeValue('gradient_norm', 'float', []),
    ],
  };
}

/** `bias_correction` of step 1, 2, …: [1 / (1 − β1^step), 1 / (1 − β2^step)]. */
export function biasCorrection(step: number, beta1 = BETA_1, beta2 = BETA_2): Float32Array {
  return Float32Array.of(1 / (1 - beta1 ** step), 1 / (1 - beta2 ** step));
}

/** The float initializers `names` of `graph`, one after the other. [P] */
export function packParameters(graph: Graph, names: readonly string[]): Float32Array {
  const values = names.map((name) => toFloat32Array(parameterOf(graph, name)));
  const packed = new Float32Array(values.reduce((sum, v) => sum + v.length, 0));
  let at = 0;
  for (const v of values) {
    packed.set(v, at);
    at += v.length;
  }
  return packed;
}

/** `graph` with the contents of its initializers `names` taken from `packed` [P]. */
export function unpackParameters(graph: Graph, names: readonly string[], packed: Float32Array): Graph {
  const tensors = names.map((name) => parameterOf(graph, name));
  const total = tensors.reduce((sum, t) => sum + elementCount(t.dims), 0);
  if (total !== packed.length)
    throw notAParameter(names.join(', '), `${total} elements, but the vector has ${packed.length}`);
  const values = new Map<string, Tensor>();
  let at = 0;
  for (const { name, dims } of tensors) {
    const end = at + elementCount(dims);
    values.set(name, floatTensor(name, dims, packed.slice(at, end)));
    at = end;
  }
  return { ...graph, initializers: graph.initializers.map((t) => values.get(t.name) ?? t) };
}

function parameterOf(graph: Graph, name: string): Tensor {
  const tensor = graph.initializers.find((t) => t.name === name);
  if (tensor?.dataType !== 'float')
    throw notAParameter(name, tensor ? `it is ${tensor.dataType}` : 'no such initializer');
  return tensor;
}
