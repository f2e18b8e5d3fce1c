/** A student as any other network: an ONNX model that the chain takes. */
import { inferenceForm } from '../autodiff/training-form.ts';
import { makeModel } from '../graph/builder.ts';
import type { Model } from '../graph/types.ts';
import { runPasses } from '../passes/pass.ts';
import type { Student } from './student.ts';

/**
 * `student` in inference form. It is written with operators that mean the same in opsets 11 to 22, so `opset` may be the original's. It takes any
 * number of samples; its output is [N, classes] float.
 */
export function studentModel({ graph }: Pick<Student, 'graph'>, opset = 17): Model {
  return makeModel(runPasses(graph, [inferenceForm]), opset);
}
