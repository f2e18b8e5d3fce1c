/** Locks whose owners died, and users of one lock in two pid namespaces: never two inside, and nobody waits for ever. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { LockOptions } from '../../src/cache/lock.ts';
import type { Random } from '../../src/graph/random.ts';
import { beside, isKnowing, LockUser, NAMESPACES, writeDeadLock } from '../cache/lock-processes.ts';
import { freshFolder } from '../data/fixtures.ts';
import type { Outcome, Trial } from './trial.ts';

const WAITERS = 6;
/** Of one attempt. */
const ROUNDS = 20;
/** Milliseconds: long for a busy machine. */
const PATIENCE = 60_000;
/** Milliseconds in which an owner that nobody can know shows that it lives: far apart, for on a busy machine a sign may be late. */
const SIGNS: LockOptions = { beatMs: 100, silentMs: 5_000 };

export const LOCK_TRIALS: readonly Trial[] = [
  {
    name: 'locks: six waiters on a dead owner',
    times: 3,
    share: 1,
    lacks: () => (isKnowing ? undefined : 'Linux, where a process can tell that another is dead'),
    open: sixWaiters,
  },
  {
    name: 'locks: two pid namespaces',
    times: 3,
    share: 1,
    lacks: () => (NAMESPACES.length > 0 ? undefined : 'the right to make a pid namespace (unshare)'),
    open: twoNamespaces,
  },
];

/** In every round all want the lock of a process that died, and in some the first that is inside is killed too. */
async function sixWaiters() {
  const path = join(freshFolder(), 'file');
  const start = () => LockUser.start(path, {}, [], PATIENCE);
  const users = await Promise.all(Array.from({ length: WAITERS }, start));
  return {
    async attempt(random: Random): Promise<Outcome> {
      const faults: string[] = [];
      for (let round = 1; round <= ROUNDS; round++) {
        await writeDeadLock(path, random.integer(0, 4));
        const victim = random.integer(0, 4) === 0 ? random.integer(0, WAITERS) : undefined;
        users.forEach((user, i) => {
          user.enter(i === victim ? 10 * PATIENCE : random.integer(0, 4));
        });
        if (victim !== undefined) {
          await users[victim]!.says('in', PATIENCE);
          rmSync(`${path}.inside`);
          await users[victim]!.kill();
          users[victim] = await start();
          users[victim].enter(1);
        }
        faults.push(...(await outcomes(users, `round ${round}`)));
        const left = beside(path);
        if (left.length > 0) faults.push(`round ${round} left ${left.join(', ')}`);
      }
      return { tries: ROUNDS, faults, lost: 0 };
    },
    close: () => killAll(users),
  };
}

/** Owners and waiters in two namespaces, in turn; at the end an owner is killed, which the other cannot know. */
async function twoNamespaces() {
  return {
    async attempt(random: Random): Promise<Outcome> {
      const path = join(freshFolder(), 'file');
      const around = NAMESPACES[random.integer(0, NAMESPACES.length)]!;
      const users = [
        await LockUser.start(path, SIGNS, around, PATIENCE),
        await LockUser.start(path, SIGNS, [], PATIENCE),
      ];
      const faults: string[] = [];
      try {
        for (let round = 1; round <= 5; round++) {
          for (const user of users) user.enter(random.integer(0, 300));
          faults.push(...(await outcomes(users, `round ${round}`)));
        }
        const [owner, waiter] = random.integer(0, 2) === 0 ? users : users.toReversed();
        owner!.enter(10 * PATIENCE);
        await owner!.says('in', PATIENCE);
        waiter!.enter(1);
        await waiter!.says('wait', PATIENCE);
        rmSync(`${path}.inside`);
        await owner!.kill();
        faults.push(...(await outcomes([waiter!], 'after a kill')));
      } finally {
        await killAll(users);
      }
      return { tries: 6, faults, lost: 0 };
    },
    close: async () => {},
  };
}

/** Waits until all have been inside, and says who was not alone there. */
async function outcomes(users: readonly LockUser[], when: string): Promise<string[]> {
  const faults: string[] = [];
  for (const user of users) {
    const before = await user.untilSays('out', PATIENCE);
    if (before.includes('two')) faults.push(`${when}: two inside`);
  }
  return faults;
}

const killAll = async (users: readonly LockUser[]) => {
  for (const user of users) await user.kill();
};
