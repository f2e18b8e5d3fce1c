import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { shardOf } from '../../src/cli/shard.ts';
import { hasCode } from '../expect.ts';

const test = suite('cli: shard');

const slurm = (id: number, min: number, count: number, step?: number) => ({
  SLURM_ARRAY_TASK_ID: `${id}`,
  SLURM_ARRAY_TASK_MIN: `${min}`,
  SLURM_ARRAY_TASK_COUNT: `${count}`,
  ...(step && { SLURM_ARRAY_TASK_STEP: `${step}` }),
});

test('--shard counts from 1 and goes before the environment', () => {
  assert.equal(shardOf('2/4', undefined, {}), { index: 2, count: 4 });
  assert.equal(shardOf('4/4', 4, { JOB_COMPLETION_INDEX: '0' }), { index: 4, count: 4 });
  assert.equal(shardOf(undefined, undefined, {}), { index: 1, count: 1 });
  assert.equal(shardOf(undefined, 1, {}), { index: 1, count: 1 });
});

test('a pod of an Indexed Job counts from 0', () => {
  const all = [0, 1, 2].map((i) => shardOf(undefined, 3, { JOB_COMPLETION_INDEX: `${i}` }));
  assert.equal(
    all,
    [1, 2, 3].map((index) => ({ index, count: 3 })),
  );
});

test('a task of a Slurm array counts from the least, in its steps', () => {
  assert.equal(shardOf(undefined, undefined, slurm(0, 0, 4)), { index: 1, count: 4 });
  assert.equal(shardOf(undefined, undefined, slurm(4, 1, 4)), { index: 4, count: 4 });
  assert.equal(shardOf(undefined, 4, slurm(6, 0, 4, 2)), { index: 4, count: 4 });
});

test('what makes no shard of a whole is refused', () => {
  for (const shard of ['0/4', '5/4', '2', '2/0', '1.5/4', '-1/4', 'a/b', ''])
    assert.throws(() => shardOf(shard, undefined, {}), hasCode('bad-option'), shard);
  assert.throws(() => shardOf('1/4', 3, {}), hasCode('bad-option'));
  for (const count of [0, 1.5, Number.NaN])
    assert.throws(() => shardOf(undefined, count, {}), hasCode('bad-option'));
  const cases: [number | undefined, Record<string, string>][] = [
    [4, {}],
    [undefined, { JOB_COMPLETION_INDEX: '0' }],
    [4, { JOB_COMPLETION_INDEX: '4' }],
    [4, { JOB_COMPLETION_INDEX: 'x' }],
    [undefined, { SLURM_ARRAY_TASK_ID: '3' }],
    // --array=1,3,7: task 3 has no place that its variables tell.
    [undefined, slurm(7, 1, 3)],
    // --array=3 again, of what were four: task 3 alone is not the whole.
    [4, slurm(3, 3, 1)],
  ];
  for (const [count, env] of cases)
    assert.throws(() => shardOf(undefined, count, env), hasCode('bad-shard'), JSON.stringify(env));
});

test.run();
