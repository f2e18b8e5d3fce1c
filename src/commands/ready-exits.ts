/** The original's exits, ready to predict, with heads from one of three sources: trained on the frozen original, part of the model, or kept by an earlier compile. */

import { createHash } from 'node:crypto';
import { type Goals, refuseUnpromised } from '../calibrate/goals.ts';
import { type Dataset, PLAIN_VIEW, samplesWithin } from '../data/index.ts';
import { type DataSummary, type SplitData, summaryOf } from '../data/splits.ts';
import type { Manifest, Training } from '../emit/manifest.ts';
import { noConfidenceHeads, option, trainingDataMissing } from '../errors/index.ts';
import { info } from '../errors/notes.ts';
import { makeModel } from '../graph/builder.ts';
import type { Network } from '../networks/chain.ts';
import { serializeModel } from '../parser/index.ts';
import { bundleHeads } from '../passes/bundle-heads.ts';
import type { Head } from '../passes/exits.ts';
import { policyOf } from '../policies/index.ts';
import { warnOfContradiction } from '../predict/check-original.ts';
import {
  type ConfidenceSplits,
  findValidation,
  fitConfidenceHeads,
  settleValidation,
  type ValidationSplits,
} from '../predict/fit-confidence.ts';
import { keptPredictions } from '../predict/keep-predictions.ts';
import {
  type Predictions,
  type PredictOptions,
  predict,
  predictExisting,
  rowsOf,
} from '../predict/predict.ts';
import type { FeatureSource } from '../train/feature-source.ts';
import { DEFAULT_LIMIT_BYTES, type FeatureOptions, openFeatures } from '../train/features.ts';
import { lossCurve } from '../train/loss-curve.ts';
import { openMerged } from '../train/shards.ts';
import { recipeOf, trainHeads } from '../train/train.ts';
import type { TrainOptions } from '../train/train-options.ts';
import { trainingViews } from '../train/views.ts';
import { isTrained } from './kept-heads.ts';
import { namingSample } from './not-finite.ts';
import type { CompileContext } from './project.ts';

export interface ReadyExits {
  /** [K] */
  readonly heads: readonly Head[];
  /** The heads as an ONNX file; undefined when they are part of the model. */
  readonly headsFile: Uint8Array | undefined;
  readonly fittedOn: FittedOn;
  /** How they were trained; undefined when they are part of the model. */
  readonly training: Training | undefined;
  /** For what the policy learns; undefined when it learns nothing. */
  readonly validation: SplitData | undefined;
  /** For the search: no head, confidence layer or policy was fitted on these samples, nor a temperature where a drop is promised. */
  readonly calibration: SplitData;
  /** Logits and confidence of every exit for a split or a part of it; read from the cache where they are known. */
  predict(dataset: Dataset, phase: string): Promise<Predictions>;
  /** The same with one sample a run, never cached. */
  predictAlone(dataset: Dataset): Promise<Predictions>;
}

/** What heads were trained and their confidence layers fitted on; neither when they are part of the model. */
export interface FittedOn {
  readonly train?: DataSummary | undefined;
  readonly validation?: DataSummary | undefined;
}

export interface TrainExitsOptions {
  readonly training: Omit<TrainOptions, 'seed'>;
  readonly cacheLimit?: number | undefined;
  /** As in `trainingViews`. */
  readonly views?: number | undefined;
  /** Folder of merged features; nothing is extracted then. */
  readonly features?: string | undefined;
}

