/** A random classifier while it is being built. */
import { GraphBuilder, makeModel, makeValue } from '../../src/graph/builder.ts';
import { elementCount, floatTensor } from '../../src/graph/tensor.ts';
import type { Model, Tensor } from '../../src/graph/types.ts';
import { noise } from '../models.ts';

export interface Recipe {
  readonly opset: number;
  readonly batch: 'N' | 1;
  /** A sample: a map [C, H, W], tokens [L, D], or a vector [F]. */
  readonly input: readonly number[];
  readonly steps: readonly Step[];
  readonly classes: number;
  readonly end: (typeof ENDS)[number] | (typeof ONE_SCORE_ENDS)[number];
  /** How weights are given. */
  readonly weights: 'initializers' | 'inputs' | 'constants';
  /** Whether shapes hold the batch size as the graph measures it at its input, not -1. */
  readonly measured: boolean;
  /** Whether values have names that something might trip over. */
  readonly oddNames: boolean;
  readonly seed: number;
  /** How its input comes: as floats in the shape of `input` where nothing is said. */
  readonly reads?: Reads;
  /** Where a second input of samples, [N, CONTEXT], comes in. */
  readonly context?: 'first' | 'last' | undefined;
  /** Whether the last layer computes in float16, and the scores are float16. */
  readonly half?: boolean;
}

export interface Reads {
  /** Whole numbers are pixels of 0 to 255. */
  readonly dataType: 'float' | 'float16' | 'uint8';
  /** Of a map: whether channels are the last axis. */
  readonly isLast: boolean;
}

/** One thing done to the first value it can be done to, from the `which`-th last on; `other` chooses what else there is to choose. */
export interface Step {
  readonly op: string;
  readonly which: number;
  readonly other: number;
}

/** What stands behind the last layer: `map` is a classifier [N, classes, 1, 1], `both` has logits and softmax as outputs. */
export const ENDS = ['logits', 'softmax', 'log-softmax', 'map', 'reshaped', 'both'] as const;

/** A binary classifier of one score. */
export const ONE_SCORE_ENDS = ['sigmoid', 'logit'] as const;

/** A value with its shape a sample, and where the batch stands between those axes. */
export interface Value {
  readonly name: string;
  readonly dims: readonly number[];
  readonly axis: number;
}

const ODD_NAMES = [
  'constructor', 'toString', 'exit_1', 'const', 'const_1', 'answer/logits', 'answer/index', 'features', 'classifier/weight',
  'logits', 'confidence', 'If', 'two words', 'é/ü', 'Gather', 'exit_index_1', 'value/survivors_1', '0', '-', 'scores/unused', 'memory',
]; // biome-ignore format: a row

/** The output that carries the scores, among others perhaps. */
export const SCORES = 'scores';
export const INPUT = 'x';
export const CONTEXT_INPUT = 'context';
/** Numbers of a sample in the second input. */
export const CONTEXT = 3;

/** A sample of `recipe`'s input as it comes in. */
export const inputDims = ({ input, reads }: Recipe): readonly number[] =>
  reads?.isLast ? [...input.slice(1), input[0]!] : input;

export class Net extends GraphBuilder {
  readonly values: Value[] = [];
  private weightCount = 0;
  private batch: string | undefined;

  constructor(readonly recipe: Recipe) {
    super();
  }

  override fresh(stem: string): string {
    const odd = this.recipe.oddNames ? ODD_NAMES[(this.nodes.length * 7) % ODD_NAMES.length]! : stem;
    return super.fresh(odd);
  }

  get opset(): number {
    return this.recipe.opset;
  }

  /** The input as floats in the shape of the recipe's `input`. */
  sample(): Value {
    const { batch, input, reads, context } = this.recipe;
    const { dataType = 'float', isLast = false } = reads ?? {};
    let name = this.input(INPUT, dataType, [batch, ...inputDims(this.recipe)]);
    if (dataType !== 'float') name = this.op('Cast', [name], { to: 1 });
    if (dataType === 'uint8')
      name = this.op('Mul', [this.op('Sub', [name, this.float(128)]), this.float(1 / 128)]);
    if (isLast) name = this.op('Transpose', [name], { perm: [0, 3, 1, 2] });
    const value = { name, dims: input, axis: 0 };
    if (context === undefined) return value;
    this.input(CONTEXT_INPUT, 'float', [batch, CONTEXT]);
    if (context === 'last') return value;
    const shift = this.gemm({ name: CONTEXT_INPUT, dims: [CONTEXT], axis: 0 }, 1);
    return this.like(value, 'Add', [this.reshaped(shift, Array(input.length).fill(1)).name]);
  }

  /** Numbers that keep the size of what they are multiplied with, `fan` at a time. */
  weight(dims: readonly number[], fan: number): string {
    const scale = 1.6 * Math.sqrt(1 / fan);
    const values = noise(elementCount(dims), this.recipe.seed + 7919 * ++this.weightCount);
    return this.give(
      floatTensor(
        this.fresh(`w${this.weightCount}`),
        dims,
        values.map((v) => v * scale),
      ),
    );
  }

  filled(dims: readonly number[], value: number): string {
    return this.give(
      floatTensor(this.fresh('filled'), dims, new Float32Array(elementCount(dims)).fill(value)),
    );
  }

