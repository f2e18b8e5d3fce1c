/** Which shard a process is to make: as given, or as the scheduler that started it has it. */
import { badOption, badShard, type OfframpError } from '../errors/index.ts';
import type { Shard } from '../train/shards.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * `shard` is `i/n`, i from 1. Without it, i comes from an Indexed Job of Kubernetes (`JOB_COMPLETION_INDEX`, from 0; `shards` must say how
 * many) or from a job array of Slurm (`SLURM_ARRAY_TASK_ID`, counted from `SLURM_ARRAY_TASK_MIN` in steps of `SLURM_ARRAY_TASK_STEP`, of
 * `SLURM_ARRAY_TASK_COUNT`). With none of these there is one shard. Throws `bad-option` and `bad-shard`.
 */
export function shardOf(shard: string | undefined, shards: number | undefined, env: Environment): Shard {
  if (shards !== undefined && !isCount(shards)) throw badOption('--shards', `${shards}`, COUNT);
  if (shard !== undefined) {
    const [, index, count] = (/^(\d+)\/(\d+)$/.exec(shard) ?? []).map(Number);
    const isPart = index !== undefined && count !== undefined && index >= 1 && index <= count;
    if (!isPart || (shards !== undefined && shards !== count))
      throw badOption('--shard', shard, `i/n, such as 1/4 to 4/4${shards ? `, of ${shards} shards` : ''}`);
    return { index, count };
  }
  const { JOB_COMPLETION_INDEX: job, SLURM_ARRAY_TASK_ID: task } = env;
  if (job !== undefined) {
    if (shards === undefined)
      throw badShard(
        `JOB_COMPLETION_INDEX is ${job}, but not of how many`,
        'Give --shards, the completions of the Job.',
      );
    return checked(Number(job), shards, `JOB_COMPLETION_INDEX is ${job}`);
  }
  if (task !== undefined) return ofSlurm(task, shards, env);
  if (shards !== undefined && shards > 1)
    throw badShard(`which of ${shards} shards is not said`, `Give --shard, such as 1/${shards}.`);
  return { index: 1, count: 1 };
}

function ofSlurm(task: string, shards: number | undefined, env: Environment): Shard {
  const { SLURM_ARRAY_TASK_COUNT = '', SLURM_ARRAY_TASK_MIN = '', SLURM_ARRAY_TASK_STEP = '1' } = env;
  const count = Number(SLURM_ARRAY_TASK_COUNT);
  // An array of a few tasks that failed before does not tell their places in the whole.
  if (shards !== undefined && shards !== count)
    throw badShard(
      `Slurm's array has ${SLURM_ARRAY_TASK_COUNT || 'an unknown number of'} tasks, not ${shards}`,
      `Give --shard, such as $((SLURM_ARRAY_TASK_ID + 1))/${shards} for --array=0-${shards - 1}.`,
    );
  const place = (Number(task) - Number(SLURM_ARRAY_TASK_MIN || Number.NaN)) / Number(SLURM_ARRAY_TASK_STEP);
  return checked(
    place,
    count,
    `SLURM_ARRAY_TASK_ID is ${task}, of ${SLURM_ARRAY_TASK_COUNT} from ${SLURM_ARRAY_TASK_MIN}`,
  );
}

function checked(place: number, count: number, source: string): Shard {
  if (!isCount(count) || !Number.isInteger(place) || place < 0 || place >= count)
    throw outOfRange(source, count);
  return { index: place + 1, count };
}

const outOfRange = (source: string, count: number): OfframpError =>
  badShard(`${source}: that is none of ${count || '?'} shards`, 'Give --shard i/n, or a range without gaps.');

const COUNT = 'a whole number from 1 on';
const isCount = (value: number) => Number.isInteger(value) && value >= 1;
