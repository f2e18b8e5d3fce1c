/**
 * Bad days: processes that are killed in the midst of writing, a server among hostile clients. Ends with a table of tries, faults, and what was
 * lost (answers or files that had been taken on), and with 1 where there is a fault.
 *
 *   npm run attack                                every trial a few times, in some minutes; --attempts 1 for one each
 *   npm run attack -- --minutes 30 --seed random  longer, and something new
 *   npm run attack -- --seed 7 server             only trials whose name holds one of the words
 */
import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Random } from '../src/graph/random.ts';
import { KILLS } from '../test/attack/kills.ts';
import { SERVER_TRIALS } from '../test/attack/server.ts';
import type { Outcome, Trial } from '../test/attack/trial.ts';
import { cleanUp } from '../test/examples/serve.ts';

/** Milliseconds: no attempt takes as long unless something hangs. */
const HANGS = 5 * 60_000;
/** Faults of one trial that are told in full. */
const MOST_TOLD = 10;

const { values, positionals: words } = parseArgs({
  options: {
    minutes: { type: 'string' },
    seed: { type: 'string', default: '1' },
    attempts: { type: 'string' },
  },
  allowPositionals: true,
});
const seed = values.seed === 'random' ? randomInt(2 ** 31) : Number(values.seed);
const minutes = values.minutes === undefined ? undefined : Number(values.minutes);
const most = values.attempts === undefined ? undefined : Number(values.attempts);
if (!Number.isSafeInteger(seed) || !(minutes === undefined || minutes > 0) || !(most === undefined || most >= 1))
  throw new Error('--seed takes a whole number or `random`, --minutes one above 0, --attempts one from 1 on'); // biome-ignore format: one line

const trials = [...KILLS, ...SERVER_TRIALS].filter(
  ({ name }) => words.length === 0 || words.some((word) => name.includes(word)),
);
if (trials.length === 0) throw new Error(`no trial is called ${words.join(' or ')}`);
console.log(`seed ${seed}`);
const rows = [];
for (const trial of trials) rows.push(await run(trial));
cleanUp();
console.log('\n| trial | tries | faults | lost |\n|---|---:|---:|---:|');
for (const { name, tried, faults, lost } of rows)
  console.log(`| ${name} | ${tried} | ${faults.length} | ${lost} |`);
const failed = rows.filter(({ faults, lost }) => faults.length > 0 || lost > 0);
// An attempt that hangs would keep the process alive.
process.exit(failed.length === 0 ? 0 : 1);

async function run({ name, times, share, open }: Trial) {
  const shares = trials.reduce((sum, one) => sum + one.share, 0);
  const end = performance.now() + ((minutes ?? 0) * 60_000 * share) / shares;
  const isDone = (attempts: number) =>
    minutes === undefined ? attempts >= (most ?? times) : performance.now() >= end && attempts > 0;
  const faults: string[] = [];
  let lost = 0;
  let tried = 0;
  const { attempt, close } = await open();
  for (let attempts = 0; !isDone(attempts); ) {
    const outcome = await inTime(attempt(new Random(seed, name, attempts++)));
    for (const fault of outcome?.faults ?? ['it hangs']) faults.push(`attempt ${attempts}: ${fault}`);
    tried += outcome?.tries ?? 1;
    lost += outcome?.lost ?? 0;
    if (!outcome) break;
  }
  await close();
  console.log(`${name}: ${tried} tries, ${faults.length} faults, ${lost} lost`);
  for (const fault of faults.slice(0, MOST_TOLD)) console.log(`  ${fault}`);
  return { name, tried, faults, lost };
}

/** An attempt that throws is a fault; undefined where it hangs. */
function inTime(attempt: Promise<Outcome>): Promise<Outcome | undefined> {
  const outcome = attempt.catch((error: Error) => ({
    tries: 1,
    faults: [error.stack ?? error.message],
    lost: 0,
  }));
  return Promise.race([outcome, sleep(HANGS, undefined, { ref: false })]);
}
