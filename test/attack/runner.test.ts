/** What `npm run attack` makes of trials: which attempts it makes, what counts as a fault, and when it ends well. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isGood, type Plan, runTrials, tableOf } from './runner.ts';
import type { Outcome, Trial } from './trial.ts';

const test = suite('attack: runner');
const GOOD: Outcome = { tries: 2, faults: [], lost: 0 };

/** A trial, and what was drawn and done in it. */
function trial(name: string, attempt: (drawn: number) => Promise<Outcome>, more: Partial<Trial> = {}) {
  const log: (number | string)[] = [];
  const made: Trial = {
    name,
    times: 3,
    share: 1,
    open: async () => ({
      attempt(random) {
        log.push(random.uint32());
        return attempt(log.length);
      },
      async close() {
        log.push('closed');
      },
    }),
    ...more,
  };
  return { made, log };
}

async function run(trials: readonly Trial[], plan: Partial<Plan> = {}) {
  const said: string[] = [];
  const rows = await runTrials(trials, { seed: 1, say: (line) => said.push(line), ...plan });
  return { rows, said: said.join('\n') };
}

test('as often as a trial says, or as is asked, with what the seed draws', async () => {
  const { made, log } = trial('a', async () => GOOD);
  const { rows, said } = await run([made]);
  assert.equal([log.length, log[3], new Set(log).size], [4, 'closed', 4]);
  assert.equal(rows, [{ name: 'a', tries: 6, faults: [], lost: 0 }]);
  assert.match(said, 'a: 6 tries, 0 faults, 0 lost');
  assert.ok(isGood(rows));
  const [again, other, once] = [trial('a', async () => GOOD), trial('a', async () => GOOD), trial('a', async () => GOOD)];
  await run([again.made]);
  assert.equal(again.log, log);
  await run([other.made], { seed: 2 });
  assert.is.not(other.log[0], log[0]);
  await run([once.made], { attempts: 1 });
  assert.equal(once.log, [log[0]!, 'closed']);
}); // biome-ignore format: a list

test('minutes are dealt by shares, and every trial has one attempt', async () => {
  const [long, short] = [3, 1].map((share) => trial('a', async () => GOOD, { share }));
  const started = performance.now();
  const ended = trial('b', async () => ({ ...GOOD, tries: performance.now() - started }), { share: 0 });
  await run([long!.made, ended.made, short!.made], { minutes: 0.01 });
  assert.ok(long!.log.length > short!.log.length);
  assert.is(ended.log.length, 2);
});

test('faults, what was lost, errors and hanging attempts are told, and it does not end well', async () => {
  const trials = [
    trial('faulty', async (n) => (n === 2 ? { tries: 1, faults: ['wrong bytes'], lost: 1 } : GOOD)),
    trial('throwing', async () => {
      throw new Error('broken');
    }),
    trial('hanging', async (n) => (n === 2 ? new Promise(() => {}) : GOOD)),
    trial('good', async () => GOOD),
  ];
  const { rows, said } = await run(
    trials.map(({ made }) => made),
    { hangs: 50 },
  );
  assert.equal(
    rows.map(({ tries, faults, lost }) => [tries, faults.length, lost]),
    [
      [5, 1, 1],
      [3, 3, 0],
      [3, 1, 0],
      [6, 0, 0],
    ],
  );
  for (const mention of ['attempt 2: wrong bytes', 'attempt 1: Error: broken', 'attempt 2: it hangs'])
    assert.match(said, mention);
  assert.equal(
    rows.map((row) => isGood([row])),
    [false, false, false, true],
  );
  assert.is(isGood([{ name: 'lossy', tries: 1, faults: [], lost: 1 }]), false);
});

test('a trial that cannot begin, or end, is a fault, and the others go on', async () => {
  const broken = async () => {
    throw new Error('no room');
  };
  const trials = [
    trial('shut', async () => GOOD, { open: broken }).made,
    trial('open', async () => GOOD, { open: async () => ({ attempt: async () => GOOD, close: broken }) })
      .made,
    trial('good', async () => GOOD).made,
  ];
  const { rows } = await run(trials);
  assert.equal(
    rows.map(({ tries, faults }) => [tries, faults.length]),
    [
      [0, 1],
      [6, 1],
      [6, 0],
    ],
  );
  assert.match(rows[0]!.faults[0]!, 'before the first attempt: Error: no room');
  assert.match(rows[1]!.faults[0]!, 'after the last attempt: Error: no room');
});

test('a trial that this machine cannot make is skipped, loudly, and is no fault', async () => {
  const { made, log } = trial('mounting', async () => GOOD, { lacks: () => 'root' });
  const { rows, said } = await run([made]);
  assert.equal(log, []);
  assert.match(said, '*** SKIPPED: mounting needs root ***');
  assert.ok(isGood(rows));
  assert.is(
    tableOf([...rows, { name: 'a', tries: 6, faults: ['x'], lost: 0 }]),
    '| trial | tries | faults | lost |\n|---|---:|---:|---:|\n| mounting | skipped | | |\n| a | 6 | 1 | 0 |',
  );
});

test.run();
