/** Which output carries the class scores, where in the graph they are still logits, and what lies between. */
import {
  ambiguousOutput,
  NOT_A_TENSOR,
  noClassScores,
  noLogits,
  notClassScores,
  type OfframpError,
  oneScore,
  severalLabels,
  unknownOutput,
} from '../errors/index.ts';
import { numberOf, numbersOf, positive } from '../graph/infer.ts';
import { elementCount, toNumbers } from '../graph/tensor.ts';
import { type DataType, type Model, type Node, opsetOf, type Tensor } from '../graph/types.ts';
import { indexGraph } from '../graph/walk.ts';
import type { Activation, Fact, TypedModel } from './exits.ts';

export interface Classifier extends Pick<TypedModel, 'output' | 'classes' | 'activation'> {
  /** Where exits merge; one number a sample when `isOneScore`. */
  readonly logits: string;
  /** `logits` is z of a binary classifier, whose logits are [0, z]. */
  readonly isOneScore: boolean;
}

/** A float of `count` numbers a sample that all lie along one axis: [N, count] or [N, 1, 1, count], say. */
function isVector(fact: Fact | undefined, count: number): boolean {
  if (fact?.batchAxis !== 0 || fact.batchTrouble) return false;
  if (fact.dataType !== 'float' && fact.dataType !== 'float16') return false;
  const own = fact.dims.slice(1);
  return elementCount(own) === count && (count === 1 || own.includes(count));
}

/** Number of classes when `fact` looks like one vector of scores a sample: [N, C] or [N, C, 1, 1]; else undefined. */
function classesOf(fact: Fact | undefined): number | undefined {
  const classes = fact?.dims[1];
  return classes !== undefined && classes > 1 && isVector(fact, classes) ? classes : undefined;
}

/**
 * Finds the classifier's output, its logits, and what lies between. `wanted` names the output; needed only when several carry scores, and
 * for the logit of a binary classifier, which could be anything else. Throws `no-class-scores`, `ambiguous-output`, `unknown-output`,
 * `one-score`, and for outputs that are made of logits in another way `several-labels`, `not-class-scores` and `no-logits`.
 */
export function findClassifier(model: Model, facts: ReadonlyMap<string, Fact>, wanted?: string): Classifier {
  const names = model.graph.outputs.map((v) => v.name);
  if (wanted !== undefined && !names.includes(wanted)) throw unknownOutput(wanted, names);
  const asked = wanted === undefined ? names : [wanted];
  const endings = new Endings(model, facts);
  const scored = asked.flatMap((output) => {
    const classes = classesOf(facts.get(output));
    return classes === undefined ? [] : [{ output, classes, ending: endings.of(output, classes) }];
  });
  const usual = scored.filter(({ ending }) => !('refusal' in ending && ending.isDecision));
  if (usual.length > 1) throw ambiguousOutput(usual.map(({ output }) => output));
  const [found] = usual.length > 0 ? usual : scored;
  if (found) {
    const { output, classes, ending } = found;
    if ('refusal' in ending) throw ending.refusal;
    return { output, classes, isOneScore: false, ...ending };
  }
  return findOneScore(asked, facts, endings, wanted);
}

/** A binary classifier's only score: of what a Sigmoid ends in, or of what is asked for by name. */
function findOneScore(
  asked: readonly string[],
  facts: ReadonlyMap<string, Fact>,
  endings: Endings,
  wanted: string | undefined,
): Classifier {
  const single = asked.filter((name) => isVector(facts.get(name), 1));
  const known = single.map((output) => ({ output, ending: endings.of(output, 1) }));
  const sigmoids = known.filter(({ ending }) => 'activation' in ending && ending.activation === 'sigmoid');
  if (sigmoids.length > 1) throw ambiguousOutput(sigmoids.map(({ output }) => output));
  const [found] = sigmoids.length > 0 ? sigmoids : known;
  if (!found) {
    throw noClassScores(
      asked.map((n) => `${n}: ${facts.get(n)?.dataType ?? NOT_A_TENSOR} [${facts.get(n)?.dims ?? '?'}]`),
    );
  }
  const { output, ending } = found;
  if ('refusal' in ending) throw ending.refusal;
  if (ending.activation === 'none' && wanted === undefined) throw oneScore(output);
  const activation = ending.activation === 'none' ? 'logit' : ending.activation;
  return { output, classes: 2, logits: ending.logits, activation, isOneScore: true };
}

