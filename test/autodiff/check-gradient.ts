/** The dot-product check: for random v and u, v·(J u) by central differences equals (vᵀJ)·u by the rules. */
import * as assert from 'uvu/assert';
import { differentiate } from '../../src/autodiff/differentiate.ts';
import { enterRows, leaveRows } from '../../src/autodiff/rows-form.ts';
import { type AttributeValue, GraphBuilder, makeModel, makeValue } from '../../src/graph/builder.ts';
import { inferTypes } from '../../src/graph/infer.ts';
import { uniforms } from '../../src/graph/random.ts';
import { elementCount, floatTensor, int64Tensor } from '../../src/graph/tensor.ts';
import type { Graph } from '../../src/graph/types.ts';
import { Session, Tensor } from '../../src/ort/session.ts';
import { dataTypeOf } from '../../src/ort/tensors.ts';
import { runPasses } from '../../src/passes/pass.ts';

export { uniforms as random };

/** Uniform in (-1, 1). */
export const signed = (n: number, seed: number) => {
  const next = uniforms(seed);
  return Float32Array.from({ length: n }, () => 2 * next() - 1);
};

/** Distinct values 0.1 apart, none within 0.05 of 0: no perturbation crosses a kink. */
function apart(n: number, seed: number): Float32Array {
  const next = uniforms(seed);
  const order = Array.from({ length: n }, (_, i) => ({ i, key: next() })).sort((a, b) => a.key - b.key);
  return Float32Array.from(order, ({ i }) => 0.1 * (i - (n >> 1)) + 0.05);
}

/** A differentiable operand: in (-1, 1), in (0.5, 1.5), or apart from kinks and ties. */
export interface Operand {
  readonly dims: readonly number[];
  readonly kind: 'signed' | 'positive' | 'apart';
}

/** Operands; number lists are int64 constants, `undefined` is an omitted input, a number or boolean is a scalar constant. */
export type Input = Operand | readonly number[] | number | boolean | undefined;

export interface Case {
  readonly op: string;
  readonly inputs: readonly Input[];
  readonly attributes?: Record<string, AttributeValue>;
  /** Output names besides the first. */
  readonly more?: readonly string[];
  /** Which outputs the loss reads; the first by default. */
  readonly reads?: readonly number[];
  /** The inputs to differentiate by; all operands by default. */
  readonly wrt?: readonly number[];
  /** Whether maps become rows first, as in training. */
  readonly inRows?: boolean;
}

export const t = (...dims: number[]): Operand => ({ dims, kind: 'signed' });
export const positive = (...dims: number[]): Operand => ({ dims, kind: 'positive' });
export const apartOf = (...dims: number[]): Operand => ({ dims, kind: 'apart' });

const isOperand = (i: Input): i is Operand => typeof i === 'object' && !Array.isArray(i);
const EPSILON = 0.01;

/** Throws unless the rule of `c.op` gives the derivatives that differences show. */
export async function checkGradient(c: Case): Promise<void> {
  const b = new GraphBuilder();
  const operands: { name: string; operand: Operand; at: number }[] = [];
  const names = c.inputs.map((input, at) => {
    if (input === undefined) return '';
    if (typeof input === 'number') return b.float(input);
    if (typeof input === 'boolean') return b.bool(input);
    if (isOperand(input)) {
      operands.push({ name: `x${at}`, operand: input, at });
      return b.input(`x${at}`, 'float', input.dims);
    }
    return b.initializer(int64Tensor(`c${at}`, [input.length], input));
  });
  const outputs = b.ops(c.op, names, c.attributes ?? {}, ['y', ...(c.more ?? [])]);
  const read = (c.reads ?? [0]).map((i) => outputs[i]!);
  const types = inferTypes(b.build('case'));
  const terms = read.map((y) => {
    const v = b.input(`v_${y}`, 'float', types.get(y)!.dims);
    return b.op('ReduceSum', [b.op('Mul', [y, v])], { keepdims: 0 });
  });
  b.op('Sum', terms, {}, 'loss');
  for (const y of read) b.outputs.push(makeValue(y, 'float', types.get(y)!.dims));
  const wanted = operands.filter(({ at }) => c.wrt?.includes(at) ?? true);
  const graph = b.build('case');
  const pass = differentiate({ loss: 'loss', wrt: wanted.map((w) => w.name) });
  const after = runPasses(graph, c.inRows ? [enterRows, pass, leaveRows] : [pass]);

  const values = new Map<string, Float32Array>();
  operands.forEach(({ name, operand, at }) => {
    const n = elementCount(operand.dims);
    const x = operand.kind === 'apart' ? apart(n, 7 + at) : signed(n, 7 + at);
    values.set(name, operand.kind === 'positive' ? x.map((e) => 1 + e / 2) : x);
  });
  for (const y of read) values.set(`v_${y}`, signed(elementCount(types.get(y)!.dims), 99));
  // A seeded Dropout draws another mask with each run of a session.
  const open = () => Session.open(makeModel(after), { threads: 1 });
  const shared = c.op === 'Dropout' ? undefined : await open();
  const run = async (changed = new Map<string, Float32Array>()) => {
    const session = shared ?? (await open());
    const out = await session.run(feedsOf(after, new Map([...values, ...changed])));
    if (!shared) await session.release();
    return out;
  };

  await checkTypes(after, values);
  const base = await run();
  for (const { name, operand } of wanted) {
    const gradient = base[`grad/${name}`]!;
    assert.equal([...gradient.dims], [...operand.dims], `${c.op}: shape of grad/${name}`);
    const u = signed(elementCount(operand.dims), 1234);
    const along = async (step: number) => {
      const moved = values.get(name)!.map((x, i) => x + step * u[i]!);
      const out = await run(new Map([[name, moved]]));
      return read.reduce((sum, y) => sum + dot(out[y]!.data as Float32Array, values.get(`v_${y}`)!), 0);
    };
    const [a, d, e, f] = [
      await along(EPSILON),
      await along(-EPSILON),
      await along(2 * EPSILON),
      await along(-2 * EPSILON),
    ];
    const numeric = (8 * (a - d) - (e - f)) / (12 * EPSILON);
    const data = gradient.data as Float32Array;
    const scale = Math.sqrt(data.reduce((s, g, i) => s + (g * u[i]!) ** 2, 0)) + 1e-2;
    const analytic = dot(data, u);
    const error = Math.abs(numeric - analytic) / scale;
    assert.ok(
      error < 2e-3,
      `${c.op} by input ${name}: differences say ${numeric}, the rule says ${analytic}`,
    );
  }
}

