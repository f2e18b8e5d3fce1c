/** Trains the students of a compile, and puts them into the chain. */
import { inputsOf } from '../data/splits.ts';
import { chainOf, costsOfChain, type GrownTraining, type Network } from '../networks/chain.ts';
import type { ConfidenceSplits } from '../predict/fit-confidence.ts';
import { type TrainedStudent, trainStudent } from '../students/train-student.ts';
import type { StudentTraining } from '../students/training-plan.ts';
import { epochsOf, type GrowthOptions } from './growth.ts';
import { openStudent } from './open-student.ts';
import type { CompileContext } from './project.ts';

/** `context` with its students trained on `splits`, one after another. Throws what `trainStudent` throws. */
export async function growStudents(
  context: CompileContext,
  splits: ConfidenceSplits,
  options: GrowthOptions,
): Promise<CompileContext> {
  const { growth, chain, inspection, preprocessing, predicting } = context;
  if (!growth) return context;
  const { typed } = inspection;
  const original = { file: chain.networks.at(-1)!.file, inspection, inputs: inputsOf(typed), preprocessing };
  const data = {
    dataset: splits.train.dataset,
    validation: splits.validation.dataset,
    teacher: { typed, modelHash: inspection.hash },
  };
  const networks: Network[] = [];
  for (const network of chain.networks) {
    const { id } = network;
    const planned = growth.students.get(id);
    if (planned) {
      const { student, share } = planned;
      const training = trainingOf(options, context, id);
      const trained = await trainStudent(student, data, training);
      const told = describeTraining(training, trained);
      const grown = { share, training: told };
      networks.push(await openStudent(trained.student, id, original, predicting.session, grown));
    } else networks.push(network);
  }
  const grown = chainOf(networks);
  return { ...context, chain: grown, heads: grown.heads, costs: costsOfChain(grown) };
}

/** How the student `id` is trained. */
function trainingOf(
  options: GrowthOptions,
  { seed, cache, predicting, events, progress }: CompileContext,
  id: string,
): StudentTraining {
  const { augment, teacher, maxMinutes, steps, cacheLimit, studentLoss: exitLoss } = options;
  return {
    seed,
    epochs: epochsOf(options),
    augment,
    ...(exitLoss && { exitLoss }),
    ...(teacher && { teacher }),
    maxMinutes,
    steps,
    cache,
    cacheLimit,
    session: predicting.session,
    signal: predicting.signal,
    onAnswers: progress('asking the original'),
    onProgress: ({ done, total, loss, accuracy }) => {
      const right = accuracy === undefined ? '' : `, ${(100 * accuracy).toFixed(1)} % right`;
      const note = `loss ${loss.toFixed(3)}${right}`;
      events.onProgress?.({ phase: `training ${id}`, done, total, unit: 'steps', note });
    },
  };
}

/** As the manifest records it. */
function describeTraining(
  { epochs, augment, teacher, exitLoss }: StudentTraining,
  { batch, learningRate, cacheLimit, steps, total, halvedAt, curve, accuracies }: TrainedStudent,
): GrownTraining {
  return {
    epochs: epochs!,
    ...(steps < total && { stoppedAt: steps }),
    batch,
    learningRate,
    ...(augment && { augment }),
    ...(teacher && { teacher }),
    ...(exitLoss && { exitLoss }),
    ...(cacheLimit !== undefined && { cacheLimit }),
    ...(halvedAt !== undefined && { halvedAt }),
    steps: curve.steps,
    losses: curve.losses.student!,
    accuracies,
  };
}
