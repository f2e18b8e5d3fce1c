/** A compiled model again, with other thresholds: for another budget, another policy, other data. Nothing is trained. */

import { join } from 'node:path';
import { defaultCache } from '../cache/folder.ts';
import {
  DEFAULT_GOALS,
  type Goals,
  refuseContradictions,
  refuseUnreachable,
  settleGoals,
  type ThresholdOptions,
} from '../calibrate/goals.ts';
import type { Preprocessing } from '../data/index.ts';
import { inputsOf, type SplitPaths, UNLABELLED } from '../data/splits.ts';
import type { Origin } from '../emit/describe.ts';
import { readTokenizer, tokenizerFor } from '../emit/keep-tokenizer.ts';
import type { Manifest } from '../emit/manifest.ts';
import { readPackage } from '../emit/read-package.ts';
import { checkOutput } from '../emit/write.ts';
import type { Events } from '../errors/events.ts';
import { calibrationDataMissing, optionText } from '../errors/index.ts';
import { info, type Note } from '../errors/notes.ts';
import { costsOfChain } from '../networks/chain.ts';
import type { FirstOptions } from '../networks/open-first.ts';
import { settleSession } from '../ort/session.ts';
import type { PolicyName } from '../policies/index.ts';
import { findValidation } from '../predict/fit-confidence.ts';
import { refuseAmongSamples, refuseOver } from './apart.ts';
import { withFirsts } from './chain-exits.ts';
import { type FinishOptions, finish } from './finish.ts';
import { modelFile } from './hub-model.ts';
import { checkCall, withRemedies } from './options.ts';
import { onCpu, type Project, withSplits } from './project.ts';
import { existingExits, keptExits, noExits, type ReadyExits } from './ready-exits.ts';
import { reopen } from './reopen.ts';
import type { Compiled } from './steps/describe-and-write.ts';

/** Threshold options that are left out keep the package's values. */
export interface CalibrateOptions
  extends ThresholdOptions,
    SplitPaths,
    Omit<FinishOptions, 'keepAll' | 'runtime'> {
  /** What `compile` wrote. */
  readonly folder: string;
  /** Path of the original ONNX file. */
  readonly model: string;
  /** The networks in front of it, in any order; those that lie beside `model` are found. Of each, only where its file lies counts. */
  readonly first?: readonly (string | FirstOptions)[];
  /** Folder that its external data lie in; its own by default. */
  readonly externalDataFolder?: string;
  /** Folder to write, empty or absent unless `force`; `folder` itself when left out. */
  readonly out?: string;
  readonly force?: boolean;
  readonly threads?: number;
  /** ONNX Runtime's execution provider. */
  readonly provider?: string;
  readonly skipBad?: boolean;
  /** `none`: the original's own answers are the labels; so too when compile had none. */
  readonly labels?: 'none';
  /** A tokenizer.json, where data are text; the package's own by default. */
  readonly tokenizer?: string;
  readonly cache?: string;
}

/**
 * Calibrates the heads that `compile` kept and writes what it would have written for these options. Training data
 * are used only to cut the same splits as compile did. Throws `not-a-package`, `unusable-heads`, `other-model`, `network-missing`,
 * `calibration-data-missing`, and what `compile` throws.
 */
export async function calibrate(options: CalibrateOptions, events: Events = {}): Promise<Compiled> {
  checkCall('calibrate', options, events);
  return await withRemedies('calibrate', () => calibratePackage(options, events));
}

