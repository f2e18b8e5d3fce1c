/** From heads that can be judged to the finished folder: thresholds, the lowered model, its proof, its figures. */

import { join } from 'node:path';
import { confidenceOfEach, type Goals, HALVES } from '../calibrate/goals.ts';
import {
  BEST,
  type Candidate,
  type CostModel,
  type CrossFit,
  closesAll,
  dropName,
  guarantee,
  isNamed,
  measure,
  operatingPoints,
  pickBudget,
  pointNamed,
  timeBudgetName,
} from '../calibrate/index.ts';
import type { OutcomesAt } from '../calibrate/types.ts';
import { partition } from '../data/index.ts';
import { type SplitData, summaryOf } from '../data/splits.ts';
import { describeCompiled, type Origin, provenance } from '../emit/describe.ts';
import type { KeptTokenizer } from '../emit/keep-tokenizer.ts';
import type { Manifest, OperatingPoint, PolicyComparison } from '../emit/manifest.ts';
import { printManifest } from '../emit/manifest-json.ts';
import { HEADS_FILE, REPORT_FILE } from '../emit/package-files.ts';
import { emitPackage } from '../emit/stub.ts';
import { TOKENIZER_FILE } from '../emit/stub-texts.ts';
import { type Content, writeOutput } from '../emit/write.ts';
import type { Events, progressOf } from '../errors/events.ts';
import { timeBudgetUnreachable } from '../errors/index.ts';
import type { Inspection } from '../model/inspect.ts';
import type { SessionOptions } from '../ort/session.ts';
import { serializeModel } from '../parser/index.ts';
import { lowerExits } from '../passes/lower-exits.ts';
import { policyOf } from '../policies/index.ts';
import { choosePolicy, crossFitted, searchFor } from '../predict/choose-policy.ts';
import { benchmarkEmitted } from '../predict/measure-latency.ts';
import {
  type FittedPolicy,
  fitFinalAnswer,
  fitPolicy,
  outcomesAt,
  type Predictions,
} from '../predict/predict.ts';
import { type TimeCosts, timeCosts } from '../predict/time-costs.ts';
import { TOLERANCE, type VerifyEffort, verifyEmitted } from '../predict/verify.ts';
import { lossesBeyondNames, noTimeSaved } from '../report/index.ts';
import { reportCompiled } from '../report/write-report.ts';
import type { Prepared } from './prepare-heads.ts';

export interface Compiled {
  readonly manifest: Manifest;
  /** The points worth a row: those with a name of their own and those asked for. */
  readonly shown: readonly OperatingPoint[];
}

export interface FinishSetting {
  readonly inspection: Inspection;
  readonly prepared: Prepared;
  /** Undefined when nothing is left to report on. */
  readonly test: SplitData | undefined;
  readonly costs: CostModel;
  readonly goals: Goals;
  /** What the manifest says that was known before. */
  readonly origin: Origin;
  /** What texts became samples by. */
  readonly tokenizer: KeptTokenizer | undefined;
  /** Drop outputs of the original that an early exit does not compute. */
  readonly dropOutputs: boolean;
  /** How many of the reported samples the emitted model is checked on before it is written. */
  readonly verify: VerifyEffort | undefined;
  /** What the manifest records and generated code repeats. */
  readonly runs: SessionOptions;
  readonly out: string;
  readonly force: boolean;
  /** Whether to write the report. */
  readonly report: boolean;
  /** Whether to measure latencies. */
  readonly timing: boolean;
  readonly events: Events;
  readonly progress: ReturnType<typeof progressOf>;
}

/**
 * Fits the policy, finds thresholds, lowers, proves, times and writes. Nothing is written unless the emitted model proved equal.
 * Deterministic but for latencies.
 */
