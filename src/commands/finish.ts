/** From heads that can be judged to the finished folder: thresholds, the lowered model, its proof, its figures. */
import { join } from 'node:path';
import { confidenceOfEach, HALVES, type Wishes } from '../calibrate/goals.ts';
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
import { splitRoles } from '../data/index.ts';
import { type RoleData, summaryOf } from '../data/splits.ts';
import { describeCompiled, type Origin, provenance } from '../emit/describe.ts';
import type { KeptTokenizer } from '../emit/keep-tokenizer.ts';
import {
  type Manifest,
  type OperatingPoint,
  type PolicyComparison,
  printManifest,
} from '../emit/manifest.ts';
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
import { raceOriginal } from '../predict/measure-latency.ts';
import {
  type Decider,
  fitLastAnswer,
  fitPolicy,
  type Judged,
  type View,
  viewOf,
} from '../predict/predict.ts';
import { type TimeCosts, timeCosts } from '../predict/time-costs.ts';
import { type ProofEffort, proveEqual, TOLERANCE } from '../predict/verify.ts';
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
  readonly test: RoleData | undefined;
  readonly costs: CostModel;
  readonly wishes: Wishes;
  /** What the manifest says that was known before. */
  readonly origin: Origin;
  /** What texts became samples by. */
  readonly tokenizer: KeptTokenizer | undefined;
  /** Drop outputs of the original that an early exit does not compute. */
  readonly dropOutputs: boolean;
  /** How many of the reported samples the emitted model is checked on before it is written. */
  readonly prove: ProofEffort | undefined;
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
  const { inspection, prepared, costs, wishes, origin, dropOutputs, runs, events, progress } = setting;
  const { source, typed } = inspection;
  const { heads, calibration } = prepared;
  const { target } = wishes;
  const { signal } = events;
  const session = { ...runs, externalDataFolder: source.folder };

  const halves =
    wishes.confidence === undefined ? undefined : splitRoles(calibration.dataset, HALVES, origin.seed);
  const searched = halves?.search ?? calibration.dataset;
  const judged = await prepared.judge(searched, 'judging calibration');
  const validated =
    prepared.validation && (await prepared.judge(prepared.validation.dataset, 'judging validation'));
  const { decider, unseen, comparison } = decide(validated, judged, setting);
  const calibrated = viewOf(judged, decider);
  const hull = searchFor(calibrated, decider, costs, target);
  const promises =
    halves &&
    promisesOf(
      hull,
      viewOf(await prepared.judge(halves.promise, 'judging promises'), decider),
      costs,
      wishes,
    );
  const lowered = (baked?: readonly number[]) =>
    lowerExits(typed, heads, { ...decider, baked, dropOutputs, metadata: provenance(source.sha256) });
  const timely = await timelyPoints(wishes.budgetsMs, judged, decider, setting, () =>
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
      budgets: wishes.budgets,
      floors: wishes.minAccuracies,
      maxDrops: wishes.maxAccuracyDrops,
      found: new Map([...(promises?.candidates ?? []), ...timely]),
    },
  );
  const hasBest = points.some(({ name }) => name === BEST);
  if (wishes.at === BEST && !hasBest)
    events.onNote?.(
      'No setting was found that is more accurate than the original beyond chance: exact stands in for best.',
    );
  const chosen = pointNamed(points, wishes.at === BEST && !hasBest ? 'exact' : wishes.at);

  const reported = setting.test?.dataset ?? searched;
  const seenJudged = setting.test ? await prepared.judge(reported, 'judging test') : judged;
  const view = setting.test ? viewOf(seenJudged, decider) : calibrated;
  const baked = wishes.thresholds === 'baked' ? chosen.thresholds : undefined;
  const emitted = lowered(baked);
  const kept = new Set(emitted.graph.outputs.map(({ name }) => name));
  const model = serializeModel(emitted);
  const proved = await proveEqual({
    model,
    typed,
    heads,
    dataset: reported,
    view,
    judged: seenJudged,
    judgeAlone: prepared.judgeAlone,
    thresholds: baked ? [baked] : points.map((point) => point.thresholds),
    baked: baked !== undefined,
    session,
    effort: setting.prove ?? 'some',
    signal,
    onProgress: progress('proving', 'answers'),
  });
  const coarse =
    proved.tolerance > TOLERANCE
      ? ` (allowed ${proved.tolerance.toExponential(1)}: ONNX Runtime's own optimizations, or the batch, move this model's output that far)`
      : '';
  if (proved.unsteady > 0)
    events.onNote?.(
      `Answers at exits may move by ${proved.unsteady.toExponential(1)} of the largest score with the batch: what this model computes on the way to them does, in ONNX Runtime itself.`,
    );
  const exact =
    proved.deviation === undefined
      ? ' at the thresholds that are built in'
      : `; with all exits closed it ${proved.deviation === 0 ? 'equals' : `is within ${proved.deviation.toExponential(1)} of`} the original`;
  events.onNote?.(
    `Proved: the emitted model gave ${proved.compared} answers as heads and policy do by hand${exact}${coarse}.`,
  );
  const latency = setting.timing
    ? await raceOriginal({
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
    wishes,
    training: prepared.training,
    policy: decider.policy,
    policyFit: prepared.validation &&
      policyOf(decider.policy).fit && {
        parameters: decider.parameters,
        data: summaryOf(prepared.validation),
      },
    last: decider.last,
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
    view,
    latency,
    session: runs,
  });
  const slow = noTimeSaved(manifest);
  if (slow) events.onNote?.(slow);
  const beyond = lossesBeyondNames(manifest, view);
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
      ...(setting.report ? [[REPORT_FILE, await reportCompiled(manifest, view, reported)] as const] : []),
    ]),
    { force: setting.force },
  );
  return { manifest, shown: manifest.operatingPoints.filter(({ name }) => isNamed(name)) };
}