/** Trains heads on the training part of `splits`, and fits their confidence layers and temperatures on the validation part. */
export async function trainExits(
  context: CompileContext,
  goals: Goals,
  splits: ConfidenceSplits,
  options: TrainExitsOptions,
): Promise<ReadyExits> {
  const { seed, predicting, events, progress } = context;
  const { heads } = originalOf(context);
  const wanted = trainingFeatures(context, splits, options.views);
  const parts = partsFor(context, goals, splits);
  const { features: merged, cacheLimit = DEFAULT_LIMIT_BYTES } = options;
  const features =
    merged === undefined
      ? await openFeatures({ ...wanted, cacheLimitBytes: options.cacheLimit })
      : await openMerged(merged, wanted);
  const isCut = noteCut(context, features, wanted, cacheLimit);
  const { follow, curve } = lossCurve();
  const trained = await trainHeads(heads, features, {
    ...options.training,
    seed,
    session: predicting.session,
    signal: predicting.signal,
    onProgress: (step) => {
      follow(step);
      const { done, total, loss } = step;
      events.onProgress?.({ phase: 'training', done, total, unit: 'steps', note: `loss ${loss.toFixed(3)}` });
    },
  })
    .catch(async (error: unknown) => {
      throw await namingSample(error, splits.train.dataset, predicting);
    })
    .finally(() => features.close());

  const { validation } = splits;
  const onProgress = progress('fitting confidence');
  const validated = await predict(trained, validation.dataset, { ...predicting, onProgress });
  const { epochs, batch, learningRate, lambda, survivors } = recipeOf(options.training);
  return {
    ...withOwnHeads(context, fitConfidenceHeads(trained, validated)),
    fittedOn: fittedOn(splits),
    training: {
      epochs,
      batch,
      learningRate,
      ...(lambda !== 0 && { lambda }),
      ...(survivors && { survivors: true as const }),
      views: wanted.views?.length ?? 1,
      ...(isCut && { cacheLimit }),
      ...curve,
    },
    ...parts,
  };
}

/** What is trained on `splits`. */
export const fittedOn = ({ train, validation }: ConfidenceSplits): FittedOn => ({
  train: summaryOf(train),
  validation: summaryOf(validation),
});

/** Whether the limit of the cache left out views that were asked for; a note then. */
function noteCut(
  { events }: CompileContext,
  features: FeatureSource,
  { views = [PLAIN_VIEW] }: FeatureOptions,
  limit: number,
): boolean {
  const cached = features.storage === 'cached' ? features.views.length : 0;
  const isCut = cached < views.length;
  if (isCut)
    events.onNote?.(
      info(
        'cache-limit-reached',
        cached > 0
          ? `Features of ${cached} of ${views.length} views fit into ${option('cacheLimit', String(limit))}: training uses only these.`
          : `Features do not fit into ${option('cacheLimit', String(limit))}: they are computed again for each batch.`,
      ),
    );
  return isCut;
}

/** The splits as training has them. */
export async function trainingSplits({
  splits,
  seed,
  predicting,
  events,
}: CompileContext): Promise<ConfidenceSplits> {
  if (!splits.train) throw trainingDataMissing();
  const warning = await warnOfContradiction(splits.train.dataset, seed, predicting);
  if (warning) events.onNote?.(warning);
  return await settleValidation({ ...splits, train: splits.train }, seed, predicting, events);
}

/** The features that heads are trained from. `views` as in `trainingViews`. */
export function trainingFeatures(
  context: CompileContext,
  { train: { dataset } }: ConfidenceSplits,
  views: number | undefined,
): FeatureOptions {
  const { cache, predicting, progress } = context;
  return {
    ...predicting,
    heads: originalOf(context).heads,
    dataset,
    cacheFolder: cache,
    ...trainingViews(dataset, views),
    onProgress: progress('extracting features'),
  };
}

/** Exits that are part of the model: nothing is trained and no temperature is fitted, so that their logits stay as they are. */
export function existingExits(context: CompileContext, goals: Goals): ReadyExits {
  const { inspection, splits, seed } = context;
  const { policy } = goals;
  const { whole, answers } = inspection.existing!;
  const original = originalOf(context);
  if (policy !== 'auto' && policyOf(policy).readsConfidence) throw noConfidenceHeads();
  return {
    heads: original.heads,
    headsFile: undefined,
    fittedOn: {},
    training: undefined,
    ...partsFor(context, goals, findValidation(splits, seed)),
    ...predictThrough(context, original, answers, (dataset, options) =>
      predictExisting(whole.model, answers, dataset, options),
    ),
  };
}

/** An original without exits of its own, behind other networks: it alone gives the last answer. `fittedOn`: what those were trained on, if they were. */
export function noExits(
  context: CompileContext,
  goals: Goals,
  splits: ValidationSplits,
  fittedOn: FittedOn = {},
): ReadyExits {
  const { policy } = goals;
  if (policy !== 'auto' && policyOf(policy).readsConfidence) throw noConfidenceHeads();
  return {
    heads: [],
    headsFile: undefined,
    fittedOn,
    training: undefined,
    ...partsFor(context, goals, splits),
    ...predictHeads(context, originalOf(context), []),
  };
}

