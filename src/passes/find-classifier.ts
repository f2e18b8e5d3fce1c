/** Which output carries the class scores, and where in the graph they are still logits. */
import { ambiguousOutput, NOT_A_TENSOR, noClassScores, unknownOutput } from '../errors.ts';
import { elementCount } from '../graph/tensor.ts';
import type { Model } from '../graph/types.ts';
import { indexGraph } from '../graph/walk.ts';
import type { Fact, TypedModel } from './exits.ts';

const SHAPE_ONLY = new Set(['Identity', 'Reshape', 'Squeeze', 'Unsqueeze', 'Flatten', 'Dropout']);
const ACTIVATIONS: Record<string, TypedModel['activation']> = {
  Softmax: 'softmax',
  LogSoftmax: 'log-softmax',
};

/** Number of classes when `fact` looks like one vector of scores a sample: [N, C] or [N, C, 1, 1]; else undefined. */
function classesOf(fact: Fact | undefined): number | undefined {
  if (fact?.batchAxis !== 0 || fact.batchTrouble || fact.dims.length < 2) return undefined;
  if (fact.dataType !== 'float' && fact.dataType !== 'float16') return undefined;
  const classes = elementCount(fact.dims.slice(1));
  return classes > 1 && classes === fact.dims[1] ? classes : undefined;
}

/**
 * Finds the classifier's output and its logits. `wanted` names the output; needed only when several carry scores.
 * Throws `no-class-scores`, `ambiguous-output`, `unknown-output`.
 */
export function findClassifier(
  model: Model,
  facts: ReadonlyMap<string, Fact>,
  wanted?: string,
): Pick<TypedModel, 'output' | 'logits' | 'classes' | 'activation'> {
  const names = model.graph.outputs.map((v) => v.name);
  if (wanted !== undefined && !names.includes(wanted)) throw unknownOutput(wanted, names);
  const scored = names.filter((n) => classesOf(facts.get(n)) && (wanted === undefined || n === wanted));
  const output = scored[0];
  if (output === undefined) {
    const seen = names.map(
      (n) => `${n}: ${facts.get(n)?.dataType ?? NOT_A_TENSOR} [${facts.get(n)?.dims ?? '?'}]`,
    );
    throw noClassScores(wanted === undefined ? seen : seen.filter((s) => s.startsWith(`${wanted}:`)));
  }
  if (scored.length > 1) throw ambiguousOutput(scored);
  return { output, classes: classesOf(facts.get(output))!, ...findLogits(model, facts, output) };
}

/** Walks from `output` back over reshapes to a Softmax or LogSoftmax, whose input are the logits. */
function findLogits(model: Model, facts: ReadonlyMap<string, Fact>, output: string) {
  const { producer } = indexGraph(model.graph);
  for (let value = output; ; ) {
    const node = producer.get(value);
    const input = node?.inputs[0];
    if (!node || input === undefined) break;
    const activation = ACTIVATIONS[node.opType];
    if (activation && classesOf(facts.get(input))) return { logits: input, activation };
    if (!SHAPE_ONLY.has(node.opType)) break;
    value = input;
  }
  return { logits: output, activation: 'none' as const };
}
