/** A student as any other network: an ONNX model that the chain takes. */
import { inferenceForm } from '../autodiff/training-form.ts';
import { makeModel, makeValue } from '../graph/builder.ts';
import type { Graph, Model } from '../graph/types.ts';
import { runPasses } from '../passes/pass.ts';
import type { Student } from './student.ts';

type Network = Pick<Student, 'graph' | 'exits'>;

/** The student's graph with the values that inner exits hang on as outputs too. */
export function withTaps({ graph, exits }: Network): Graph {
  const values = exits.map(({ value, dims }) => makeValue(value, 'float', ['N', ...dims]));
  return { ...graph, outputs: [...graph.outputs, ...values] };
}

/** The student's graph in inference form; the values that inner exits hang on are still there. */
export function atRest(student: Network): Graph {
  const graph = runPasses(withTaps(student), [inferenceForm]);
  return { ...graph, outputs: student.graph.outputs };
}

/**
 * `student` in inference form. It is written with operators that mean the same in opsets 11 to 22, so `opset` may be the original's. It takes any
 * number of samples; its output is [N, classes] float.
 */
export function studentModel(student: Network, opset = 17): Model {
  return makeModel(atRest(student), opset);
}
