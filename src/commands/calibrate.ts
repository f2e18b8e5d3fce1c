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
import { warnOfLeaks } from '../data/check-splits.ts';
import type { Dataset, Preprocessing } from '../data/index.ts';
import { inputsOf, notesOnSplits, openSplits, type SplitPaths, UNLABELLED } from '../data/splits.ts';
import { readTokenizer, tokenizerFor } from '../emit/keep-tokenizer.ts';
import type { Manifest } from '../emit/manifest.ts';
import { readPackage } from '../emit/read-package.ts';
import { checkOutput } from '../emit/write.ts';
import { type Events, progressOf } from '../errors/events.ts';
import { calibrationDataMissing } from '../errors/index.ts';
import { settleSession } from '../ort/session.ts';
import type { PolicyName } from '../policies/index.ts';
import { answersOf, costsOf } from '../predict/predict.ts';
import type { VerifyEffort } from '../predict/verify.ts';
import { type Compiled, finish } from './finish.ts';
import { checkCall } from './options.ts';
import { takeKeptHeads, useExistingHeads } from './prepare-heads.ts';
import { reopen } from './reopen.ts';

/** What is left out of the thresholds' options stays as it was. */
export interface CalibrateOptions extends ThresholdOptions, SplitPaths {
  /** What `compile` wrote. */
  readonly folder: string;
  /** Path of the original ONNX file. */
  readonly model: string;
  /** Folder that its external data lie in; its own by default. */
  readonly externalDataFolder?: string;
  /** Folder to write, empty or absent unless `force`; `folder` itself when left out. */
  readonly out?: string;
  readonly force?: boolean;
  /** How many of the reported samples the emitted model is checked on before it is written. */
  readonly verify?: VerifyEffort;
  /** Write report.html too; true by default. */
  readonly report?: boolean;
  /** Measure latencies; true by default. Without them the same run writes the same bytes. */
  readonly timing?: boolean;
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
 * Calibrates the heads that `compile` kept and writes what it would have written for these options. Training data, where given, are only
 * cut, as compile cut them. Throws `not-a-package`, `unusable-heads`, `other-model`, `calibration-data-missing`, and what `compile` throws.
 */
export async function calibrate(options: CalibrateOptions, events: Events = {}): Promise<Compiled> {
  checkCall('calibrate', options, events);
  const { folder, model, out = folder, cache = defaultCache(), skipBad } = options;
  const { signal } = events;
  const force = options.out === undefined || (options.force ?? false);
  const before = await readPackage(folder);
  await checkOutput(out, { force });
  const unlabelled = options.labels === UNLABELLED || before.data.calibration?.labels === 'original';
  const goals = settleGoals(options, unlabelled, goalsIn(before));
  refuseContradictions(goals, unlabelled);
  if (options.calibration === undefined && options.train === undefined) throw calibrationDataMissing();
  const { seed, recipe, labels } = before;
  const { sha256, opset: _, producer: __, ...readBefore } = before.source;
  const reading = {
    ...readBefore,
    ...(options.externalDataFolder !== undefined && { externalDataFolder: 'given' as const }),
    ...(skipBad && { skipBad }),
  };

  const { sessionOptions } = before;
  const runs = await settleSession({
    threads: options.threads ?? sessionOptions.threads ?? undefined,
    provider: options.provider ?? sessionOptions.provider,
  });
  const { provider: ____, ...onCpu } = runs;
  const { inspection, heads } = await reopen(folder, before, model, onCpu, options.externalDataFolder);
  const { source, typed, plan, given } = inspection;
  const tokenizerFile = tokenizerFor(folder, before, options.tokenizer);
  const tokenizer = await readTokenizer(tokenizerFile, typed.sampleInputs);
  const preprocessing = before.preprocessing as Preprocessing;
  const progress = progressOf(events);

  const session = { ...runs, externalDataFolder: source.folder };
  const predicting = { typed, modelHash: inspection.hash, session, signal };
  const opening = {
    inputs: inputsOf(typed),
    preprocessing,
    cache,
    classes: typed.classes,
    skipBad,
    signal,
    labels: unlabelled ? UNLABELLED : labels,
    labelsFrom: join(folder, 'manifest.json'),
    tokenizer: tokenizerFile,
    answersOf: (dataset: Dataset) => answersOf(dataset, { ...predicting, onProgress: progress('labelling') }),
  } as const;
  const splits = await openSplits(options, seed, opening, (split, done, total) =>
    progress(`decoding ${split}`)(done, total),
  );
  try {
    for (const note of [...notesOnSplits(splits), ...(await warnOfLeaks(splits))]) events.onNote?.(note);
    const costs = costsOf(plan, heads);
    refuseUnreachable(costs, splits.calibration.dataset.size, goals);
    const setting = {
      inspection,
      splits,
      goals,
      seed,
      cache,
      predicting,
      events,
      progress,
    };
    const prepared = given
      ? await useExistingHeads(setting)
      : await takeKeptHeads({ ...setting, heads, fittedOn: before.data, training: before.training });
    return await finish({
      inspection,
      prepared,
      test: splits.test,
      costs,
      goals,
      origin: { source: reading, seed, recipe, labels, preprocessing },
      tokenizer,
      // Outputs that early exits do not compute were allowed to go, or there would be no such package.
      dropOutputs: true,
      verify: options.verify,
      runs,
      out,
      force,
      report: options.report ?? true,
      timing: options.timing ?? true,
      events,
      progress,
    });
  } finally {
    await splits.close();
  }
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
