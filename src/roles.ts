/** The four data roles: train, validation, calibration, test. Opened from what the user gave, split from it where needed. */
import { type Dataset, type InputSpec, type OpenOptions, openDataset, splitRoles } from './data/index.ts';
import type { DataSummary } from './emit/manifest.ts';
import { noSampleInput, trainingDataMissing } from './errors.ts';
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

export interface RoleData {
  readonly dataset: Dataset;
  /** Set when the role was not given as such: where its samples come from. */
  readonly from?: string;
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
export const summaryOf = ({ dataset, from }: RoleData): DataSummary => ({
  samples: dataset.size,
  hash: dataset.hash,
  ...(from && { from }),
});

/** The inputs that data files fill. Throws `no-sample-input`. */
export function inputsOf(typed: TypedModel): InputSpec[] {
  if (typed.sampleInputs.length === 0) throw noSampleInput();
  return typed.sampleInputs.map((name) => {
    const { dims, dataType } = typed.facts.get(name)!;
    return { name, dims: dims.slice(1), dataType };
  });
}

/** Shares of the training data that stand in for roles that were not given. */
const SHARES = { calibration: 0.15, test: 0.15 };

/** Opens every path and splits roles that are missing off the training data, by seed. */
export async function openRoles(
  paths: RolePaths,
  seed: number,
  options: Omit<OpenOptions, 'onProgress'>,
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
      opened.set(role, await openDataset(path, { ...options, onProgress: (d, t) => onProgress(role, d, t) }));
    }
  } catch (error) {
    await close();
    throw error;
  }
  const given = (role: Role): RoleData | undefined => {
    const dataset = opened.get(role);
    return dataset && { dataset };
  };
  const train = given('train');
  const validation = given('validation');
  const calibration = given('calibration');
  const test = given('test');
  if (calibration) return { train, validation, calibration, test, close };

  if (!train) {
    await close();
    throw trainingDataMissing();
  }
  // Without a calibration role both it and, when nothing was given to report on, the test role come off the training data.
  const shares = { calibration: SHARES.calibration, ...(test ? {} : { test: SHARES.test }) };
  const rest = 1 - Object.values(shares).reduce((a, b) => a + b, 0);
  const fractions: Record<string, number> = { train: rest, ...shares };
  const parts = splitRoles(train.dataset, fractions, seed);
  const part = (role: Role): RoleData => ({ dataset: parts[role]!, from: 'split of train' });
  return {
    train: part('train'),
    validation,
    calibration: part('calibration'),
    test: test ?? part('test'),
    close,
  };
}
