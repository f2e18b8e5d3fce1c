/** The loop: heads learn in the same pass over the features, or in several, on as many threads. */
import { availableParallelism } from 'node:os';
import { inferenceForm } from '../autodiff/training-form.ts';
import { trainingDiverged } from '../errors/index.ts';
import { toFloat32Array } from '../graph/tensor.ts';
import type { Graph } from '../graph/types.ts';
import { type Tensor as OrtTensor, Tensor } from '../ort/session.ts';
import type { Head } from '../passes/exits.ts';
import { headMacs } from '../passes/heads.ts';
import { runPasses } from '../passes/pass.ts';
import { Batches } from './batches.ts';
import { CachedSource, type FeatureSource } from './feature-source.ts';
import { distill, joinHeads, LOSS, lossOf, pteenet } from './losses.ts';
import { RECIPE, type Recipe, type RecipeName } from './recipes.ts';
import { splitStem } from './stem.ts';
import { Stepper } from './stepper.ts';
import type { TrainOptions } from './train-options.ts';
import { trainInWorkers } from './workers.ts';

/** How much of the running means a step leaves in place. */
const MOMENTUM = 0.95;

/** The recipe that `options` name, with the fields that they set themselves. */
export function recipeOf(options: Partial<TrainOptions>): Recipe {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return { ...RECIPE[options.recipe ?? 'distill'], ...Object.fromEntries(given) };
}

/**
 * Trains `heads` on `source` (which was opened for them) and returns them in inference form. Incomplete batches are
 * dropped; fewer samples than a batch make one. The same seed on the same machine with as many threads gives the same bytes.
 * Throws `training-diverged`; an abort is seen between steps.
 */
export async function trainHeads(
  heads: readonly Head[],
  source: FeatureSource,
  options: TrainOptions,
): Promise<Head[]> {
  const name = options.recipe ?? 'distill';
  const recipe = recipeOf(options);
  const threads = options.session?.threads ?? availableParallelism();
  const apart = name === 'distill' && !recipe.survivors;
  if (apart && heads.length > 1 && threads > 1 && source instanceof CachedSource)
    return await trainInWorkers(heads, source, options, threads);

  const batches = new Batches(source, recipe.batch, options.seed);
  const total = batches.perEpoch * recipe.epochs;
  const peak = recipe.learningRate;
  const ids = heads.map((head) => head.exit.id);
  const stepper = await Stepper.open(lossGraph(heads, source, name, recipe, options), {
    batch: batches.size,
    seed: options.seed,
    weightDecay: recipe.weightDecay,
    extras: name === 'distill' ? ids.map(lossOf) : [],
    // The only session alive on these threads, but for a backbone that recomputes features.
    session: { ...options.session, spinning: source.storage === 'cached' },
  });
  try {
    const started = performance.now();
    const parts = new Map(name === 'distill' ? ids.map((id) => [id, lossOf(id)]) : [['joint', LOSS]]);
    let mean = 0;
    let means: Record<string, number> = {};
    for (let step = 0; step < total; step++) {
      options.signal?.throwIfAborted();
      const { features, logits, labels } = await batches.next(recipe.targets);
      const feeds: Record<string, OrtTensor> = { labels, teacher: logits };
      for (const id of ids) feeds[`${id}/features`] = features[id]!;
      if (name === 'distill') {
        const weighs = recipe.survivors && step >= recipe.survivors.afterEpoch * batches.perEpoch;
        feeds.survivors = new Tensor('float32', [weighs ? 1 : 0], []);
      }
      const outputs = await stepper.step(feeds, peak * recipe.schedule(step, total));
      const scalar = (output: string) => (outputs[output]!.data as Float32Array)[0]!;
      const loss = scalar(LOSS);
      if (!Number.isFinite(loss)) throw trainingDiverged(ids.join(', '), step + 1, peak);
      const moved = (from: number, to: number) => (step === 0 ? to : MOMENTUM * from + (1 - MOMENTUM) * to);
      mean = moved(mean, loss);
      means = Object.fromEntries([...parts].map(([id, part]) => [id, moved(means[id]!, scalar(part))]));
      options.onProgress?.({
        phase: 'train',
        done: step + 1,
        total,
        loss: mean,
        losses: means,
        rate: ((step + 1) * batches.size * 1000) / (performance.now() - started),
      });
    }
    const trained = withLearned(heads, stepper.learned());
    if (!trained.every((head) => allFinite(head.graph))) throw trainingDiverged(ids.join(', '), total, peak);
    return trained;
  } finally {
    await stepper.close();
  }
}

/** No parameter is NaN or infinite: the last step's effect, which no loss has shown yet. */
const allFinite = (graph: Graph) =>
  graph.initializers.every((t) => t.dataType !== 'float' || toFloat32Array(t).every(Number.isFinite));

/** All heads as one graph with the loss that `name` stands for. */
function lossGraph(
  heads: readonly Head[],
  source: FeatureSource,
  name: RecipeName,
  recipe: Recipe,
  options: TrainOptions,
): Graph {
  const ids = heads.map((head) => head.exit.id);
  const joined = joinHeads(
    heads.map(({ exit, graph }) => ({ id: exit.id, graph: splitStem(graph).body })),
    source.half,
  );
  if (name === 'distill')
    return distill(joined, ids, source.classes, { ...recipe.survivors, ...options.distill });
  const version = name === 'pteenet-v1' ? 1 : 2;
  const costs = options.costs ?? heads.map(publishedCost);
  return pteenet(joined, ids, source.classes, { version, lambda: recipe.lambda, costs });
}

/** PTEENet counts the prefix and the head that answers, not the heads before it (flops_counter.py of their code). */
function publishedCost({ exit, macs }: Head): number {
  const totalMacs = Math.max(1, exit.tap.prefixMacs) / exit.tap.relativeCost;
  return (exit.prefixMacs + macs) / totalMacs;
}

/** Each head with its learned parameters, BatchNormalization folded. */
function withLearned(heads: readonly Head[], { initializers }: Graph): Head[] {
  const learned = new Map(initializers.map((t) => [t.name, t]));
  return heads.map((head) => {
    const own = head.graph.initializers.map((tensor) => {
      const trained = learned.get(`${head.exit.id}/${tensor.name}`);
      return trained ? { ...trained, name: tensor.name } : tensor;
    });
    const graph = runPasses({ ...head.graph, initializers: own }, [inferenceForm]);
    return { ...head, graph, macs: headMacs(graph) };
  });
}