/** Whether `output` ends in what makes a decision, so that another output may hold the scores. */
interface Refused {
  readonly refusal: OfframpError;
  readonly isDecision: boolean;
}
interface Found {
  readonly logits: string;
  readonly activation: Activation;
  readonly isOneScore?: boolean;
}
type Ending = Found | Refused;

/** Ops whose result holds the numbers of their first input, in its order. */
const SAME = new Set([
  'Identity',
  'Cast',
  'Reshape',
  'Squeeze',
  'Unsqueeze',
  'Flatten',
  'Dropout',
  'Transpose',
]);
/** Ops that bend single numbers: what comes out is no logit. */
const BENDING = new Set([
  'Celu', 'Clip', 'Elu', 'Erf', 'Exp', 'FastGelu', 'Gelu', 'HardSigmoid', 'HardSwish', 'LeakyRelu', 'Log', 'LpNormalization', 'Mish',
  'PRelu', 'QuickGelu', 'Relu', 'Selu', 'Sigmoid', 'Sign', 'Softplus', 'Softsign', 'Swish', 'Tanh', 'ThresholdedRelu', 'Floor', 'Ceil',
  'Round',
]); // biome-ignore format: a list
/** Ops that leave of all scores only which are the largest. */
const DECIDING = new Set([
  'TopK',
  'Hardmax',
  'ArgMax',
  'ArgMin',
  'OneHot',
  'NonMaxSuppression',
  'Multinomial',
  'Bernoulli',
]);
/** Ops that make probabilities, and nothing of which can be told before: com.microsoft's in int8, and ai.onnx.ml's. */
const CLOSED = new Set(['QLinearSoftmax', 'QLinearSigmoid', 'SVMClassifier', 'TreeEnsembleClassifier']);
const SOFT = new Set(['Softmax', 'LogSoftmax']);
/** Ops that make probabilities, and the one that they are written out with. */
const SQUASHING = new Set([...SOFT, 'Sigmoid', 'HardSigmoid', 'Exp']);
/** Ops through which probabilities go on being something like it: a mean of several models' is none of logits. */
const MIXING = new Set([
  ...SAME, 'Add', 'Sub', 'Mul', 'Div', 'Neg', 'Sum', 'Mean', 'Max', 'Min', 'Clip', 'Log', 'Pow', 'Sqrt', 'Reciprocal', 'Concat', 'Split', 'Slice',
  'Gather', 'Where', 'Expand', 'Tile', 'Pad', 'ReduceMean', 'ReduceSum', 'ReduceMax', 'ReduceMin', 'ReduceProd', 'ReduceLogSumExp',
  'GlobalAveragePool', 'GlobalMaxPool', 'AveragePool', 'MaxPool', 'QuantizeLinear', 'DequantizeLinear', 'ArrayFeatureExtractor', 'Normalizer',
]); // biome-ignore format: a list

/** What happens to scores on their way from an activation to the output. */
type Step =
  | { readonly does: 'clip'; readonly low: number; readonly high: number }
  | { readonly does: 'scale'; readonly by: number }
  | { readonly does: 'shift'; readonly by: number }
  | { readonly does: 'log' }
  | { readonly does: 'round' };

/** This far from exact, probabilities are still called a Softmax's. */
const EXACT = 1e-6;
/** What is added to probabilities so that their logarithm exists. */
const EPSILON = 1e-3;

