/** Trains students: what is kept of a training, and how it is found again. */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder, writing } from '../cache/files.ts';
import { exclusively } from '../cache/lock.ts';
import { endedAt, type LossCurve } from '../train/loss-curve.ts';
import { type AccuracyAt, type Checkpoint, readCheckpoint, writeCheckpoint } from './checkpoint.ts';
import { travel } from './course.ts';
import type { Student } from './student.ts';
import { trainedStudent } from './training-graph.ts';
import { planTraining, type StudentData, type StudentTraining, type TrainingPlan } from './training-plan.ts';

export interface TrainedStudent {
  /** In inference form. */
  readonly student: Student;
  readonly batch: number;
  /** The schedule's highest. */
  readonly learningRate: number;
  /** As in `TrainingPlan`. */
  readonly cacheLimit?: number | undefined;
  /** Steps done, and those of the whole schedule. */
  readonly steps: number;
  readonly total: number;
  /** The step from which on the learning rate was halved, because training had diverged. */
  readonly halvedAt?: number | undefined;
  readonly curve: LossCurve;
  /** On validation samples (some of them, where there are many); the last is of the trained student. */
  readonly accuracies: readonly AccuracyAt[];
}

/**
 * Trains `student` from the answers of the original: SGD with Nesterov's momentum, one cycle of the learning rate, samples drawn anew in
 * every step, incomplete batches dropped. The same seed on the same machine with as many threads gives the same bytes, however often it was
 * interrupted. What was trained is kept in `<cache>/students/<key>/` and found again; another process that trains the same is waited for.
 * Throws `training-diverged` when the loss is no number, or ten times the first one, a second time (the first time, training goes on at half the rate), `disk-full`,
 * and the abort reason, between steps.
 */
export async function trainStudent(
  student: Student,
  data: StudentData,
  options: StudentTraining,
): Promise<TrainedStudent> {
  const plan = planTraining(student, data, options);
  const journey = { student, plan, data, options };
  const { cache } = options;
  if (cache === undefined) return trainedOf(student, plan, await travel(journey));
  const folder = join(cache, 'students', plan.key);
  await writing(folder, () => makeFolder(folder));
  return await exclusively([folder], options, async () => {
    const asked = options.maxMinutes === undefined ? `${plan.stop}` : `${plan.stop}-in-${options.maxMinutes}`;
    const kept = join(folder, `${asked}.trained`);
    const known = await readCheckpoint(kept);
    if (known) return trainedOf(student, plan, known);
    const path = join(folder, `${asked}.checkpoint`);
    const begun = await furthest(folder, plan.stop);
    const done = await travel(journey, begun, (checkpoint) => writeCheckpoint(path, checkpoint));
    await writeCheckpoint(kept, done);
    await rm(path, { force: true });
    return trainedOf(student, plan, done);
  });
}

/** The state in `folder` with most steps, at most `stop`; all are of one training, whoever stopped it when. */
async function furthest(folder: string, stop: number): Promise<Checkpoint | undefined> {
  let best: Checkpoint | undefined;
  for (const name of (await readdir(folder)).sort()) {
    if (!name.endsWith('.checkpoint') && !name.endsWith('.trained')) continue;
    const found = await readCheckpoint(join(folder, name));
    const steps = found?.now.state.steps ?? 0;
    if (steps <= stop && steps > (best?.now.state.steps ?? 0)) best = found;
  }
  return best;
}

function trainedOf(student: Student, plan: TrainingPlan, done: Checkpoint): TrainedStudent {
  const { graph, total, batch, learningRate, cacheLimit } = plan;
  const { state, mean } = done.now;
  return {
    student: trainedStudent(student, graph, state),
    batch,
    learningRate,
    cacheLimit,
    steps: state.steps,
    total,
    ...(done.halvedAt !== undefined && { halvedAt: done.halvedAt }),
    curve: endedAt(done.curve, state.steps, { student: mean }),
    accuracies: [...done.accuracies, ...(done.last ? [done.last] : [])],
  };
}
