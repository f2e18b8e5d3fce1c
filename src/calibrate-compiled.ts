/** A compiled model again, with other thresholds: for another budget, another policy, other data. Nothing is trained. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { defaultCache } from './cache.ts';
import type { Preprocessing } from './data/index.ts';
import type { Manifest, ManifestInput } from './emit/manifest.ts';
import { checkOutput } from './emit/write.ts';
import { calibrationDataMissing, messageOf, otherModel, unusableHeads } from './errors.ts';
import { type Events, progressOf } from './events.ts';
import { type Compiled, finish, HEADS_FILE } from './finish.ts';
import type { Model } from './graph/types.ts';
import { indexGraph } from './graph/walk.ts';
import { inspectLoaded } from './inspect.ts';
import { costsOf } from './judge.ts';
import type { SessionOptions } from './ort.ts';
import { loadModel, parseModel } from './parser/index.ts';
import { unbundleHeads } from './passes/bundle-heads.ts';
import type { ExitPlan, Head, HeadKind } from './passes/exits.ts';
import type { PolicyName } from './policies/index.ts';
import { takeGivenHeads, takeKeptHeads } from './prepare-heads.ts';
import type { ProofEffort } from './prove-equal.ts';
import { readPackage } from './read-package.ts';
import { inputOf, openRoles, type RolePaths } from './roles.ts';
import {
  DEFAULT_WISHES,
  refuseOdd,
  refuseUnreachable,
  settleWishes,
  type ThresholdOptions,
  type Wishes,
} from './wishes.ts';

/** What is left out of the thresholds' options stays as it was. */
export interface CalibrateOptions extends ThresholdOptions, RolePaths {
  /** What `compile` wrote. */
  readonly folder: string;
  /** Path of the original ONNX file. */
  readonly model: string;
  /** Folder to write, empty or absent unless `force`; `folder` itself when left out. */
  readonly out?: string;
  readonly force?: boolean;
  /** How many of the reported samples the emitted model is checked on before it is written. */
  readonly prove?: ProofEffort;
  readonly threads?: number;
  readonly skipBad?: boolean;
  readonly cache?: string;
}

/**
 * Calibrates the heads that `compile` kept and writes what it would have written for these options. Training data, where given, are only
 * cut, as compile cut them. Throws `not-a-package`, `unusable-heads`, `other-model`, `calibration-data-missing`, and what `compile` throws.
 */
export async function calibrate(options: CalibrateOptions, events: Events = {}): Promise<Compiled> {
  const { folder, model, out = folder, cache = defaultCache(), skipBad } = options;
  const { signal } = events;
  const force = options.out === undefined || (options.force ?? false);
  const before = await readPackage(folder);
  await checkOutput(out, { force });
  const wishes = settleWishes(options, wishesIn(before));
  refuseOdd(wishes);
  if (options.calibration === undefined && options.train === undefined) throw calibrationDataMissing();
  const { seed, recipe, labels } = before;
  const { file, sha256, exitOutputs } = before.source;

  const source = await loadModel(model);
  if (source.sha256 !== sha256) throw otherModel(model, folder, sha256);
  const count = options.threads ?? before.sessionOptions.threads;
  const threads: SessionOptions = count === null ? {} : { threads: count };
  const inspection = await inspectLoaded(source, {
    output: before.outputs.scores,
    dims: sizesOf(source.model, before.inputs),
    taps: before.exits.map((exit) => exit.tap),
    exitOutputs,
    session: threads,
  });
  const { typed, plan, given } = inspection;
  const heads = given?.heads ?? (await readHeads(folder, plan, before));
  const preprocessing = before.preprocessing as Preprocessing;
  const progress = progressOf(events);

  const opening = { input: inputOf(typed), preprocessing, cache, classes: typed.classes, skipBad, signal };
  const roles = await openRoles(options, seed, opening, (role, done, total) =>
    progress(`decoding ${role}`)(done, total),
  );
  try {
    const costs = costsOf(plan, heads);
    refuseUnreachable(costs, roles.calibration.dataset.size, wishes);
    const session = { ...threads, externalDataFolder: source.folder };
    const judging = { typed, modelHash: sha256, session, signal };
    const setting = {
      inspection,
      roles,
      policy: wishes.policy,
      promises: wishes.confidence !== undefined,
      seed,
      cache,
      judging,
      events,
      progress,
    };
    const prepared = given
      ? await takeGivenHeads(setting)
      : await takeKeptHeads({ ...setting, heads, fittedOn: before.data });
    return await finish({
      inspection,
      prepared,
      test: roles.test,
      costs,
      wishes,
      origin: { file, exitOutputs, seed, recipe, labels, preprocessing },
      // Outputs that early exits do not compute were allowed to go, or there would be no such package.
      dropOutputs: true,
      prove: options.prove,
      threads,
      out,
      force,
      events,
      progress,
    });
  } finally {
    await roles.close();
  }
}

/** What compile was asked for. */
const wishesIn = ({ policy, calibration, outputs, defaultPoint }: Manifest): Wishes => ({
  ...DEFAULT_WISHES,
  ...calibration,
  policy: policy as PolicyName,
  thresholds: outputs.thresholds === null ? 'baked' : 'input',
  at: defaultPoint,
});

/** Sizes of the symbolic dimensions of `model`, as `observeFacts` takes them, from the shapes they turned into. */
function sizesOf({ graph }: Model, inputs: readonly ManifestInput[]): Record<string, number> {
  const { realInputs } = indexGraph(graph);
  const entries = inputs.flatMap(({ name, dims }) => {
    const declared = graph.inputs.find((value) => value.name === name && realInputs.has(name))?.type?.dims;
    return dims.flatMap((size, axis) => {
      const dim = declared?.[axis];
      return size === 'N' ? [] : [[typeof dim === 'string' ? dim : `${name}.${axis}`, size] as const];
    });
  });
  return Object.fromEntries(entries);
}

/** The heads that compile kept in `folder`. Throws `unusable-heads`. */
async function readHeads(folder: string, plan: ExitPlan, { exits }: Manifest): Promise<readonly Head[]> {
  const file = join(folder, HEADS_FILE);
  const bytes = await readFile(file).catch((error) => {
    throw unusableHeads(file, `cannot be read: ${messageOf(error)}`);
  });
  const planned = plan.exits.map((exit, k) => ({ exit, kind: exits[k]!.head as HeadKind }));
  let heads: readonly Head[] | undefined;
  try {
    heads = unbundleHeads(parseModel(bytes).graph, planned);
  } catch (error) {
    throw unusableHeads(file, `is damaged: ${messageOf(error)}`);
  }
  if (!heads) throw unusableHeads(file, 'is not of the exits in manifest.json');
  return heads;
}