/** Of a curve that is only looked at. */
const CURVE_DIGITS = 5;

/** The policy asked for, fitted; or the best of all of them. What learns nothing else has the last answer fitted where it is searched. */
function decide(
  validated: Judged | undefined,
  judged: Judged,
  { inspection, wishes, costs, origin, events, progress }: FinishSetting,
): { readonly decider: Decider; readonly unseen: CrossFit; readonly comparison?: PolicyComparison } {
  const { policy, target, budgets } = wishes;
  const { seed } = origin;
  const last = wishes.last === 'joined' ? fitLastAnswer(validated ?? judged) : undefined;
  if (policy !== 'auto') {
    const fitted = validated ? fitPolicy(policy, validated, costs, budgets[0]) : { policy, parameters: {} };
    const decider = { ...fitted, last };
    return { decider, unseen: crossFitted(judged, decider, costs, target, seed) };
  }
  const { decider, unseen, range, compared } = choosePolicy(validated!, judged, costs, {
    target,
    budgets,
    haveConfidence: inspection.given === undefined,
    last,
    seed,
    onProgress: progress('comparing', 'policies'),
  });
  const [from, to] = range.map((cost) => cost.toFixed(2));
  const means = compared.map((c) => `${c.policy} ${(100 * c.mean).toFixed(2)} %`).join(', ');
  events.onNote?.(`Mean ${target} at costs of ${from} to ${to}: ${means}. The policy is ${decider.policy}.`);
  const policies = compared.map(({ policy, mean, curve }) => {
    return { policy, mean, curve: curve.map((value) => Number(value.toFixed(CURVE_DIGITS))) };
  });
  return { decider, unseen, comparison: { costs: range, policies } };
}

/** For each of `budgets`, average milliseconds: the best point that keeps to it, found by costs that `time` measures. */
async function timelyPoints(
  budgets: readonly number[],
  judged: Judged,
  decider: Decider,
  { costs, wishes: { target }, origin: { seed } }: FinishSetting,
  time: () => Promise<TimeCosts>,
): Promise<[name: string, point: Candidate][]> {
  if (budgets.length === 0) return [];
  const { costs: times, exactMs } = await time();
  const view = viewOf(judged, decider);
  const hull = searchFor(view, decider, times, target);
  const unseen = crossFitted(judged, decider, times, target, seed);
  const cheapestMs = hull[0]!.relativeCost * exactMs;
  return budgets.map((budget) => {
    if (cheapestMs > budget) throw timeBudgetUnreachable(budget, cheapestMs);
    const { thresholds } = pickBudget({ hull, unseen }, budget / exactMs);
    return [timeBudgetName(budget), { thresholds, ...measure(view(thresholds), costs, thresholds) }];
  });
}

/** The cheapest point of `hull` that keeps each of the asked drops with the asked confidence, all of them together (Bonferroni). */
function promisesOf(hull: readonly Candidate[], unseen: View, costs: CostModel, wishes: Wishes) {
  const confidence = confidenceOfEach(wishes);
  const risk = wishes.target === 'agreement' ? 'disagreement' : 'drop';
  const kept = new Map(
    wishes.maxAccuracyDrops.map((limit) => [
      dropName(limit),
      guarantee(hull, unseen, costs, { risk, limit, confidence }),
    ]),
  );
  const candidates = new Map(
    [...kept].map(([name, { thresholds }]) => [name, hull.find((point) => point.thresholds === thresholds)!]),
  );
  return { kept, candidates };
}
