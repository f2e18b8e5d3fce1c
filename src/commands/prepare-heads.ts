/** Three ways to heads that can be judged: train them on the frozen backbone, take those that came with the model, or those kept. */
import { createHash } from 'node:crypto';
import { type Goals, refuseUnpromised } from '../calibrate/goals.ts';
import { type Dataset, samplesWithin } from '../data/index.ts';
import type { DataSummary } from '../data/splits.ts';
import { type SplitData, type Splits, summaryOf } from '../data/splits.ts';
import type { Training } from '../emit/manifest.ts';
import type { Events, progressOf } from '../errors/events.ts';
import { noConfidenceHeads, trainingDataMissing } from '../errors/index.ts';
import { makeModel } from '../graph/builder.ts';
import type { Inspection } from '../model/inspect.ts';
import { serializeModel } from '../parser/index.ts';
import { bundleHeads } from '../passes/bundle-heads.ts';
import type { Head } from '../passes/exits.ts';
import { policyOf } from '../policies/index.ts';
import {
  type ConfidenceSplits,
  findValidation,
  fitConfidenceHeads,
  settleValidation,
} from '../predict/fit-confidence.ts';
import { keptPredictions } from '../predict/keep-predictions.ts';
import {
  type Predictions,
  type PredictOptions,
  predict,
  predictExisting,
  rowsOf,
} from '../predict/predict.ts';
import { DEFAULT_LIMIT_BYTES, type FeatureOptions, openFeatures } from '../train/features.ts';
import { lossCurve } from '../train/loss-curve.ts';
import { openMerged } from '../train/shards.ts';
import { recipeOf, type TrainOptions, trainHeads } from '../train/train.ts';
import { trainingViews } from '../train/views.ts';

export interface Prepared {
  readonly heads: readonly Head[];
  /** The heads as an ONNX file; undefined when they came with the model. */
  readonly kept: Uint8Array | undefined;
  readonly fittedOn: FittedOn;
  /** How they were trained; undefined when they came with the model. */
  readonly training: Training | undefined;
  /** For what the policy learns; undefined when it learns nothing. */
  readonly validation: SplitData | undefined;
  /** For the search: samples that nothing but a temperature an exit was fitted on, and not even that where a drop is promised. */
  readonly calibration: SplitData;
  /** What the heads say of a role or a part of it; found in the cache where it was said before. */
  predict(dataset: Dataset, phase: string): Promise<Predictions>;
  /** The same with one sample a run, kept nowhere. */
  predictAlone(dataset: Dataset): Promise<Predictions>;
}

/** What heads were trained and their confidence layers fitted on; neither when they came with the model. */
export interface FittedOn {
  readonly train?: DataSummary | undefined;
  readonly validation?: DataSummary | undefined;
}

export interface Setting {
  readonly inspection: Inspection;
  readonly splits: Splits;
  readonly goals: Goals;
  readonly seed: number;
  readonly cache: string;
  readonly predicting: PredictOptions;
  readonly events: Events;
  readonly progress: ReturnType<typeof progressOf>;
}

export interface TrainSetting extends Setting {
  /** Untrained. */
  readonly heads: readonly Head[];
  readonly training: Omit<TrainOptions, 'seed'>;
  readonly cacheLimitBytes: number | undefined;
  readonly views: number | undefined;
  /** Folder of merged features. */
  readonly merged: string | undefined;
}

/** Trains heads and fits their confidence layers and temperatures on the validation role. */
export async function trainOwnHeads(setting: TrainSetting): Promise<Prepared> {
  const { heads, seed, predicting, events, progress, merged } = setting;
  const { gates, wanted } = await trainingFeatures(setting, setting.views);
  const parts = splitsFor(setting, gates);
  const features =
    merged === undefined
      ? await openFeatures({ ...wanted, cacheLimitBytes: setting.cacheLimitBytes })
      : await openMerged(merged, wanted);
  const limit = setting.cacheLimitBytes ?? DEFAULT_LIMIT_BYTES;
  const cached = features.storage === 'cached' ? features.views.length : 0;
  const isCut = cached < (wanted.views?.length ?? 1);
  if (isCut)
    events.onNote?.(
      cached > 0
        ? `Features of ${cached} of ${wanted.views?.length} views fit into --cache-limit ${limit}: heads see no others.`
        : `Features do not fit into --cache-limit ${limit}: they are computed again for each batch.`,
    );
  const { follow, curve } = lossCurve();
  const trained = await trainHeads(heads, features, {
    ...setting.training,
    seed,
    session: predicting.session,
    signal: predicting.signal,
    onProgress: (p) => {
      follow(p);
      events.onProgress?.({
        phase: 'training',
        done: p.done,
        total: p.total,
        unit: 'steps',
        note: `loss ${p.loss.toFixed(3)}`,
      });
    },
  }).finally(() => features.close());

  const onProgress = progress('fitting confidence');
  const validated = await predict(trained, gates.validation.dataset, { ...predicting, onProgress });
  const gated = fitConfidenceHeads(trained, validated);
  const { epochs, batch, learningRate, lambda, survivors } = recipeOf(setting.training);
  return {
    ...predictWithOwn(gated, setting),
    fittedOn: { train: summaryOf(gates.train), validation: summaryOf(gates.validation) },
    training: {
      epochs,
      batch,
      learningRate,
      ...(lambda !== 0 && { lambda }),
      ...(survivors && { survivors: true as const }),
      views: wanted.views?.length ?? 1,
      ...(isCut && { cacheLimit: limit }),
      ...curve,
    },
    ...parts,
  };
}