  /** A constant, in the way that the recipe gives them. */
  give(tensor: Tensor): string {
    if (this.recipe.weights === 'constants')
      return this.op('Constant', [], { value: { ...tensor, name: '' } }, tensor.name);
    this.initializers.push(tensor);
    if (this.recipe.weights === 'inputs')
      this.inputs.push(makeValue(tensor.name, tensor.dataType, tensor.dims));
    return tensor.name;
  }

  /** `value` with something done to it that moves neither shape nor batch. */
  like(value: Value, op: string, inputs: readonly string[] = [], attributes = {}): Value {
    return { ...value, name: this.op(op, [value.name, ...inputs], attributes) };
  }

  reshaped(value: Value, dims: readonly number[]): Value {
    const lead = this.recipe.batch === 'N' ? -1 : 1;
    const shape = this.recipe.measured
      ? this.op('Concat', [this.batchOf(value), this.int64([...dims])], { axis: 0 })
      : this.int64([lead, ...dims]);
    return { name: this.op('Reshape', [value.name, shape]), dims, axis: 0 };
  }

  transposed(value: Value, perm: readonly number[], dims: readonly number[], axis: number): Value {
    return { name: this.op('Transpose', [value.name], { perm }), dims, axis };
  }

  /** The batch size as an int64[1]: measured at `value` when it is first asked for, and remembered. */
  batchOf(value: Value): string {
    this.batch ??= this.op('Gather', [this.op('Shape', [value.name]), this.int64([0])], { axis: 0 });
    return this.batch;
  }

  mean(value: string, axis: number, keepdims: number): string {
    return this.opset < 18
      ? this.op('ReduceMean', [value], { axes: [axis], keepdims })
      : this.op('ReduceMean', [value, this.int64([axis])], { keepdims });
  }

  /** `value` with the batch in front. */
  batchFirst(value: Value): Value {
    if (value.axis === 0) return value;
    const rank = value.dims.length + 1;
    const perm = [value.axis, ...Array.from({ length: rank }, (_, i) => i).filter((i) => i !== value.axis)];
    return this.transposed(value, perm, value.dims, 0);
  }

  conv(value: Value, to: number, kernel: number, stride: number): Value {
    const [from, ...size] = value.dims as [number, number, number];
    const weights = this.weight([to, from, kernel, kernel], from * kernel * kernel);
    const pads = Array<number>(4).fill((kernel - 1) / 2);
    const name = this.op('Conv', [value.name, weights, this.weight([to], 4)], {
      kernel_shape: [kernel, kernel],
      pads,
      strides: [stride, stride],
    });
    return { name, dims: [to, ...size.map((s) => Math.ceil(s / stride))], axis: 0 };
  }

  gemm(value: Value, to: number, as = this.fresh('Gemm')): Value {
    const from = value.dims[0]!;
    const name = this.op(
      'Gemm',
      [value.name, this.weight([to, from], from), this.weight([to], 4)],
      { transB: 1 },
      as,
    );
    return { name, dims: [to], axis: 0 };
  }

  finish(value: Value): Model {
    const { batch, classes, end, opset, half } = this.recipe;
    const type = half ? 'float16' : 'float';
    const out = (name: string, dims: readonly number[]) => this.output(name, type, [batch, ...dims]);
    const front = this.batchFirst(value);
    if (end === 'map') {
      const map = front.dims.length === 3 ? front : this.reshaped(front, [elementCount(front.dims), 1, 1]);
      const pooled = { ...map, name: this.op('GlobalAveragePool', [map.name]), dims: [map.dims[0]!, 1, 1] };
      this.op('Identity', [this.conv(pooled, classes, 1, 1).name], {}, SCORES);
      out(SCORES, [classes, 1, 1]);
      return makeModel(this.build('random'), opset);
    }
    const flat = front.dims.length === 1 ? front : this.reshaped(front, [elementCount(front.dims)]);
    const last = this.recipe.context === 'last' ? this.withContext(flat) : flat;
    const isPlain = end === 'logits' || end === 'logit';
    const to = end === 'logit' || end === 'sigmoid' ? 1 : classes;
    const logits = this.lastLayer(last, to, isPlain ? SCORES : this.fresh('raw'));
    if (end === 'reshaped') this.op('Reshape', [logits.name, this.int64([-1, classes])], {}, SCORES);
    if (end === 'softmax') this.op('Softmax', [logits.name], { axis: 1 }, SCORES);
    if (end === 'both') this.op('Softmax', [logits.name], { axis: 1 }, SCORES);
    if (end === 'log-softmax') this.op('LogSoftmax', [logits.name], { axis: 1 }, SCORES);
    if (end === 'sigmoid') this.op('Sigmoid', [logits.name], {}, SCORES);
    out(SCORES, [to]);
    if (end === 'both') out(logits.name, [classes]);
    return makeModel(this.build('random'), opset);
  }

  private withContext(flat: Value): Value {
    const name = this.op('Concat', [flat.name, CONTEXT_INPUT], { axis: 1 });
    return { ...flat, name, dims: [flat.dims[0]! + CONTEXT] };
  }

  /** A Gemm; in float16 where the recipe says so. */
  private lastLayer(value: Value, to: number, as: string): Value {
    if (!this.recipe.half) return this.gemm(value, to, as);
    const half = (name: string) => this.op('Cast', [name], { to: 10 });
    const from = value.dims[0]!;
    const product = this.op('MatMul', [half(value.name), half(this.weight([from, to], from))]);
    const name = this.op('Add', [product, half(this.weight([to], 4))], {}, as);
    return { ...value, name, dims: [to] };
  }
}
