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
import { GraphBuilder } from '../graph/builder.ts';
import type { Model, Node } from '../graph/types.ts';
import type { Activation, Fact, TypedModel } from './exits.ts';
import { elementsOf } from './give-exits.ts';
import { activationAfter, type Step, stepOf } from './score-steps.ts';
import { classesOf, isVector, SAME, type Values, valuesOf } from './score-values.ts';
import { exponentOf, isOverClasses, isOverSamples, lessLogSum, sigmoidPair } from './written-softmax.ts';

export interface Classifier extends Pick<TypedModel, 'output' | 'classes' | 'activation'> {
  /** Where exits merge; one number a sample when `isOneScore`. */
  readonly logits: string;
  /** `logits` is z of a binary classifier, whose logits are [0, z]. */
  readonly isOneScore: boolean;
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
  const values = valuesOf(model, facts);
  const scored = asked.flatMap((output) => {
    const classes = classesOf(facts.get(output));
    return classes === undefined ? [] : [{ output, classes, ending: endingOf(values, output, classes) }];
  });
  const usual = scored.filter(({ ending }) => !('refusal' in ending && ending.isDecision));
  if (usual.length > 1) throw ambiguousOutput(usual.map(({ output }) => output));
  const [found] = usual.length > 0 ? usual : scored;
  if (found) {
    const { output, classes, ending } = found;
    if ('refusal' in ending) throw ending.refusal;
    return { output, classes, isOneScore: false, ...ending };
  }
  const single = findOneScore(values, asked, wanted);
  if (single) return single;
  throw noClassScores(
    asked.map((n) => `${n}: ${facts.get(n)?.dataType ?? NOT_A_TENSOR} [${facts.get(n)?.dims ?? '?'}]`),
    findSequence(model, asked),
    asked.some((name) => facts.get(name)?.dataType === 'double'),
  );
}

/** The first of `outputs` that is a sequence of known tensors. */
function findSequence(model: Model, outputs: readonly string[]) {
  for (const name of outputs) {
    const elements = elementsOf(model, new GraphBuilder(), name);
    if (elements?.count) return { name, last: elements.at(elements.count - 1) };
  }
  return undefined;
}