/** What scores are after `step`; undefined where another class could become the largest, or where numbers become ones of no name. */
function after(activation: Activation, step: Step, classes: number): Activation | undefined {
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

class Endings {
  private readonly producer: ReadonlyMap<string, Node>;
  private readonly initializer: ReadonlyMap<string, Tensor>;
  private readonly opset: number;

  constructor(
    model: Model,
    private readonly facts: ReadonlyMap<string, Fact>,
  ) {
    const { producer, initializer } = indexGraph(model.graph);
    this.producer = producer;
    this.initializer = initializer;
    this.opset = opsetOf(model);
  }

  /** Goes from `output`, `classes` numbers a sample, back over what does not change the class to an activation, whose input are the logits. */
  of(output: string, classes: number): Ending {
    const steps: Step[] = [];
    /** The first node on the way whose result would be no logits if no activation is behind it. */
    let bent: Node | undefined;
    for (let value = output; ; ) {
      const node = this.producer.get(value);
      const input = node?.inputs[0];
      if (!node || input === undefined || node.outputs[0] !== value) break;
      const found = this.activationOf(output, node, classes);
      if (found) {
        if ('refusal' in found) return found;
        let activation: Activation | undefined = found.activation;
        for (const step of steps.reverse()) activation = activation && after(activation, step, classes);
        return activation
          ? { ...found, activation }
          : this.refuse(output, this.wayFrom(output, node), node.outputs[0]);
      }
      if (SAME.has(node.opType) && isVector(this.facts.get(input), classes)) {
        value = input;
        continue;
      }
      const step = this.stepOf(node, classes);
      if (!step) {
        bent ??= this.isBent(node) ? node : undefined;
        break;
      }
      if (step.does === 'clip' || step.does === 'log') bent ??= node;
      steps.push(step);
      value = step.from;
    }
    if (bent) return this.bentBy(output, bent);
    const hidden = this.hidden(output);
    if (hidden && DECIDING.has(hidden.opType)) return this.decided(output, hidden);
    return hidden
      ? this.refuse(
          output,
          this.wayFrom(output, hidden),
          SOFT.has(hidden.opType) ? hidden.outputs[0] : undefined,
        )
      : { logits: output, activation: 'none' };
  }

  /** What `node` is where it is the activation at the end; undefined where it is none. */
  private activationOf(output: string, node: Node, classes: number): Ending | undefined {
    const [input = ''] = node.inputs;
    const accepted = (logits: string, activation: Activation): Ending =>
      isVector(this.facts.get(logits), classes)
        ? { logits, activation }
        : this.refuse(output, `${node.opType} reads ${logits}, which is not one float a class`, undefined);
    switch (node.opType) {
      case 'Softmax':
      case 'LogSoftmax':
        if (classes === 1)
          return this.refuse(output, `a ${node.opType} over one score says nothing`, undefined);
        if (isVector(this.facts.get(input), classes) && !this.isOverClasses(node, classes))
          return this.refuse(output, `its ${node.opType} does not run over the classes`, input);
        return accepted(input, node.opType === 'Softmax' ? 'softmax' : 'log-softmax');
      case 'Sigmoid':
        if (classes > 1) return { refusal: severalLabels(output, classes, node, input), isDecision: false };
        return accepted(input, 'sigmoid');
      case 'Div': {
        const logits = this.exponentOf(node, classes);
        return logits === undefined ? undefined : accepted(logits, 'softmax');
      }
      case 'Sub': {
        const logits = this.lessLogSum(node, classes);
        return logits === undefined ? undefined : accepted(logits, 'log-softmax');
      }
      case 'Concat': {
        const logits = this.bothOf(node, classes);
        return logits === undefined ? undefined : { logits, activation: 'softmax', isOneScore: true };
      }
      default:
        return DECIDING.has(node.opType) ? this.decided(output, node) : undefined;
    }
  }

  /** Whether a Softmax or LogSoftmax sums over a sample's classes; below opset 13 over all axes from `axis` on. */
  private isOverClasses(node: Node, classes: number): boolean {
    const { dims } = this.facts.get(node.inputs[0]!)!;
    const classAxis = dims.indexOf(classes, 1);
    const axis = positive(numberOf(node, 'axis', this.opset < 13 ? 1 : -1), dims.length);
    return this.opset < 13 ? axis >= 1 && axis <= classAxis : axis === classAxis;
  }

  /** A Softmax written out, e / ReduceSum(e) with e = Exp(z) or Exp(z - ReduceMax(z)): z. */
  private exponentOf({ inputs: [top = '', bottom = ''] }: Node, classes: number): string | undefined {
    const exp = this.producer.get(top);
    const sum = this.producer.get(this.number(bottom));
    if (exp?.opType !== 'Exp' || !this.reduces(sum, 'ReduceSum', top, classes)) return undefined;
    return this.unshifted(exp.inputs[0]!, classes);
  }

  /** A LogSoftmax written out, z - ReduceLogSumExp(z), or z - Log(ReduceSum(Exp(z))): z. */
  private lessLogSum({ inputs: [z = '', less = ''] }: Node, classes: number): string | undefined {
    const log = this.producer.get(this.number(less));
    const sum = log && this.producer.get(this.number(log.inputs[0]!));
    const exp = sum && this.producer.get(sum.inputs[0]!);
    const isWritten =
      log?.opType === 'Log' &&
      exp?.opType === 'Exp' &&
      exp.inputs[0] === z &&
      this.reduces(sum, 'ReduceSum', exp.outputs[0]!, classes);
    return isWritten || this.reduces(log, 'ReduceLogSumExp', z, classes)
      ? this.unshifted(z, classes)
      : undefined;
  }

  /** `value` before each sample's largest was taken off, if it was. */
  private unshifted(value: string, classes: number): string {
    const less = this.producer.get(value);
    const largest = less?.opType === 'Sub' ? this.producer.get(this.number(less.inputs[1]!)) : undefined;
    return this.reduces(largest, 'ReduceMax', less?.inputs[0] ?? '', classes) ? less!.inputs[0]! : value;
  }

  /** Whether `node` reduces `value` over its classes and nothing else. */
  private reduces(node: Node | undefined, op: string, value: string, classes: number): boolean {
    if (node?.opType !== op || node.inputs[0] !== value) return false;
    const { dims } = this.facts.get(value)!;
    const axes = numbersOf(node, 'axes', undefined) ?? this.constant(node.inputs[1] ?? '');
    const classAxis = dims.indexOf(classes, 1);
    return axes?.length === 1 && positive(axes[0]!, dims.length) === classAxis;
  }

  /** [1 - p, p] with p the Sigmoid of one number z, which is the Softmax of [0, z]: z. */
  private bothOf({ inputs, attributes: { axis } }: Node, classes: number): string | undefined {
    const [other, p = ''] = inputs.map((name) => this.number(name));
    const sigmoid = this.producer.get(p);
    const less = this.producer.get(other ?? '');
    const isBoth =
      classes === 2 &&
      inputs.length === 2 &&
      (axis?.value === 1 || axis?.value === -1) &&
      sigmoid?.opType === 'Sigmoid' &&
      less?.opType === 'Sub' &&
      this.scalar(less.inputs[0]!) === 1 &&
      this.number(less.inputs[1]!) === p;
    return isBoth && isVector(this.facts.get(sigmoid.inputs[0]!), 1) ? sigmoid.inputs[0] : undefined;
  }

  /** The value that `value` is the same number of a sample as: before reshapes and broadcasts, and before exporters' Max(-inf, x). */
  private number(value: string): string {
    const node = this.producer.get(value);
    if (!node) return value;
    const [x = '', y = ''] = node.inputs;
    const isMax = node.opType === 'Max' && this.scalar(x) === Number.NEGATIVE_INFINITY;
    const before = isMax ? y : x;
    const isSame = isMax || SAME.has(node.opType) || node.opType === 'Expand';
    return isSame && isVector(this.facts.get(before), 1) ? this.number(before) : value;
  }

  /** What `node` does to each score alike, and the value it reads; undefined where it does something else. */
  private stepOf(node: Node, classes: number): (Step & { readonly from: string }) | undefined {
    const [x = '', y = ''] = node.inputs;
    const from = (value: string) => (isVector(this.facts.get(value), classes) ? value : undefined);
    const step = <S extends Step>(made: S, value: string) => {
      const read = from(value);
      return read === undefined ? undefined : { ...made, from: read };
    };
    switch (node.opType) {
      case 'Log':
        return step({ does: 'log' }, x);
      case 'Clip': {
        const bound = (name: 'min' | 'max', at: number, open: number) =>
          node.inputs[at] ? this.scalar(node.inputs[at]!) : numberOf(node, name, open);
        const low = bound('min', 1, Number.NEGATIVE_INFINITY);
        const high = bound('max', 2, Number.POSITIVE_INFINITY);
        return low === undefined || high === undefined ? undefined : step({ does: 'clip', low, high }, x);
      }
      case 'DequantizeLinear': {
        const rounded = this.producer.get(x);
        const isWhole =
          rounded?.opType === 'QuantizeLinear' && elementCount(this.facts.get(y)?.dims ?? []) === 1;
        return isWhole ? step({ does: 'round' }, rounded.inputs[0]!) : undefined;
      }
      case 'Mul':
      case 'Add': {
        const [value, by] = this.scalar(y) === undefined ? [y, this.scalar(x)] : [x, this.scalar(y)];
        if (by === undefined) return undefined;
        return step(node.opType === 'Mul' ? { does: 'scale', by } : { does: 'shift', by }, value);
      }
      case 'Div':
      case 'Sub': {
        const by = this.scalar(y);
        if (by === undefined) return undefined;
        return step(node.opType === 'Div' ? { does: 'scale', by: 1 / by } : { does: 'shift', by: -by }, x);
      }
      case 'Neg':
        return step({ does: 'scale', by: -1 }, x);
      default:
        return undefined;
    }
  }

  /** Whether what `node` makes is no logits: an activation, by itself, fused, or written out. */
  private isBent(node: Node): boolean {
    if (BENDING.has(node.opType) || CLOSED.has(node.opType) || fusedActivation(node)) return true;
    const isGate = (gate: string, other: string) =>
      ['Sigmoid', 'HardSigmoid'].includes(this.producer.get(gate)?.opType ?? '') &&
      this.producer.get(gate)!.inputs[0] === other;
    const [x = '', y = ''] = node.inputs;
    return node.opType === 'Mul' && (isGate(x, y) || isGate(y, x));
  }

  /** A node that makes probabilities or decisions, of which `output` is made without another layer between. */
  private hidden(output: string): Node | undefined {
    const seen = new Set<Node>();
    for (const stack = [output]; stack.length > 0; ) {
      const value = stack.pop()!;
      const node = this.producer.get(value);
      if (!node || seen.has(node)) continue;
      seen.add(node);
      if (CLOSED.has(node.opType) || DECIDING.has(node.opType) || SQUASHING.has(node.opType)) return node;
      if (node.opType === 'LinearClassifier' && makesProbabilities(node)) return node;
      const factors = node.inputs.filter((name) => this.followsSamples(name));
      const isWeighted = node.opType === 'Mul' && factors.length > 1;
      if (MIXING.has(node.opType) && !isWeighted) stack.push(...factors);
    }
    return undefined;
  }

  private bentBy(output: string, node: Node): Refused {
    const fused = fusedActivation(node);
    return this.refuse(output, `it is made by ${fused ?? node.opType}`, fused ? undefined : node.inputs[0]);
  }

  private decided(output: string, node: Node): Refused {
    const [input = ''] = node.inputs;
    const usable = classesOf(this.facts.get(input)) !== undefined ? input : undefined;
    return { refusal: notClassScores(output, node, usable), isDecision: true };
  }

  /** `instead`: a value that could be given in place of `output`. */
  private refuse(output: string, why: string, instead: string | undefined): Refused {
    const isUsable = instead !== undefined && instead !== output && this.isLikeScores(instead, output);
    return { refusal: noLogits(output, why, isUsable ? instead : undefined), isDecision: false };
  }

  /** Whether `value` holds as many classes as `output`. */
  private isLikeScores(value: string, output: string): boolean {
    const classes = classesOf(this.facts.get(value));
    return classes !== undefined && classes === classesOf(this.facts.get(output));
  }

  private wayFrom(output: string, node: Node): string {
    const last = this.producer.get(output)!;
    return `${last.opType} makes it of what ${node.opType} (${node.name || node.outputs[0]}) gives`;
  }

  /** Whether `value` is another one for each sample. */
  private followsSamples(value: string): boolean {
    const fact = this.facts.get(value);
    return fact?.batchAxis !== undefined || fact?.batchTrouble !== undefined;
  }

  /** The number that `value` always is; undefined when it is not one constant number. */
  private scalar(value: string): number | undefined {
    const numbers = this.constant(value);
    return numbers?.length === 1 ? numbers[0] : undefined;
  }

  /** The few numbers of a small constant. */
  private constant(value: string): readonly number[] | undefined {
    const node = this.producer.get(value);
    if (node && (node.opType === 'Identity' || node.opType === 'Cast')) return this.constant(node.inputs[0]!);
    const { value: own, value_float: float, value_int: int } = node?.attributes ?? {};
    if (float?.type === 'FLOAT' || int?.type === 'INT') return [(float ?? int)!.value as number];
    const tensor = own?.type === 'TENSOR' ? own.value : this.initializer.get(value);
    const isSmall =
      tensor && !tensor.external && tensor.bytes.byteLength <= 64 && READABLE.has(tensor.dataType);
    return isSmall ? toNumbers(tensor) : undefined;
  }
}

const READABLE = new Set<DataType>(['float', 'float16', 'double', 'int64', 'int32']);

/** Whether an ai.onnx.ml LinearClassifier turns its scores into something else. */
const makesProbabilities = ({ attributes: { post_transform: made } }: Node) =>
  made?.type === 'STRING' && made.value !== 'NONE';

/** The activation that an optimised file's product or convolution ends in. */
function fusedActivation({ opType, attributes: { activation } }: Node): string | undefined {
  return opType.startsWith('Fused') && activation?.type === 'STRING' && activation.value !== ''
    ? `${opType} with ${activation.value}`
    : undefined;
}