/** The roles as training has them, and the features that it reads. `views` as in `trainingViews`. */
export async function trainingFeatures(
  {
    heads,
    splits,
    seed,
    cache,
    predicting,
    events,
    progress,
  }: Omit<Setting, 'goals' | 'inspection'> & {
    readonly heads: readonly Head[];
  },
  views: number | undefined,
): Promise<{ readonly gates: ConfidenceSplits; readonly wanted: FeatureOptions }> {
  if (!splits.train) throw trainingDataMissing();
  const gates = await settleValidation({ ...splits, train: splits.train }, seed, predicting, events);
  const { dataset } = gates.train;
  const wanted = {
    ...predicting,
    heads,
    dataset,
    cacheFolder: cache,
    ...trainingViews(dataset, views),
    onProgress: progress('extracting features'),
  };
  return { gates, wanted };
}

/** Trains nothing and fits no temperature: the model's own exits, whose logits stay as they are. */
export async function useExistingHeads(setting: Setting): Promise<Prepared> {
  const { inspection, splits, goals, seed } = setting;
  const { policy } = goals;
  const { whole, answers, heads } = inspection.given!;
  if (policy !== 'auto' && policyOf(policy).readsConfidence) throw noConfidenceHeads();
  return {
    heads,
    kept: undefined,
    fittedOn: {},
    training: undefined,
    ...splitsFor(setting, findValidation(splits, seed)),
    ...predictThrough(setting, answers, (dataset, options) =>
      predictExisting(whole.model, answers, dataset, options),
    ),
  };
}

export interface KeptSetting extends Setting {
  /** With their confidence layers. */
  readonly heads: readonly Head[];
  readonly fittedOn: FittedOn;
  readonly training: Training | undefined;
}

/** Trains nothing: heads of an earlier compile. */
export async function takeKeptHeads(setting: KeptSetting): Promise<Prepared> {
  const { heads, fittedOn, training, splits, seed } = setting;
  const found = findValidation(splits, seed, fittedOn.validation?.hash);
  return {
    ...predictWithOwn(heads, setting),
    fittedOn,
    training,
    ...splitsFor(setting, found),
  };
}

function predictWithOwn(
  heads: readonly Head[],
  setting: Setting,
): Pick<Prepared, 'heads' | 'kept' | 'predict' | 'predictAlone'> {
  const kept = serializeModel(makeModel(bundleHeads(heads)));
  const identity = createHash('sha256').update(kept).digest('hex');
  return {
    heads,
    kept,
    ...predictThrough(setting, identity, (dataset, options) => predict(heads, dataset, options)),
  };
}

/**
 * All that a policy such as max-prob looks at that was fitted on calibration samples is one temperature an exit, so it may use them all,
 * unless a drop is promised. Exits that came with the model have no temperature.
 */
function splitsFor(
  { goals, inspection, splits, predicting }: Setting,
  { validation, unseen }: { readonly validation: SplitData; readonly unseen: SplitData },
): Pick<Prepared, 'validation' | 'calibration'> {
  const { policy, confidence } = goals;
  const chosen = policy === 'auto' ? undefined : policyOf(policy);
  chosen?.refuse?.(validation.dataset.labels, predicting.typed.classes);
  const learns = chosen === undefined || chosen.fit !== undefined;
  const promised = confidence !== undefined && inspection.given === undefined;
  const calibration = learns || chosen.readsConfidence || promised ? unseen : splits.calibration;
  refuseUnpromised(calibration.dataset.size, goals);
  return { validation: learns ? validation : undefined, calibration };
}

/** Judges through the cache. Parts of the calibration role are taken out of the whole, so that another policy's parts are there too. */
function predictThrough(
  { splits, cache, predicting, inspection, progress }: Setting,
  heads: unknown,
  run: (dataset: Dataset, options: PredictOptions) => Promise<Predictions>,
): Pick<Prepared, 'predict' | 'predictAlone'> {
  const { typed, modelHash, session, signal } = predicting;
  const calibration = splits.calibration.dataset;
  const key = {
    cache,
    modelHash,
    heads: [typed.logits, typed.batch, heads, ...(session.provider ? [session.provider] : [])],
    exits: inspection.plan.exits.length,
    classes: typed.classes,
    signal,
  };
  return {
    async predict(dataset, phase) {
      const part = samplesWithin(dataset, calibration);
      const whole = part ? calibration : dataset;
      const predictions = await keptPredictions({ ...key, dataset: whole }, () =>
        run(whole, { ...predicting, onProgress: progress(phase) }),
      );
      return part && whole !== dataset ? rowsOf(predictions, part) : predictions;
    },
    predictAlone: (dataset) => run(dataset, { ...predicting, typed: { ...typed, batch: 'fixed' } }),
  };
}