export async function finish(setting: FinishSetting): Promise<Compiled> {
  const { inspection, prepared, costs, goals, origin, dropOutputs, runs, events, progress } = setting;
  const { source, typed } = inspection;
  const { heads, calibration } = prepared;
  const { target } = goals;
  const { signal } = events;
  const session = { ...runs, externalDataFolder: source.folder };

  const halves =
    goals.confidence === undefined ? undefined : partition(calibration.dataset, HALVES, origin.seed);
  const searched = halves?.search ?? calibration.dataset;
  const predictions = await prepared.predict(searched, 'judging calibration');
  const validated =
    prepared.validation && (await prepared.predict(prepared.validation.dataset, 'judging validation'));
  const { fittedPolicy, unseen, comparison } = decide(validated, predictions, setting);
  const calibrated = outcomesAt(predictions, fittedPolicy);
  const hull = searchFor(calibrated, fittedPolicy, costs, target);
  const promises =
    halves &&
    promisesOf(
      hull,
      outcomesAt(await prepared.predict(halves.promise, 'judging promises'), fittedPolicy),
      costs,
      goals,
    );
  const lowered = (baked?: readonly number[]) =>
    lowerExits(typed, heads, { ...fittedPolicy, baked, dropOutputs, metadata: provenance(source.sha256) });
  const timely = await timelyPoints(goals.budgetsMs, predictions, fittedPolicy, setting, () =>
    timeCosts({
      model: serializeModel(lowered()),
      exits: heads.length,
      dataset: searched,
      session,
      signal,
      onProgress: progress('timing segments', 'runs'),
    }),
  );
  const points = operatingPoints(
    { hull, unseen },
    {
      target,
      budgets: goals.budgets,
      floors: goals.minAccuracies,
      maxDrops: goals.maxAccuracyDrops,
      found: new Map([...(promises?.candidates ?? []), ...timely]),
    },
  );
  const hasBest = points.some(({ name }) => name === BEST);
  if (goals.at === BEST && !hasBest)
    events.onNote?.(
      'No setting was found that is more accurate than the original beyond chance: exact stands in for best.',
    );
  const chosen = pointNamed(points, goals.at === BEST && !hasBest ? 'exact' : goals.at);

  const reported = setting.test?.dataset ?? searched;
  const reportedPredictions = setting.test ? await prepared.predict(reported, 'judging test') : predictions;
  const outcomes = setting.test ? outcomesAt(reportedPredictions, fittedPolicy) : calibrated;
  const baked = goals.thresholds === 'baked' ? chosen.thresholds : undefined;
  const emitted = lowered(baked);
  const kept = new Set(emitted.graph.outputs.map(({ name }) => name));
  const model = serializeModel(emitted);
  const verified = await verifyEmitted({
    model,
    typed,
    heads,
    dataset: reported,
    outcomes,
    predictions: reportedPredictions,
    predictAlone: prepared.predictAlone,
    thresholds: baked ? [baked] : points.map((point) => point.thresholds),
    baked: baked !== undefined,
    session,
    effort: setting.verify ?? 'some',
    signal,
    onProgress: progress('proving', 'answers'),
  });
  const coarse =
    verified.tolerance > TOLERANCE
      ? ` (allowed ${verified.tolerance.toExponential(1)}: ONNX Runtime's own optimizations, or the batch, move this model's output that far)`
      : '';
  if (verified.unsteady > 0)
    events.onNote?.(
      `Answers at exits may move by ${verified.unsteady.toExponential(1)} of the largest score with the batch: what this model computes on the way to them does, in ONNX Runtime itself.`,
    );
  const exact =
    verified.deviation === undefined
      ? ' at the thresholds that are built in'
      : `; with all exits closed it ${verified.deviation === 0 ? 'equals' : `is within ${verified.deviation.toExponential(1)} of`} the original`;
  events.onNote?.(
    `Proved: the emitted model gave ${verified.compared} answers as heads and policy do by hand${exact}${coarse}.`,
  );
  const latency = setting.timing
    ? await benchmarkEmitted({
        model,
        original: typed.model,
        dataset: reported,
        points: baked ? [chosen] : points,
        baked: baked !== undefined,
        session,
        signal,
        onProgress: progress('timing', 'runs'),
      })
    : undefined;

  const { train, validation } = prepared.fittedOn;
  const manifest = describeCompiled({
    origin,
    tokenizer: setting.tokenizer,
    inspection,
    dropped: typed.model.graph.outputs.flatMap(({ name }) => (kept.has(name) ? [] : [name])),
    heads,
    model,
    kept: prepared.kept,
    goals,
    training: prepared.training,
    policy: fittedPolicy.policy,
    policyFit: prepared.validation &&
      policyOf(fittedPolicy.policy).fit && {
        parameters: fittedPolicy.parameters,
        data: summaryOf(prepared.validation),
      },
    final: fittedPolicy.final,
    comparison,
    data: {
      ...(train && { train }),
      ...(validation && { validation }),
      calibration: summaryOf(calibration),
      ...(setting.test && { test: summaryOf(setting.test) }),
    },
    points,
    defaultPoint: chosen.name,
    promises: promises?.kept,
    costs,
    outcomes,
    latency,
    session: runs,
  });
  const slow = noTimeSaved(manifest);
  if (slow) events.onNote?.(slow);
  const beyond = lossesBeyondNames(manifest, outcomes);
  if (beyond) events.onNote?.(beyond);
  for (const [name, { thresholds, samples }] of promises?.kept ?? [])
    if (closesAll(thresholds))
      events.onNote?.(`${name} is exact: nothing cheaper could be certified on ${samples} samples.`);
  if (!setting.test && !reported.random)
    events.onNote?.(
      'There are no test samples: the figures are of those that thresholds were chosen on, and flatter them a little (--test).',
    );
  if (manifest.labels === undefined && !reported.random)
    events.onNote?.(
      'No class names are known, so the package answers with indices: --labels names.txt gives them.',
    );
  await writeOutput(
    setting.out,
    new Map<string, Content>([
      ['model.onnx', model],
      ...source.externalFiles.map((name) => [name, { copyOf: join(source.folder, name) }] as const),
      ...(prepared.kept ? [[HEADS_FILE, prepared.kept] as const] : []),
      ...(setting.tokenizer ? [[TOKENIZER_FILE, setting.tokenizer.content] as const] : []),
      ['manifest.json', printManifest(manifest)],
      ...emitPackage(manifest),
      ...(setting.report ? [[REPORT_FILE, await reportCompiled(manifest, outcomes, reported)] as const] : []),
    ]),
    { force: setting.force },
  );
  return { manifest, shown: manifest.operatingPoints.filter(({ name }) => isNamed(name)) };
}

