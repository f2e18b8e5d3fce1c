/** Optimizers as graph nodes: parameters and their moments go in, and come out updated. */
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

interface OptimizerOptions {
  /** Packed in this order. */
  readonly parameters: readonly Parameter[];
  readonly weightDecay?: number;
}

export interface AdamwOptions extends OptimizerOptions {
  readonly beta1?: number;
  readonly beta2?: number;
  readonly epsilon?: number;
}

export interface SgdOptions extends OptimizerOptions {
  readonly momentum?: number;
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
  const { beta1 = BETA_1, beta2 = BETA_2, epsilon = 1e-8, weightDecay = 0.01 } = options;
  return appendOptimizer('adamw', { ...options, weightDecay }, ({ b, g, decay, state }) => {
    const mul = (x: string, y: string) => b.op('Mul', [x, y]);
    const [correctM, correctV] = b.ops('Split', [b.input('bias_correction', 'float', [2])], {}, [
      b.fresh('m'),
      b.fresh('v'),
    ]);
    const average = (name: string, beta: number, value: string) =>
      state(name, (old) =>
        b.op('Add', [mul(old, b.float(beta)), mul(value, b.float(1 - beta))], {}, `next/${name}`),
      );
    const nextM = average('adam_m', beta1, g);
    const nextV = average('adam_v', beta2, mul(g, g));
    const deviation = b.op('Add', [b.op('Sqrt', [mul(nextV, correctV!)]), b.float(epsilon)]);
    const adam = b.op('Div', [mul(nextM, correctM!), deviation]);
    return decay ? b.op('Add', [adam, decay]) : adam;
  });
}

/**
 * Stochastic gradient descent with Nesterov's momentum (Sutskever et al. 2013, section 2, eqs. 3 and 4) in the form that PyTorch's
 * SGD gives it, whose vector of parameters is the one that gradients are taken at: g ← g + λ·θ; v ← μ·v + g; θ ← θ − η·(g + μ·v).
 * Parameters are one vector [P], as in `adamw`. Inputs: `parameters`, `momentum` [P] (zeros before the first step), `learning_rate` [].
 * Outputs: `next/parameters`, `next/momentum` [P], `gradient_norm` [].
 */
export function sgd(options: SgdOptions): Pass {
  const { momentum = 0.9, weightDecay = 0 } = options;
  return appendOptimizer('sgd', { ...options, weightDecay }, ({ b, g, decay, state }) => {
    const mu = b.float(momentum);
    const decayed = decay ? b.op('Add', [g, decay]) : g;
    const velocity = state('momentum', (old) =>
      b.op('Add', [b.op('Mul', [old, mu]), decayed], {}, 'next/momentum'),
    );
    return b.op('Add', [decayed, b.op('Mul', [velocity, mu])]);
  });
}

/** What a rule of update reads and writes: values of vectors [P]. */
interface Update {
  readonly b: TypedBuilder;
  /** The gradients. */
  readonly g: string;
  /** λ·θ, zero where no decay applies; undefined when it applies nowhere. */
  readonly decay: string | undefined;
  /** A vector `name` that starts at zero and becomes what `next` makes of it, as output `next/<name>`. */
  readonly state: (name: string, next: (old: string) => string) => string;
}

/** `update` gives what θ loses, before it is scaled by the learning rate. */
function appendOptimizer(
  name: string,
  options: OptimizerOptions & { readonly weightDecay: number },
  update: (of: Update) => string,
): Pass {
  const isDone = (graph: Graph) => graph.inputs.some((v) => v.name === 'parameters');
  return {
    name: `append-${name}`,
    run: (graph) => (isDone(graph) ? graph : append(graph, `${name}/`, options, update)),
  };
}

function append(
  graph: Graph,
  prefix: string,
  { parameters, weightDecay }: OptimizerOptions & { readonly weightDecay: number },
  update: (of: Update) => string,
): Graph {
  const tensors = parameters.map((p) => parameterOf(graph, p.name));
  const gradients = new Set(parameters.map((p) => `grad/${p.name}`));
  for (const name of gradients) {
    if (!graph.outputs.some((v) => v.name === name)) throw notAParameter(name, 'no such gradient output');
  }
  const sizes = tensors.map((t) => elementCount(t.dims));
  const total = sizes.reduce((a, s) => a + s, 0);

  const b = new TypedBuilder(prefix, graph);
  const vectors: string[] = [];
  const vector = (name: string) => {
    vectors.push(name);
    return b.input(name, 'float', [total]);
  };
  const theta = vector('parameters');
  const rate = b.input('learning_rate', 'float', []);
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

  const flat = [...gradients].map((g) => b.op('Reshape', [g, b.int64([-1])]));
  const g = b.op('Concat', flat, { axis: 0 });
  b.op('ReduceL2', [g], { keepdims: 0 }, 'gradient_norm');
  const decays = parameters.flatMap((p, i) => new Array<number>(sizes[i]!).fill(p.decay ? weightDecay : 0));
  const decay = decays.some((d) => d) ? b.op('Mul', [theta, b.float(decays)]) : undefined;
  const step = update({ b, g, decay, state: (name, next) => next(vector(name)) });
  b.op('Sub', [theta, b.op('Mul', [step, rate])], {}, 'next/parameters');

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
