import { existsSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as soon } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { exclusively, type LockOptions } from '../../src/cache/lock.ts';
import { isOwnerAlive, ownName, self } from '../../src/cache/process.ts';
import type { Note } from '../../src/errors/notes.ts';
import { freshFolder } from '../data/fixtures.ts';
import {
  beside,
  deadLock,
  deadPid,
  isKnowing,
  LockUser,
  lockOf,
  NAMESPACES,
  writeDeadLock,
} from './lock-processes.ts';

const test = suite('cache: lock');
const fresh = () => join(freshFolder(), 'file');

/** Of a process that nobody here can know. */
const farLock = () => lockOf({ pid: 1, host: 'another.machine', place: 'another boot pid:[1]', start: '1' });

/** Whether `exclusively` got `path` while its lock held `text`, within `ms`. */
async function isTaken(text: string, ms: number, options?: LockOptions, path = fresh()): Promise<boolean> {
  writeFileSync(`${path}.lock`, text);
  const signal = AbortSignal.timeout(ms);
  return await exclusively([path], { signal }, async () => true, options).catch((error) => {
    assert.is(error.name, 'AbortError');
    return false;
  });
}

test('users of one path run one after another, of different paths side by side', async () => {
  const [path, other] = [fresh(), fresh()];
  const log: string[] = [];
  const use = (name: string, paths: readonly string[]) =>
    exclusively(paths, {}, async () => {
      log.push(`${name} in`);
      await soon(50);
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
  const signal = AbortSignal.timeout(5000);
  const both = [
    [path, other, path],
    [other, path],
  ].map((paths) => exclusively(paths, { signal }, () => soon(20)));
  await Promise.all(both);
});

test('locks are gone when the use ends, whichever way, and nothing is left beside', async () => {
  const path = fresh();
  const isLocked = () => existsSync(`${path}.lock`);
  assert.equal([await exclusively([path], {}, async () => isLocked()), isLocked()], [true, false]);
  const failing = exclusively([path], {}, async () => {
    throw new Error('failed');
  });
  assert.is(await failing.catch(({ message }) => message), 'failed');
  assert.equal(beside(path), []);
});

test('a lock is free when its owner is dead, and only then', async () => {
  const path = fresh();
  assert.is(await isTaken(lockOf(await self()), 200, { silentMs: 50 }), !isKnowing);
  if (!isKnowing) return;
  assert.is(await isTaken(await deadLock(), 5000, {}, path), true);
  assert.equal(beside(path), []);
  const again = { ...(await self()), start: '1' };
  assert.is(await isTaken(lockOf(again), 5000), true, 'its process id is that of another');
});

test('one that nobody here can know is free when it has not changed for long enough, whatever the clocks say', async () => {
  for (const year of [1971, 2020, 2100]) {
    const path = fresh();
    writeFileSync(`${path}.lock`, '');
    utimesSync(`${path}.lock`, new Date(year, 1), new Date(year, 1));
    for (const text of [farLock(), '', 'neither JSON nor a name', '{"token":"../../elsewhere"}']) {
      assert.is(await isTaken(text, 5000, { silentMs: 100 }, path), true, `${year}: ${text}`);
      assert.is(await isTaken(text, 200, {}, path), false, `${year}: ${text}`);
    }
    assert.equal(beside(path), [`${basename(path)}.lock`]);
  }
});

test('a clock that stands still, or is set back, changes nothing', async () => {
  const { now } = Date;
  try {
    for (const time of [() => 0, () => -1e12 * performance.now()]) {
      Date.now = time;
      assert.is(await isTaken(farLock(), 5000, { silentMs: 100 }), true);
      assert.is(await isTaken(farLock(), 200), false);
    }
  } finally {
    Date.now = now;
  }
});

test('an owner that nobody can know stays the owner while it shows signs of life', async () => {
  const path = fresh();
  // Its name is changed to one that is unknown here; it goes on changing the file that it made.
  const owner = lockOf({ pid: process.pid, host: 'here' });
  writeFileSync(`${path}.lock`, owner);
  let beats = 0;
  const beating = setInterval(() => writeFileSync(`${path}.lock`, `${owner}${beats++}`), 20);
  const signal = AbortSignal.timeout(1500);
  const gone = await exclusively([path], { signal }, async () => 'in', { silentMs: 400 }).catch(
    () => 'waits',
  );
  clearInterval(beating);
  assert.is(gone, 'waits');
  assert.is(await isTaken(owner, 5000, { silentMs: 100 }), true);
});

test('the owner changes its locks again and again, and only its own', async () => {
  const path = fresh();
  const lock = `${path}.lock`;
  const looks = await exclusively(
    [path],
    {},
    async () => {
      const seen = new Set<string>();
      for (let i = 0; i < 100 && seen.size < 3; i++) {
        seen.add(readFileSync(lock, 'utf8'));
        await soon(20);
      }
      const [first, ...others] = seen;
      const line = first!.split('\n')[0];
      assert.is(seen.size, 3);
      assert.ok(others.every((text) => text.split('\n')[0] === line));
      // Another process takes this one for dead.
      rmSync(lock);
      writeFileSync(lock, farLock());
      const theirs = readFileSync(lock, 'utf8');
      await soon(100);
      return [theirs, readFileSync(lock, 'utf8')];
    },
    { beatMs: 20 },
  );
  assert.is(looks[1], looks[0], 'it is not touched');
  assert.is(readFileSync(lock, 'utf8'), looks[0], 'nor removed at the end');
});

test('while another takes over, the owner that was taken for dead leaves the lock alone', async () => {
  const path = fresh();
  const lock = `${path}.lock`;
  await exclusively([path], {}, async () => {
    const { token } = JSON.parse(readFileSync(lock, 'utf8').split('\n')[0]!);
    writeFileSync(`${lock}.${token}`, farLock());
  });
  assert.is(existsSync(lock), true);
});

test('who waits is told for whom, once, and until when', async () => {
  const told = async (text: string) => {
    const notes: Note[] = [];
    const path = fresh();
    writeFileSync(`${path}.lock`, text);
    const events = { signal: AbortSignal.timeout(2500), onNote: (note: Note) => void notes.push(note) };
    await exclusively([path], events, async () => {}).catch(() => {});
    assert.equal(
      notes.map(({ code }) => code),
      ['waiting-for-another-run'],
    );
    return notes[0]!.message.replace(path, 'PATH');
  };
  const { pid, host } = await self();
  const [far, unnamed, near] = await Promise.all([farLock(), '', lockOf(await self())].map(told));
  assert.is(
    far,
    'Waiting for process 1 on another.machine, which writes PATH. If that process is dead, this takes 90 s.',
  );
  assert.match(unnamed!, /^Waiting for another process, which writes PATH\./);
  if (isKnowing) assert.is(near, `Waiting for process ${pid} on ${host}, which writes PATH.`);
});

test('the owner of a name is known in its own boot and namespace alone', async () => {
  const own = await self();
  const names = [own, { ...own, pid: deadPid() }, { ...own, place: `${own.place?.split(' ')[0]} pid:[1]` }];
  const { place: _, ...nowhere } = own;
  const lines = [...names, nowhere, 'x', { ...own, pid: -1 }].map((name) => JSON.stringify(name));
  const known = isKnowing ? [true, false] : [undefined, undefined];
  assert.equal(await Promise.all(lines.map(isOwnerAlive)), [
    ...known,
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
  assert.is(await ownName(), JSON.stringify(own));
});

test('six waiters on the lock of a dead process: one after another, in every round', async () => {
  if (!isKnowing) return;
  const path = fresh();
  const users = await Promise.all(Array.from({ length: 6 }, () => LockUser.start(path)));
  try {
    for (let round = 0; round < 10; round++) {
      // In every fifth round one process died while it took over, and in some the one that took over from it.
      await writeDeadLock(path, round % 5 === 0 ? 1 + (round % 3) : 0);
      for (const user of users) user.enter(1);
      for (const user of users) await user.says('out');
      assert.equal(beside(path), []);
    }
    assert.equal(
      users.flatMap(({ said }) => said),
      [],
    );
  } finally {
    for (const user of users) await user.kill();
  }
});

test('kill -9 of the owner, and of waiters: those that are left go in, one after another', async () => {
  if (!isKnowing) return;
  const path = fresh();
  const users = await Promise.all(Array.from({ length: 6 }, () => LockUser.start(path)));
  try {
    const [owner, killed, ...left] = users;
    owner!.enter(1e6);
    await owner!.says('in');
    for (const user of [killed!, ...left]) user.enter(20);
    await Promise.all([killed!, ...left].map((user) => user.says('wait')));
    await killed!.kill();
    rmSync(`${path}.inside`);
    await owner!.kill();
    for (const user of left) await user.says('in');
    for (const user of left) await user.says('out');
    assert.equal(beside(path), []);
  } finally {
    for (const user of users) await user.kill();
  }
});

test('a process of another pid namespace with the same host name is not dead', async () => {
  const tryIn = async (around: readonly string[]) => {
    const path = fresh();
    const options = { silentMs: 1000, beatMs: 100 };
    const inner = await LockUser.start(path, options, around);
    const outer = await LockUser.start(path, options);
    const users = [inner, outer];
    try {
      for (const [owner, waiter] of [users, users.toReversed()] as [LockUser, LockUser][]) {
        owner.enter(1800);
        await owner.says('in');
        waiter.enter(1);
        assert.match(await waiter.says('wait'), /If that process is dead, this takes 1 s/);
        await owner.says('out');
        await waiter.says('in');
        await waiter.says('out');
      }
      inner.enter(1e6);
      await inner.says('in');
      outer.enter(1);
      await outer.says('wait');
      rmSync(`${path}.inside`);
      await inner.kill();
      await outer.says('in');
    } finally {
      for (const user of users) await user.kill();
    }
  };
  await Promise.all(NAMESPACES.map(tryIn));
});

test.run();
