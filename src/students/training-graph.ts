/** A student and its loss as one graph to train, and what comes back from it. */
import { inferenceForm } from '../autodiff/training-form.ts';
import { GraphBuilder } from '../graph/builder.ts';
import { inlineGraph } from '../graph/inline.ts';
import type { Graph } from '../graph/types.ts';
import { runPasses } from '../passes/pass.ts';
import { LossBuilder, type SoftTargets } from '../train/losses.ts';
import { learnedGraph, type StepperState } from '../train/stepper.ts';
import type { Student } from './student.ts';

const PREFIX = 'student/';

/** What an input of the student is called in the training graph. */
export const inputNamed = (name: string): string => PREFIX + name;

/**
 * `student` under names of its own, with the mean distance of its `logits` from the answers as `loss` []. Adds inputs `labels` int64 [N] and
 * `teacher` [N, classes].
 */
export function trainingGraph(student: Student, classes: number, targets: SoftTargets): Graph {
  const graph = inlined(student);
  const b = new LossBuilder(graph, classes);
  b.loss(b.mean(b.distance(targets)(`${PREFIX}logits`)));
  return b.finish();
}

function inlined({ graph }: Student): Graph {
  const b = new GraphBuilder();
  const inputs = graph.inputs.map(({ name, type }) => {
    return [name, b.input(inputNamed(name), type!.dataType, type!.dims!)] as const;
  });
  inlineGraph(b, graph, Object.fromEntries(inputs), PREFIX);
  return b.build('student');
}

/** `student` with what `state`, of its training `graph`, has learned; in inference form. */
export function trainedStudent(student: Student, graph: Graph, state: StepperState): Student {
  const learned = new Map(learnedGraph(graph, state).initializers.map((t) => [t.name, t]));
  const initializers = student.graph.initializers.map(({ name }) => ({
    ...learned.get(PREFIX + name)!,
    name,
  }));
  return { ...student, graph: runPasses({ ...student.graph, initializers }, [inferenceForm]) };
}
