/** Runs trials and makes a table of them. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Random } from '../../src/graph/random.ts';
import type { Outcome, Trial } from './trial.ts';

/** Milliseconds: no attempt takes as long unless something hangs. */
const HANGS = 5 * 60_000;
/** Faults of one trial that are told in full. */
const MOST_TOLD = 10;

export interface Plan {
  readonly seed: number;
  /** Of all trials together, dealt by their shares; without it each is tried `attempts` times. */
  readonly minutes?: number | undefined;
  /** By default as often as the trial says. */
  readonly attempts?: number | undefined;
  readonly say: (line: string) => void;
  /** Milliseconds after which an attempt counts as hanging. */
  readonly hangs?: number;
}

/** A row of the table. */
export interface Row {
  readonly name: string;
  readonly tries: number;
  readonly faults: readonly string[];
  readonly lost: number;
  /** What this machine lacks: nothing was tried. */
  readonly skipped?: string;
}

export async function runTrials(trials: readonly Trial[], plan: Plan): Promise<Row[]> {
  const shares = trials.reduce((sum, { share }) => sum + share, 0);
  const rows: Row[] = [];
  for (const trial of trials) {
    const time = plan.minutes === undefined ? undefined : (plan.minutes * 60_000 * trial.share) / shares;
    const lacks = trial.lacks?.();
    const row =
      lacks === undefined
        ? await runTrial(trial, time, plan)
        : { name: trial.name, tries: 0, faults: [], lost: 0, skipped: lacks };
    rows.push(row);
    const { name, tries, faults, lost, skipped } = row;
    plan.say(
      skipped === undefined
        ? `${name}: ${tries} tries, ${faults.length} faults, ${lost} lost`
        : `\n*** SKIPPED: ${name} needs ${skipped} ***\n`,
    );
    for (const fault of faults.slice(0, MOST_TOLD)) plan.say(`  ${fault}`);
  }
  return rows;
}

async function runTrial(
  { name, times, open }: Trial,
  time: number | undefined,
  { seed, attempts: most = times, hangs = HANGS }: Plan,
): Promise<Row> {
  const faults: string[] = [];
  let [lost, tries] = [0, 0];
  const failed = (when: string) => (error: Error) => {
    faults.push(`${when}: ${error.stack ?? error.message}`);
  };
  const ready = await open().catch(failed('before the first attempt'));
  if (!ready) return { name, tries, faults, lost };
  const end = performance.now() + (time ?? 0);
  const isDone = (attempts: number) =>
    time === undefined ? attempts >= most : attempts > 0 && performance.now() >= end;
  for (let attempts = 0; !isDone(attempts); ) {
    const outcome = await inTime(ready.attempt(new Random(seed, name, attempts++)), hangs);
    for (const fault of outcome?.faults ?? ['it hangs']) faults.push(`attempt ${attempts}: ${fault}`);
    tries += outcome?.tries ?? 1;
    lost += outcome?.lost ?? 0;
    if (!outcome) break;
  }
  await ready.close().catch(failed('after the last attempt'));
  return { name, tries, faults, lost };
}

/** An attempt that throws is a fault; undefined where it hangs. */
function inTime(attempt: Promise<Outcome>, hangs: number): Promise<Outcome | undefined> {
  const outcome = attempt.catch((error: Error) => ({
    tries: 1,
    faults: [error.stack ?? error.message],
    lost: 0,
  }));
  // It keeps the process alive: what hangs may have nothing else that does.
  const stop = new AbortController();
  const end = sleep(hangs, undefined, { signal: stop.signal }).catch(() => undefined);
  return Promise.race([outcome, end]).finally(() => stop.abort());
}

/** In Markdown. */
export const tableOf = (rows: readonly Row[]): string =>
  [
    '| trial | tries | faults | lost |',
    '|---|---:|---:|---:|',
    ...rows.map(({ name, tries, faults, lost, skipped }) =>
      skipped === undefined
        ? `| ${name} | ${tries} | ${faults.length} | ${lost} |`
        : `| ${name} | skipped | | |`,
    ),
  ].join('\n');

/** Whether nothing was wrong; what was skipped was not wrong. */
export const isGood = (rows: readonly Row[]): boolean =>
  rows.every(({ faults, lost }) => faults.length === 0 && lost === 0);
