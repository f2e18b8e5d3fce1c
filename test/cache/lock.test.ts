import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { exclusively, isOwnerAlive, ownName } from '../../src/cache/lock.ts';
import { freshFolder } from '../data/fixtures.ts';

const test = suite('cache: lock');
const fresh = () => join(freshFolder(), 'file');
const soon = (ms = 20) => new Promise((done) => setTimeout(done, ms));

/** A process id that was free a moment ago. */
const deadPid = () => spawnSync(process.execPath, ['-e', '']).pid;

/** Whether `exclusively` got `path` while its lock held `owner`, within `ms`. */
async function isTaken(owner: string, ms: number, silentMs?: number): Promise<boolean> {
  const path = fresh();
  writeFileSync(`${path}.lock`, owner);
  const options = silentMs === undefined ? {} : { silentMs };
  const taking = exclusively([path], AbortSignal.timeout(ms), async () => true, options);
  return await taking.catch((error) => {
    assert.is(error.name, 'AbortError');
    return false;
  });
}

test('users of one path run one after another, of different paths side by side', async () => {
  const [path, other] = [fresh(), fresh()];
  const log: string[] = [];
  const use = (name: string, paths: readonly string[]) =>
    exclusively(paths, undefined, async () => {
      log.push(`${name} in`);
      await soon();
      log.push(`${name} out`);
    });
  await Promise.all([use('a', [path]), use('b', [path])]);
  assert.equal(
    log.map((line) => line.slice(2)),
    ['in', 'out', 'in', 'out'],
  );
  log.length = 0;
  await Promise.all([use('a', [path]), use('b', [other])]);
  assert.equal(
    log.map((line) => line.slice(2)),
    ['in', 'in', 'out', 'out'],
  );
});

test('two that want the same paths in another order do not wait for each other', async () => {
  const [path, other] = [fresh(), fresh()];
  const both = [
    [path, other, path],
    [other, path],
  ].map((paths) => exclusively(paths, AbortSignal.timeout(5000), () => soon()));
  await Promise.all(both);
});

test('locks are gone when the use ends, whichever way', async () => {
  const path = fresh();
  const isLocked = () => existsSync(`${path}.lock`);
  assert.equal([await exclusively([path], undefined, async () => isLocked()), isLocked()], [true, false]);
  const failing = exclusively([path], undefined, async () => {
    throw new Error('failed');
  });
  assert.is(await failing.catch(({ message }) => message), 'failed');
  assert.is(isLocked(), false);
});

test('a lock is free when its owner is dead, and only then', async () => {
  assert.is(await isTaken(`${deadPid()} - ${hostname()}`, 5000), true);
  assert.is(await isTaken(await ownName(), 200), false);
  if (process.platform === 'linux') assert.is(await isTaken(`${process.pid} 1 ${hostname()}`, 5000), true);
});

test("another machine's lock is free when it was not touched for long enough, a nameless one when it is old", async () => {
  assert.is(await isTaken('1 - another.machine', 5000, 100), true);
  assert.is(await isTaken('1 - another.machine', 200), false);
  assert.is(await isTaken('', 200), false);
});

test('the owner of a name is known on its own machine alone', async () => {
  assert.equal(
    await Promise.all(
      [await ownName(), `${deadPid()} - ${hostname()}`, '1 - another.machine'].map(isOwnerAlive),
    ),
    [true, false, undefined],
  );
});

test.run();