async function calibratePackage(options: CalibrateOptions, events: Events): Promise<Compiled> {
  const { folder, out = folder } = options;
  const force = options.out === undefined || (options.force ?? false);
  const before = await readPackage(folder);
  await checkOutput(out, { force });
  await refuseAmongSamples([options.out, options.cache], options);
  await refuseOver(out, { ...options, model: await modelFile(options.model, before.source.file) });
  const unlabelled = options.labels === UNLABELLED || before.data.calibration?.labels === 'original';
  const goals = settleGoals(options, unlabelled, goalsIn(before));
  refuseContradictions(goals, unlabelled);
  if (options.calibration === undefined && options.train === undefined) throw calibrationDataMissing();
  const project = await reopenProject(options, before, unlabelled, events);
  const { inspection } = project;
  const tokenizer = await readTokenizer(project.opening.tokenizer, inspection.typed.sampleInputs);
  return await withSplits(project, options, events, async (context) => {
    refuseUnreachable(context.costs, context.splits.calibration.dataset.size, goals);
    const exits = inspection.existing
      ? existingExits(context, goals)
      : inspection.plan.exits.length === 0
        ? noExits(
            context,
            goals,
            findValidation(context.splits, context.seed, before.data.validation?.hash),
            before.data,
          )
        : keptExits(context, goals, before);
    const note = options.policy === undefined && noteOnAuto(exits, before);
    if (note) events.onNote?.(note);
    return await finish(
      context,
      withFirsts(context, exits),
      goals,
      {
        ...options,
        keepAll: true,
        ...(before.model?.runtime && { runtime: before.model.runtime }),
      },
      {
        origin: originOf(options, before),
        tokenizer,
        out,
        force,
      },
    );
  });
}

/**
 * A note where `auto` chose a policy that learns nothing: it compares policies that learn, which took some calibration samples, and thresholds are
 * now searched on all of them.
 */
function noteOnAuto({ calibration, validation }: ReadyExits, before: Manifest): Note | undefined {
  const { policyComparison, policy, data } = before;
  const isPart = (from: string | undefined) => from?.startsWith('rest of calibration') ?? false;
  if (!policyComparison || validation || isPart(calibration.from) || !isPart(data.calibration?.from))
    return undefined;
  return info(
    'auto-not-asked-again',
    `The policy stays ${policy}, which ${optionText('policy', 'auto')} chose. It learns nothing, so thresholds are chosen on all ${calibration.dataset.size} calibration samples; while policies were compared it was ${data.calibration!.samples}. Points move a little for that alone; ${optionText('policy', 'auto')} compares again and keeps to its part.`,
  );
}

/** The project of the compile that wrote `before`. */
async function reopenProject(
  options: CalibrateOptions,
  before: Manifest,
  unlabelled: boolean,
  events: Events,
): Promise<Project> {
  const { folder, model, cache = defaultCache(), skipBad } = options;
  const sessionOptions = await settleSession({
    threads: options.threads ?? before.sessionOptions.threads ?? undefined,
    provider: options.provider ?? before.sessionOptions.provider,
  });
  const { externalDataFolder, first } = options;
  const session = onCpu(sessionOptions);
  const { inspection, chain, external } = await reopen(folder, before, {
    model: await modelFile(model, before.source.file),
    first,
    externalDataFolder,
    session,
  });
  const { heads } = chain;
  const { typed } = inspection;
  const preprocessing = before.preprocessing as Preprocessing;
  return {
    inspection,
    chain,
    external,
    heads,
    costs: costsOfChain(chain),
    preprocessing,
    dims: before.source.dims ?? {},
    seed: before.seed,
    cache,
    sessionOptions,
    // Safe: compile refused the model unless its outputs may be dropped.
    dropOutputs: true,
    opening: {
      inputs: inputsOf(typed),
      preprocessing,
      cache,
      classes: typed.classes,
      skipBad,
      signal: events.signal,
      labels: unlabelled ? UNLABELLED : before.labels,
      labelsFrom: join(folder, 'manifest.json'),
      tokenizer: tokenizerFor(folder, before, options.tokenizer),
    },
  };
}

/** What the new manifest takes over from `before`. */
function originOf({ externalDataFolder, skipBad }: CalibrateOptions, before: Manifest): Origin {
  const { name, seed, recipe, labels, leftOut } = before;
  const { sha256: _, opset: __, producer: ___, ...source } = before.source;
  return {
    name,
    source: {
      ...source,
      ...(externalDataFolder !== undefined && { externalDataFolder: 'given' as const }),
      ...(skipBad && { skipBad }),
    },
    seed,
    recipe,
    labels,
    preprocessing: before.preprocessing as Preprocessing,
    ...(leftOut && { leftOut }),
  };
}

/** What compile was asked for. */
const goalsIn = ({ policy, final, calibration, outputs, defaultPoint }: Manifest): Goals => ({
  ...DEFAULT_GOALS,
  ...calibration,
  policy: policy as PolicyName,
  final: final ? 'ensembled' : 'original',
  thresholds: outputs.thresholds === null ? 'baked' : 'input',
  at: defaultPoint,
});
