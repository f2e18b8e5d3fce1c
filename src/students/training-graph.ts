/** A student and its loss as one graph to train, and what comes back from it. */
import { inferenceForm } from '../autodiff/training-form.ts';
import { GraphBuilder } from '../graph/builder.ts';
import { inlineGraph } from '../graph/inline.ts';
import type { Graph } from '../graph/types.ts';
import { runPasses } from '../passes/pass.ts';
import { LossBuilder } from '../train/losses.ts';
import { learnedGraph, type StepperState } from '../train/stepper.ts';
import { type Answering, type ExitLossOptions, exitLoss } from './exit-losses.ts';
import type { Student } from './student.ts';
import { atRest, withTaps } from './student-model.ts';

const PREFIX = 'student/';
const exitPrefix = (index: number) => `${PREFIX}exit_${index + 1}/`;

/** What an input of the student is called in the training graph. */
export const inputNamed = (name: string): string => PREFIX + name;

/**
 * `student` and the heads of its inner exits under names of their own, with an output `loss` []: the mean distance of its scores from the answers,
 * or what `options.loss` makes of all exits' (`exitLoss`). Adds inputs `labels` int64 [N] and `teacher` [N, classes].
 */
export function trainingGraph(student: Student, classes: number, options: ExitLossOptions): Graph {
  const { graph, answers } = joined(student);
  const b = new LossBuilder(graph, classes);
  const isAlone = student.exits.length === 0;
  b.loss(isAlone ? b.mean(b.distance(options)(answers[0]!.scores)) : exitLoss(b, answers, options));
  return b.finish();
}

function joined({ graph, exits, macs }: Student): {
  readonly graph: Graph;
  readonly answers: readonly Answering[];
} {
  const b = new GraphBuilder();
  const inputs = graph.inputs.map(({ name, type }) => {
    return [name, b.input(inputNamed(name), type!.dataType, type!.dims!)] as const;
  });
  const end = graph.outputs[0]!.name;
  const names = inlineGraph(b, withTaps({ graph, exits }), Object.fromEntries(inputs), PREFIX);
  const total = macs + exits.reduce((sum, { headMacs }) => sum + headMacs, 0);
  let heads = 0;
  const inner = exits.map(({ value, prefixMacs, head, headMacs }, i) => {
    const outputs = inlineGraph(b, head, { features: names[value]! }, exitPrefix(i));
    heads += headMacs;
    const { logits, confidence } = outputs as { logits: string; confidence: string };
    return { scores: logits, confidence, cost: (prefixMacs + heads) / total };
  });
  return { graph: b.build('student'), answers: [...inner, { scores: names[end]!, cost: 1 }] };
}

/** `student` and the heads of its exits with what `state`, of its training `graph`, has learned; in inference form. */
export function trainedStudent(student: Student, graph: Graph, state: StepperState): Student {
  const learned = new Map(learnedGraph(graph, state).initializers.map((t) => [t.name, t]));
  const withLearned = (own: Graph, prefix: string): Graph => {
    const initializers = own.initializers.map(({ name }) => ({ ...learned.get(prefix + name)!, name }));
    return { ...own, initializers };
  };
  const { graph: own, exits } = student;
  return {
    ...student,
    graph: atRest({ graph: withLearned(own, PREFIX), exits }),
    exits: exits.map((exit, i) => ({
      ...exit,
      head: runPasses(withLearned(exit.head, exitPrefix(i)), [inferenceForm]),
    })),
  };
}
