/** All trials, in the order in which they are run. */
import { DAMAGE_TRIALS } from './damaged.ts';
import { FULL_DISK_TRIALS } from './full-disk.ts';
import { HOSTILE_TRIALS } from './hostile.ts';
import { KILLS } from './kills.ts';
import { LOCK_TRIALS } from './locks.ts';
import { SERVER_TRIALS } from './server.ts';
import type { Trial } from './trial.ts';

export const ALL_TRIALS: readonly Trial[] = [
  ...KILLS,
  ...DAMAGE_TRIALS,
  ...FULL_DISK_TRIALS,
  ...LOCK_TRIALS,
  ...HOSTILE_TRIALS,
  ...SERVER_TRIALS,
];