/** Asserts that every value of `graph` has the type that `inferTypes` says, by running it. */
export async function checkTypes(graph: Graph, values: ReadonlyMap<string, Float32Array>): Promise<void> {
  const types = inferTypes(graph);
  const names = [...new Set(graph.nodes.flatMap((n) => n.outputs))];
  const outputs = names.map((name) => ({ name, type: undefined }));
  const session = await Session.open(makeModel({ ...graph, outputs }), {
    threads: 1,
    optimization: 'disabled',
  });
  const out = await session.run(feedsOf(graph, values));
  await session.release();
  const seen = names.map((n) => `${n}: ${dataTypeOf(out[n]!.type)} [${out[n]!.dims}]`);
  assert.equal(
    names.map((n) => `${n}: ${types.get(n)!.dataType} [${types.get(n)!.dims}]`),
    seen,
  );
}

/** Feeds for all inputs of `graph`, whose dims are static. */
export function feedsOf(graph: Graph, values: ReadonlyMap<string, Float32Array>): Record<string, Tensor> {
  const feeds = graph.inputs.map((v) => {
    const dims = v.type!.dims as number[];
    return [
      v.name,
      new Tensor('float32', values.get(v.name) ?? new Float32Array(elementCount(dims)), dims),
    ] as const;
  });
  return Object.fromEntries(feeds);
}

export function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/** Convolutions, normalisation, pooling, two linear heads; cross-entropy plus a squared error. */
export function convHead(dropout = 0): { graph: Graph; parameters: string[] } {
  const b = new GraphBuilder();
  const parameters: string[] = [];
  const parameter = (name: string, dims: number[], centre = 0) => {
    parameters.push(name);
    const values = signed(
      dims.reduce((n, d) => n * d, 1),
      parameters.length,
    ).map((v) => centre + 0.5 * v);
    return b.initializer(floatTensor(name, dims, values));
  };
  let map = b.input('x', 'float', [4, 3, 9, 9]);
  for (const [i, [from, to, stride]] of (
    [
      [3, 4, 2],
      [4, 6, 1],
      [6, 5, 2],
    ] as const
  ).entries()) {
    const spatial = { kernel_shape: [3, 3], pads: [1, 1, 1, 1], strides: [stride, stride] };
    const conv = b.op('Conv', [map, parameter(`conv${i}/weight`, [to, from, 3, 3])], spatial);
    const statistics = [new Array(to).fill(0), new Array(to).fill(1)].map((v, k) =>
      b.initializer(floatTensor(`bn${i}/${k}`, [to], v)),
    );
    const norm = b.op('BatchNormalization', [
      conv,
      parameter(`bn${i}/scale`, [to], 1),
      parameter(`bn${i}/bias`, [to]),
      ...statistics,
    ]);
    map = b.op('Softplus', [norm]);
  }
  const pooled = b.op('Dropout', [b.op('Flatten', [b.op('GlobalAveragePool', [map])]), b.float(dropout)]);
  const logits = b.op('Gemm', [pooled, parameter('fc/weight', [3, 5]), parameter('fc/bias', [3])], {
    transB: 1,
  });
  const gate = b.op('Sigmoid', [
    b.op('Gemm', [pooled, parameter('gate/weight', [1, 5]), parameter('gate/bias', [1])], { transB: 1 }),
  ]);
  const target = b.initializer(floatTensor('target', [4, 3], [1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0]));
  const entropy = b.op('Neg', [
    b.op('ReduceSum', [b.op('Mul', [b.op('LogSoftmax', [logits]), target]), b.int64([1])]),
  ]);
  const square = b.op('Pow', [b.op('Sub', [gate, b.float(0.2)]), b.float(2)]);
  b.op('ReduceMean', [b.op('Add', [entropy, square])], { keepdims: 0 }, 'loss');
  b.output('loss', 'float', []);
  return { graph: b.build('head'), parameters };
}
