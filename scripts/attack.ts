/**
 * Bad days: processes that are killed in the midst of writing, full disks, damaged and hostile files, locks of the dead, a server among hostile
 * clients. Ends with a table of tries, faults, and what was lost (answers or files that had been taken on), and with 1 where there is a fault.
 *
 *   npm run attack                                every trial a few times, in some minutes; --attempts 1 for one each
 *   npm run attack -- --minutes 30 --seed random  longer, and something new
 *   npm run attack -- --seed 7 server             only trials whose name holds one of the words
 */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { ALL_TRIALS } from '../test/attack/all.ts';
import { isGood, runTrials, tableOf } from '../test/attack/runner.ts';
import { cleanUp } from '../test/examples/serve.ts';

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
const attempts = values.attempts === undefined ? undefined : Number(values.attempts);
if (!Number.isSafeInteger(seed) || !(minutes === undefined || minutes > 0) || !(attempts === undefined || attempts >= 1))
  throw new Error('--seed takes a whole number or `random`, --minutes one above 0, --attempts one from 1 on'); // biome-ignore format: one line
const trials = ALL_TRIALS.filter(
  ({ name }) => words.length === 0 || words.some((word) => name.includes(word)),
);
if (trials.length === 0) throw new Error(`no trial is called ${words.join(' or ')}`);

console.log(`seed ${seed}`);
const rows = await runTrials(trials, { seed, minutes, attempts, say: console.log });
cleanUp();
console.log(`\n${tableOf(rows)}`);
// An attempt that hangs would keep the process alive.
process.exit(isGood(rows) ? 0 : 1);
