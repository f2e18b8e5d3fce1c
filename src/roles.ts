/** The four data roles: train, validation, calibration, test. Opened from what the user gave, split from it where needed. */
import {
  type Dataset,
  type InputSpec,
  type OpenOptions,
  openDataset,
  relabel,
  splitRoles,
  withoutCopies,
} from './data/index.ts';
import type { DataSummary } from './emit/manifest.ts';
import { emptyDataset, noSampleInput, trainingDataMissing } from './errors.ts';
import type { TypedModel } from './passes/exits.ts';

export const ROLES = ['train', 'validation', 'calibration', 'test'] as const;
export type Role = (typeof ROLES)[number];

export interface RolePaths {
  /** May be left out when nothing is trained. */
  readonly train?: string | undefined;
  readonly validation?: string;
  readonly calibration?: string;
  readonly test?: string;
}

/** How roles are opened. */
export interface OpeningOptions extends Omit<OpenOptions, 'onProgress' | 'role'> {
  /** Labels for a role that has none. */
  readonly answersOf: (dataset: Dataset) => Promise<Int32Array>;
}

export interface RoleData {
  readonly dataset: Dataset;
  /** Set when the role was not given as such: where its samples come from. */
  readonly from?: string;
  /** Samples that were left out because they are exact copies of others. */
  readonly copies?: number;
}

export interface Roles {
  /** Undefined when it was not given. */
  readonly train: RoleData | undefined;
  /** Undefined until it is known what it may be cut from. */
  readonly validation: RoleData | undefined;
  readonly calibration: RoleData;
  /** Undefined when nothing is left to report on: figures are then of the calibration role. */
  readonly test: RoleData | undefined;
  close(): Promise<void>;
}

/** A role as the manifest tells it. */
export const summaryOf = ({ dataset, from, copies }: RoleData): DataSummary => ({
  samples: dataset.size,
  hash: dataset.hash,
  ...(from && { from }),
  ...(copies && { copies }),
  ...(dataset.unlabelled && { labels: 'original' as const }),
  ...(dataset.random && { random: true as const }),
});

/** The inputs that data files fill. Throws `no-sample-input`. */
export function inputsOf(typed: TypedModel): InputSpec[] {
  if (typed.sampleInputs.length === 0) throw noSampleInput();
  return typed.sampleInputs.map((name) => {
    const { dims, dataType } = typed.facts.get(name)!;
    return { name, dims: dims.slice(1), dataType };
  });
}

/** What a user gives for labels that are not there. */
export const UNLABELLED = 'none' as const;

/** What has to be said of the data before anything is read into the figures. */
export function notesOn(roles: Roles): string[] {
  const all = ROLES.flatMap((role) => roles[role]?.dataset ?? []);
  const notes: string[] = [];
  if (all.some((dataset) => dataset.random))
    notes.push(
      'RANDOM SAMPLES: this shows that everything runs. No accuracy, cost or threshold below means anything.',
    );
  else if (all.some((dataset) => dataset.unlabelled))
    notes.push(
      "Nothing is labelled: the original's own answers stand in for labels, so accuracy is agreement with it.",
    );
  for (const role of ROLES) {
    const { copies = 0, dataset } = roles[role] ?? {};
    if (copies > 0)
      notes.push(
        `${copies} of ${copies + dataset!.size} ${role} samples are exact copies of others and left out: what is seen twice is no evidence of two.`,
      );
  }
  return notes;
}

/** A role that figures or promises rest on, each sample counted once and none that another of `roles` has. */
async function distinct({ dataset, from }: RoleData, others: readonly RoleData[] = []): Promise<RoleData> {
  if (dataset.random) return { dataset, ...(from && { from }) };
  const kept = await withoutCopies(
    dataset,
    others.map((role) => role.dataset),
  );
  if (kept.size === 0) throw emptyDataset(`${dataset.path} (what is not in other roles too)`);
  return { dataset: kept, ...(from && { from }), copies: dataset.size - kept.size };
}

/** Shares of the training data that stand in for roles that were not given. */
export const SHARES = { calibration: 0.15, test: 0.15 };

/** Opens every path, lets the original label what is unlabelled, and splits roles that are missing off the training data, by seed. */
export async function openRoles(
  paths: RolePaths,
  seed: number,
  options: OpeningOptions,
  onProgress: (role: Role, done: number, total: number) => void,
): Promise<Roles> {
  const opened = new Map<Role, Dataset>();
  const close = async () => {
    for (const dataset of opened.values()) await dataset.close();
  };
  try {
    for (const role of ROLES) {
      const path = paths[role];
      if (path === undefined) continue;
      const dataset = await openDataset(path, {
        ...options,
        role,
        onProgress: (d, t) => onProgress(role, d, t),
      });
      opened.set(role, dataset);
      if (dataset.unlabelled) opened.set(role, relabel(dataset, await options.answersOf(dataset)));
    }
    return { ...(await settleRoles(opened, seed)), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The roles that were given, and those that have to come off the training data. */
async function settleRoles(opened: ReadonlyMap<Role, Dataset>, seed: number): Promise<Omit<Roles, 'close'>> {
  const given = (role: Role): RoleData | undefined => {
    const dataset = opened.get(role);
    return dataset && { dataset };
  };
  const train = given('train');
  const validation = given('validation');
  const calibration = given('calibration');
  const test = given('test');
  if (calibration) return { train, validation, calibration: await distinct(calibration), test };
  if (!train) throw trainingDataMissing();
  // Without a calibration role both it and, when nothing was given to report on, the test role come off the training data.
  const shares = { calibration: SHARES.calibration, ...(test ? {} : { test: SHARES.test }) };
  const rest = 1 - Object.values(shares).reduce((a, b) => a + b, 0);
  const fractions: Record<string, number> = { train: rest, ...shares };
  const parts = splitRoles(train.dataset, fractions, seed);
  const part = (role: Role): RoleData => ({ dataset: parts[role]!, from: 'split of train' });
  const heads = part('train');
  const kept = await distinct(part('calibration'), [heads]);
  return {
    train: heads,
    validation,
    calibration: kept,
    test: test ?? (await distinct(part('test'), [heads, kept])),
  };
}