/** Of a curve that is only looked at. */
const CURVE_DIGITS = 5;

/** The policy asked for, fitted; or the best of all of them. What learns nothing else has the last answer fitted where it is searched. */
function decide(
  validated: Predictions | undefined,
  predictions: Predictions,
  { inspection, goals, costs, origin, events, progress }: FinishSetting,
): {
  readonly fittedPolicy: FittedPolicy;
  readonly unseen: CrossFit;
  readonly comparison?: PolicyComparison;
} {
  const { policy, target, budgets } = goals;
  const { seed } = origin;
  const final = goals.final === 'ensembled' ? fitFinalAnswer(validated ?? predictions) : undefined;
  if (policy !== 'auto') {
    const fitted = validated ? fitPolicy(policy, validated, costs, budgets[0]) : { policy, parameters: {} };
    const fittedPolicy = { ...fitted, final };
    return { fittedPolicy, unseen: crossFitted(predictions, fittedPolicy, costs, target, seed) };
  }
  const { fittedPolicy, unseen, range, compared } = choosePolicy(validated!, predictions, costs, {
    target,
    budgets,
    haveConfidence: inspection.given === undefined,
    final,
    seed,
    onProgress: progress('comparing', 'policies'),
  });
  const [from, to] = range.map((cost) => cost.toFixed(2));
  const means = compared.map((c) => `${c.policy} ${(100 * c.mean).toFixed(2)} %`).join(', ');
  events.onNote?.(
    `Mean ${target} at costs of ${from} to ${to}: ${means}. The policy is ${fittedPolicy.policy}.`,
  );
  const policies = compared.map(({ policy, mean, curve }) => {
    return { policy, mean, curve: curve.map((value) => Number(value.toFixed(CURVE_DIGITS))) };
  });
  return { fittedPolicy, unseen, comparison: { costs: range, policies } };
}

/** For each of `budgets`, average milliseconds: the best point that keeps to it, found by costs that `time` measures. */
async function timelyPoints(
  budgets: readonly number[],
  predictions: Predictions,
  fittedPolicy: FittedPolicy,
  { costs, goals: { target }, origin: { seed } }: FinishSetting,
  time: () => Promise<TimeCosts>,
): Promise<[name: string, point: Candidate][]> {
  if (budgets.length === 0) return [];
  const { costs: times, exactMs } = await time();
  const outcomes = outcomesAt(predictions, fittedPolicy);
  const hull = searchFor(outcomes, fittedPolicy, times, target);
  const unseen = crossFitted(predictions, fittedPolicy, times, target, seed);
  const cheapestMs = hull[0]!.relativeCost * exactMs;
  return budgets.map((budget) => {
    if (cheapestMs > budget) throw timeBudgetUnreachable(budget, cheapestMs);
    const { thresholds } = pickBudget({ hull, unseen }, budget / exactMs);
    return [timeBudgetName(budget), { thresholds, ...measure(outcomes(thresholds), costs, thresholds) }];
  });
}

/** The cheapest point of `hull` that keeps each of the asked drops with the asked confidence, all of them together (Bonferroni). */
function promisesOf(hull: readonly Candidate[], unseen: OutcomesAt, costs: CostModel, goals: Goals) {
  const confidence = confidenceOfEach(goals);
  const risk = goals.target === 'agreement' ? 'disagreement' : 'drop';
  const kept = new Map(
    goals.maxAccuracyDrops.map((limit) => [
      dropName(limit),
      guarantee(hull, unseen, costs, { risk, limit, confidence }),
    ]),
  );
  const candidates = new Map(
    [...kept].map(([name, { thresholds }]) => [name, hull.find((point) => point.thresholds === thresholds)!]),
  );
  return { kept, candidates };
}