/** The original, the last network of the chain. */
export const originalOf = ({ chain }: Pick<CompileContext, 'chain'>): Network => chain.networks.at(-1)!;

/** Exits that an earlier compile trained: `before` is its manifest. */
export function keptExits(
  context: CompileContext,
  goals: Goals,
  before: Pick<Manifest, 'data' | 'training'>,
): ReadyExits {
  const { splits, seed } = context;
  const parts = findValidation(splits, seed, before.data.validation?.hash);
  return {
    ...withOwnHeads(context, originalOf(context).heads),
    fittedOn: before.data,
    training: before.training,
    ...partsFor(context, goals, parts),
  };
}

function withOwnHeads(
  context: CompileContext,
  heads: readonly Head[],
): Pick<ReadyExits, 'heads' | 'headsFile' | 'predict' | 'predictAlone'> {
  const headsFile = serializeModel(makeModel(bundleHeads(heads)));
  return { heads, headsFile, ...predictHeads(context, originalOf(context), heads) };
}

/** Predictions of `heads` at taps of `network`, and what it answers itself. */
export function predictHeads(
  context: CompileContext,
  network: Network,
  heads: readonly Head[],
): Pick<ReadyExits, 'predict' | 'predictAlone'> {
  const bundle = serializeModel(makeModel(bundleHeads(heads)));
  const identity = createHash('sha256').update(bundle).digest('hex');
  return predictThrough(context, network, identity, (dataset, options) => predict(heads, dataset, options));
}

/**
 * The search gets the whole calibration split; only its unseen part where the policy learns or reads confidence, or a drop is promised for
 * trained heads (whose temperatures were fitted on the other part). Throws what the policy refuses, and `too-few-for-guarantee`.
 */
function partsFor(
  { heads, splits, predicting }: CompileContext,
  goals: Goals,
  { validation, unseen }: { readonly validation: SplitData; readonly unseen: SplitData },
): Pick<ReadyExits, 'validation' | 'calibration'> {
  const { policy, confidence } = goals;
  const chosen = policy === 'auto' ? undefined : policyOf(policy);
  chosen?.refuse?.(validation.dataset.labels, predicting.typed.classes);
  const learns = chosen === undefined || chosen.fit !== undefined;
  const promised = confidence !== undefined && heads.some(({ kind }) => isTrained(kind));
  const calibration = learns || chosen.readsConfidence || promised ? unseen : splits.calibration;
  refuseUnpromised(calibration.dataset.size, goals);
  return { validation: learns ? validation : undefined, calibration };
}

/**
 * Predictions by way of the cache. The calibration split is predicted whole and its parts are rows of that, so that the parts of another
 * policy are there too.
 */
function predictThrough(
  { splits, cache, predicting: through, progress, chain }: CompileContext,
  network: Network,
  heads: unknown,
  run: (dataset: Dataset, options: PredictOptions) => Promise<Predictions>,
): Pick<ReadyExits, 'predict' | 'predictAlone'> {
  const { typed, hash, plan, file } = network;
  const predicting = { ...through, typed, modelHash: hash };
  const { session, signal, onNote } = through;
  const calibration = splits.calibration.dataset;
  const named = (phase: string) => (chain.networks.length > 1 ? `${phase} (${file})` : phase);
  const key = {
    cache,
    modelHash: hash,
    heads: [typed.logits, typed.batch, heads, ...(session.provider ? [session.provider] : [])],
    exits: plan.exits.length,
    classes: typed.classes,
    signal,
    onNote,
  };
  return {
    async predict(dataset, phase) {
      const part = samplesWithin(dataset, calibration);
      const whole = part ? calibration : dataset;
      const predictions = await keptPredictions({ ...key, dataset: whole }, () =>
        run(whole, { ...predicting, onProgress: progress(named(phase)) }),
      );
      return part && whole !== dataset ? rowsOf(predictions, part) : predictions;
    },
    predictAlone: (dataset) => run(dataset, { ...predicting, typed: { ...typed, batch: 'fixed' } }),
  };
}
