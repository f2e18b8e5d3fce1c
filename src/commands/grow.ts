/** Trains the students of a compile, and puts them into the chain. */
import { inputsOf } from '../data/splits.ts';
import { OfframpError } from '../errors/index.ts';
import { warning } from '../errors/notes.ts';
import { chainOf, costsOfChain, type GrownTraining, type Network } from '../networks/chain.ts';
import type { ConfidenceSplits } from '../predict/fit-confidence.ts';
import { type TrainedStudent, trainStudent } from '../students/train-student.ts';
import type { StudentTraining } from '../students/training-plan.ts';
import { epochsOf, type Growth, type GrowthOptions } from './growth.ts';
import { namingSample } from './not-finite.ts';
import { openStudent } from './open-student.ts';
import type { CompileContext } from './project.ts';

/**
 * `context` with its students trained on `splits`, one after another. One that diverges is left out, with a warning: what else there is goes on, and heads
 * where there is nothing. Throws what `trainStudent` throws.
 */
export async function growStudents(
  context: CompileContext,
  splits: ConfidenceSplits,
  options: GrowthOptions,
): Promise<CompileContext> {
  const { growth, chain, inspection, preprocessing, predicting, events } = context;
  if (!growth) return context;
  const { typed } = inspection;
  const original = { file: chain.networks.at(-1)!.file, inspection, inputs: inputsOf(typed), preprocessing };
  const data = {
    dataset: splits.train.dataset,
    validation: splits.validation.dataset,
    teacher: { typed, modelHash: inspection.hash },
  };
  const networks: Network[] = [];
  const failed = new Map<string, OfframpError>();
  for (const network of chain.networks) {
    const { id } = network;
    const planned = growth.students.get(id);
    if (!planned) {
      networks.push(network);
      continue;
    }
    const { student, share } = planned;
    const training = trainingOf(options, context, id);
    const trained = await trainStudent(student, data, training).catch(async (error: unknown) => {
      const why = await namingSample(error, data.dataset, predicting);
      if (!(why instanceof OfframpError && why.code === 'training-diverged')) throw why;
      failed.set(id, why);
    });
    if (!trained) continue;
    const told = describeTraining(training, trained);
    networks.push(
      await openStudent(trained.student, id, original, predicting.session, { share, training: told }),
    );
  }
  const [first] = failed.values();
  const settled = first ? withoutFailed(networks, growth, first) : networks;
  for (const [id, { code, message, hint }] of failed)
    events.onNote?.(warning(code, `${id} is left out: ${message}. ${hint}`));
  const grown = chainOf(settled);
  return { ...context, chain: grown, heads: grown.heads, costs: costsOfChain(grown) };
}

/** `networks`, the original last, after students failed: with the heads that were meant for that case. Throws `error` where no exit is left. */
function withoutFailed(
  networks: readonly Network[],
  { instead = [] }: Growth,
  error: OfframpError,
): readonly Network[] {
  const original = networks.at(-1)!;
  if (networks.length > 1 || original.heads.length > 0) return networks;
  if (instead.length === 0) throw error;
  return [{ ...original, heads: instead }];
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
    onNote: events.onNote,
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