/** A binary classifier's only score: of what a Sigmoid ends in, or of what is asked for by name. */
function findOneScore(
  values: Values,
  asked: readonly string[],
  wanted: string | undefined,
): Classifier | undefined {
  const { facts } = values;
  const single = asked.filter((name) => isVector(facts.get(name), 1));
  const known = single.map((output) => ({ output, ending: endingOf(values, output, 1) }));
  const sigmoids = known.filter(({ ending }) => 'activation' in ending && ending.activation === 'sigmoid');
  if (sigmoids.length > 1) throw ambiguousOutput(sigmoids.map(({ output }) => output));
  const [found] = sigmoids.length > 0 ? sigmoids : known;
  if (!found) return undefined;
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

/** Nonlinear functions of single numbers, and roundings: what comes out is no logit. */
const NONLINEAR = new Set([
  'Celu', 'Clip', 'Elu', 'Erf', 'Exp', 'FastGelu', 'Gelu', 'HardSigmoid', 'HardSwish', 'LeakyRelu', 'Log', 'LpNormalization', 'Mish',
  'PRelu', 'QuickGelu', 'Relu', 'Selu', 'Sigmoid', 'Sign', 'Softplus', 'Softsign', 'Swish', 'Tanh', 'ThresholdedRelu', 'Floor', 'Ceil',
  'Round',
]); // biome-ignore format: a list
/** Ops whose result says only which scores are the largest. */
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
/** Ops that make probabilities in one piece, whose logits are no value of the graph: com.microsoft's in int8, and ai.onnx.ml's. */
const OPAQUE = new Set(['QLinearSoftmax', 'QLinearSigmoid', 'SVMClassifier', 'TreeEnsembleClassifier']);
const SOFT = new Set(['Softmax', 'LogSoftmax']);
/** Ops that make probabilities, and the one that they are written out with. */
const SQUASHING = new Set([...SOFT, 'Sigmoid', 'HardSigmoid', 'Exp']);
/** Ops whose result is still made of probabilities when they read some: the mean of several models' probabilities, say, is no logits. */
const MIXING = new Set([
  ...SAME, 'Add', 'Sub', 'Mul', 'Div', 'Neg', 'Sum', 'Mean', 'Max', 'Min', 'Clip', 'Log', 'Pow', 'Sqrt', 'Reciprocal', 'Concat', 'Split', 'Slice',
  'Gather', 'Where', 'Expand', 'Tile', 'Pad', 'ReduceMean', 'ReduceSum', 'ReduceMax', 'ReduceMin', 'ReduceProd', 'ReduceLogSumExp',
  'GlobalAveragePool', 'GlobalMaxPool', 'AveragePool', 'MaxPool', 'QuantizeLinear', 'DequantizeLinear', 'ArrayFeatureExtractor', 'Normalizer',
]); // biome-ignore format: a list

/** From `output`, `classes` numbers a sample, back over ops that do not change the class, to the activation; its input are the logits. */
function endingOf(values: Values, output: string, classes: number): Ending {
  const steps: Step[] = [];
  /** The first node on the way whose result is no logits unless an activation stands before it. */
  let nonlinear: Node | undefined;
  for (let value = output; ; ) {
    const node = values.producer.get(value);
    const input = node?.inputs[0];
    if (!node || input === undefined || node.outputs[0] !== value) break;
    const found = activationOf(values, output, node, classes);
    if (found) {
      if ('refusal' in found) return found;
      let activation: Activation | undefined = found.activation;
      for (const step of steps.reverse())
        activation = activation && activationAfter(activation, step, classes);
      return activation
        ? { ...found, activation }
        : refuse(values, output, describeOrigin(values, output, node), node.outputs[0]);
    }
    if (SAME.has(node.opType) && isVector(values.facts.get(input), classes)) {
      value = input;
      continue;
    }
    const step = stepOf(values, node, classes);
    if (!step) {
      nonlinear ??= isNonlinear(values, node) ? node : undefined;
      break;
    }
    if (step.does === 'clip' || step.does === 'log') nonlinear ??= node;
    steps.push(step);
    value = step.from;
  }
  if (nonlinear) return refuseNonlinear(values, output, nonlinear);
  const behind = findBehind(values, output);
  if (behind && DECIDING.has(behind.opType)) return refuseDecision(values, output, behind);
  return behind
    ? refuse(
        values,
        output,
        describeOrigin(values, output, behind),
        SOFT.has(behind.opType) ? behind.outputs[0] : undefined,
      )
    : { logits: output, activation: 'none' };
}

/** What `node` is where it is the activation at the end; undefined where it is none. */
function activationOf(values: Values, output: string, node: Node, classes: number): Ending | undefined {
  const [input = ''] = node.inputs;
  const accepted = (logits: string, activation: Activation): Ending =>
    isVector(values.facts.get(logits), classes)
      ? { logits, activation }
      : refuse(values, output, `${node.opType} reads ${logits}, which is not one float a class`, undefined);
  switch (node.opType) {
    case 'Softmax':
    case 'LogSoftmax':
      if (classes === 1)
        return refuse(values, output, `a ${node.opType} over one score says nothing`, undefined);
      if (isVector(values.facts.get(input), classes) && !isOverClasses(values, node, classes))
        return refuse(
          values,
          output,
          isOverSamples(values, node)
            ? `its ${node.opType} runs along the batch axis, over the samples, and not over the classes`
            : `its ${node.opType} does not run over the classes`,
          input,
        );
      return accepted(input, node.opType === 'Softmax' ? 'softmax' : 'log-softmax');
    case 'Sigmoid':
      if (classes > 1) return { refusal: severalLabels(output, classes, node, input), isDecision: false };
      return accepted(input, 'sigmoid');
    case 'Div': {
      const logits = exponentOf(values, node, classes);
      return logits === undefined ? undefined : accepted(logits, 'softmax');
    }
    case 'Sub': {
      const logits = lessLogSum(values, node, classes);
      return logits === undefined ? undefined : accepted(logits, 'log-softmax');
    }
    case 'Concat': {
      const logits = sigmoidPair(values, node, classes);
      return logits === undefined ? undefined : { logits, activation: 'softmax', isOneScore: true };
    }
    default:
      return DECIDING.has(node.opType) ? refuseDecision(values, output, node) : undefined;
  }
}

/** Whether `node` is a nonlinear function: by itself, fused into another op, or x · Sigmoid(x). */
function isNonlinear(values: Values, node: Node): boolean {
  if (NONLINEAR.has(node.opType) || OPAQUE.has(node.opType) || fusedActivation(node)) return true;
  const isSelfGate = (factor: string, other: string) =>
    ['Sigmoid', 'HardSigmoid'].includes(values.producer.get(factor)?.opType ?? '') &&
    values.producer.get(factor)!.inputs[0] === other;
  const [x = '', y = ''] = node.inputs;
  return node.opType === 'Mul' && (isSelfGate(x, y) || isSelfGate(y, x));
}

/** A node that makes probabilities or decisions, and no layer stands between it and `output`. */
function findBehind(values: Values, output: string): Node | undefined {
  const seen = new Set<Node>();
  for (const stack = [output]; stack.length > 0; ) {
    const value = stack.pop()!;
    const node = values.producer.get(value);
    if (!node || seen.has(node)) continue;
    seen.add(node);
    if (OPAQUE.has(node.opType) || DECIDING.has(node.opType) || SQUASHING.has(node.opType)) return node;
    if (node.opType === 'LinearClassifier' && makesProbabilities(node)) return node;
    const factors = node.inputs.filter((name) => followsSamples(values, name));
    const isWeighted = node.opType === 'Mul' && factors.length > 1;
    if (MIXING.has(node.opType) && !isWeighted) stack.push(...factors);
  }
  return undefined;
}

function refuseNonlinear(values: Values, output: string, node: Node): Refused {
  const fused = fusedActivation(node);
  return refuse(values, output, `it is made by ${fused ?? node.opType}`, fused ? undefined : node.inputs[0]);
}

function refuseDecision(values: Values, output: string, node: Node): Refused {
  const [input = ''] = node.inputs;
  const usable = classesOf(values.facts.get(input)) !== undefined ? input : undefined;
  return { refusal: notClassScores(output, node, usable), isDecision: true };
}

/** `instead`: a value that could be given in place of `output`. */
function refuse(values: Values, output: string, why: string, instead: string | undefined): Refused {
  const isUsable = instead !== undefined && instead !== output && isLikeScores(values, instead, output);
  return { refusal: noLogits(output, why, isUsable ? instead : undefined), isDecision: false };
}

/** Whether `value` holds as many classes as `output`. */
function isLikeScores(values: Values, value: string, output: string): boolean {
  const classes = classesOf(values.facts.get(value));
  return classes !== undefined && classes === classesOf(values.facts.get(output));
}

function describeOrigin(values: Values, output: string, node: Node): string {
  const last = values.producer.get(output)!;
  return `${last.opType} makes it of what ${node.opType} (${node.name || node.outputs[0]}) gives`;
}

/** Whether `value` differs from sample to sample. */
function followsSamples(values: Values, value: string): boolean {
  const fact = values.facts.get(value);
  return fact?.batchAxis !== undefined || fact?.batchTrouble !== undefined;
}

/** Whether an ai.onnx.ml LinearClassifier turns its scores into something else. */
const makesProbabilities = ({ attributes: { post_transform: made } }: Node) =>
  made?.type === 'STRING' && made.value !== 'NONE';

/** The activation that an optimised file's product or convolution ends in. */
function fusedActivation({ opType, attributes: { activation } }: Node): string | undefined {
  return opType.startsWith('Fused') && activation?.type === 'STRING' && activation.value !== ''
    ? `${opType} with ${activation.value}`
    : undefined;
}
