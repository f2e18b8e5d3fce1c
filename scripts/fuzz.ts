/**
 * Throws at Offramp what nobody would: damaged models, random models, random classifiers and chains with random exits. Ends with the line
 * `N passed, N failed`; what failed stays in a folder that is named, and is told with the command that makes it again.
 *
 *   npm run fuzz                                  what CI runs: the same every time, in less than two minutes
 *   npm run fuzz -- --minutes 30 --seed random    longer, and something new
 *   npm run fuzz -- --seed 7 lowering             only stages whose name holds one of the words
 *   npm run fuzz -- --seed 7 --mutant 1234        one mutant
 */
import { randomInt } from 'node:crypto';
import { mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import * as fc from 'fast-check';
import { serializeModel } from '../src/parser/index.ts';
import { buildBackbone } from '../test/fuzz/backbone.ts';
import { type ChainCase, chains, checkChain, recipesOf, type SeenChain } from '../test/fuzz/chains.ts';
import { type Failure, fuzzParser } from '../test/fuzz/fuzz-parser.ts';
import { type Case, cases, checkCase, type Seen } from '../test/fuzz/lowering.ts';
import { checkFile, checkMade, extras, models, withExtras } from '../test/fuzz/round-trip.ts';
import { tryEach } from '../test/fuzz/try-each.ts';

interface Result {
  readonly passed: number;
  readonly problems: readonly string[];
}

/** One thing that is tried: as often as CI does it, or for its share of the time that is given. */
interface Stage {
  readonly name: string;
  readonly times: number;
  readonly share: number;
  run(budget: Budget): Promise<Result>;
}

interface Budget {
  /** Of the stage. */
  readonly name: string;
  readonly times: number;
  /** Milliseconds after which nothing further is begun. */
  readonly time: number;
}

const { values, positionals: words } = parseArgs({
  options: {
    minutes: { type: 'string' },
    seed: { type: 'string', default: '1' },
    mutant: { type: 'string' },
    path: { type: 'string' },
  },
  allowPositionals: true,
});
const seed = values.seed === 'random' ? randomInt(2 ** 31) : Number(values.seed);
const minutes = values.minutes === undefined ? undefined : Number(values.minutes);
const mutant = values.mutant === undefined ? undefined : Number(values.mutant);
if (![seed, mutant ?? 0].every(Number.isSafeInteger) || !(minutes === undefined || minutes > 0))
  throw new Error('--seed takes a whole number or `random`, --mutant a whole number, --minutes one above 0');
if (mutant !== undefined) words.push('mutants');
const folder = realpathSync(mkdtempSync(join(tmpdir(), 'offramp-fuzz-')));

/** Of fewer cases nothing is said on whether they were worth it. */
const ENOUGH = 50;
/** Problems of one stage that are told in full: one bug can be a thousand of them. */
const MOST_TOLD = 10;
/** No stage takes as long, and timers take no more. */
const NO_LIMIT_MS = 2 ** 31 - 1;

/** Two at a time: the first runs in processes of its own. */
const lanes: readonly (readonly Stage[])[] = [
  [
    { name: 'mutants, before ONNX Runtime sees them', times: 20_000, share: 0.8, run: mutants },
    { name: 'mutants that were accepted, in ONNX Runtime', times: 60, share: 0.2, run: accepted },
  ],
  [
    { name: 'round trip: models made here', times: 400, share: 0.1, run: madeModels },
    { name: 'round trip: files from elsewhere', times: 400, share: 0.1, run: files },
    { name: 'lowering: random classifiers', times: 100, share: 0.4, run: classifiers },
    { name: 'lowering: random chains', times: 60, share: 0.4, run: randomChains },
  ],
];

console.log(`seed ${seed}`);
let [passed, failed] = [0, 0];
await Promise.all(lanes.map(runLane));
if (failed === 0) rmSync(folder, { recursive: true });
else console.log(`\nSeed ${seed}. What failed is in ${folder}`);
console.log(`\n${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);

async function runLane(stages: readonly Stage[]): Promise<void> {
  for (const { name, times, share, run } of stages) {
    if (words.length > 0 && !words.some((word) => name.includes(word))) continue;
    const started = performance.now();
    const result = await run(
      minutes === undefined
        ? { name, times, time: NO_LIMIT_MS }
        : { name, times: Number.MAX_SAFE_INTEGER, time: minutes * 60_000 * share },
    );
    passed += result.passed;
    failed += result.problems.length;
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    console.log(`${name}: ${result.passed} passed, ${result.problems.length} failed, ${seconds} s`);
    for (const problem of result.problems.slice(0, MOST_TOLD)) console.log(`\n${problem}`);
  }
}

async function mutants({ times, time }: Budget): Promise<Result> {
  const [from, count] = mutant === undefined ? [0, times] : [mutant, 1];
  const { failures, ...tally } = await fuzzParser({ seed, folder, from, count, time, keep: 2000 });
  const { slowest, growth, peak } = tally;
  console.log(
    `\n${tally.mutants} mutants: one took at most ${slowest.toFixed(0)} ms of CPU and ${growth.toFixed(0)} MB, the process ${peak.toFixed(0)} MB`,
  );
  tell(tally.outcomes);
  const problems = failures.map(explain);
  const share = (tally.outcomes.accepted ?? 0) / tally.mutants;
  if (tally.mutants >= ENOUGH && !(share > 0.05 && share < 0.95))
    problems.push(`accepted: ${share} of the mutants, which are worth little`);
  return { passed: tally.mutants - failures.length, problems };
}

/** Of the mutants that the stage before kept. */
async function accepted({ times, time }: Budget): Promise<Result> {
  const kept = readdirSync(join(folder, 'model')).filter((name) => name.startsWith('accepted-'));
  const step = Math.max(1, kept.length / times);
  const chosen = Array.from({ length: Math.min(times, kept.length) }, (_, i) => kept[Math.floor(i * step)]!);
  const { outcomes, failures } = await tryEach('inspect-each.ts', {
    files: chosen.map((name) => join(folder, 'model', name)),
    time,
  });
  console.log();
  tell(outcomes);
  const tried = Object.values(outcomes).reduce((sum, n) => sum + n, 0);
  return { passed: tried - (outcomes.failed ?? 0), problems: failures.map(explain) };
}

function explain({ file, problem }: Failure): string {
  const index = /(\d+)\.onnx$/.exec(file)![1];
  return `${file} (again: npm run fuzz -- --seed ${seed} --mutant ${index}): ${problem}`;
}

function madeModels(budget: Budget): Promise<Result> {
  return property(
    budget,
    models,
    async (model) => checkMade(model),
    (model) => [model],
  );
}

function files(budget: Budget): Promise<Result> {
  const file = fc.tuple(models, extras).map(([model, list]) => withExtras(serializeModel(model), list));
  return property(
    budget,
    file,
    async (bytes) => checkFile(bytes),
    (bytes) => [bytes],
  );
}

async function classifiers(budget: Budget): Promise<Result> {
  const all: Seen[] = [];
  const check = async (c: Case) => void all.push(await checkCase(c));
  const result = await property(budget, cases, check, (c) => [serializeModel(buildBackbone(c.recipe)), c]);
  const worth = all.filter((seen) => !seen.skipped);
  const several = worth.filter((seen) => seen.ways > 1);
  console.log(
    `\n${all.length} classifiers: ${worth.length} had room for exits, ${worth.filter((s) => s.exits > 1).length} for several; ${several.length} batches left at several places`,
  );
  const weak = worth.length < 0.8 * all.length || several.length < 0.4 * worth.length;
  return weak && all.length >= ENOUGH
    ? { ...result, problems: [...result.problems, 'the cases are worth little'] }
    : result;
}

async function randomChains(budget: Budget): Promise<Result> {
  const all: SeenChain[] = [];
  const check = async (c: ChainCase) => void all.push(await checkChain(c));
  const evidence = (c: ChainCase) => [
    ...recipesOf(c).map((recipe) => serializeModel(buildBackbone(recipe))),
    c,
  ];
  const result = await property(budget, chains, check, evidence);
  const several = all.filter((seen) => seen.ways > 1).length;
  const networks = [2, 3, 4].map((n) => all.filter((seen) => seen.networks === n).length).join(', ');
  console.log(
    `\n${all.length} chains, of two, three and four networks: ${networks}; ${several} batches left at several places`,
  );
  return several < 0.4 * all.length && all.length >= ENOUGH
    ? { ...result, problems: [...result.problems, 'the chains are worth little'] }
    : result;
}

/** Checks many of `things`; `evidence` makes files of a counterexample: bytes, or what can be shown as JSON. */
async function property<T>(
  { name, times, time }: Budget,
  things: fc.Arbitrary<T>,
  check: (thing: T) => Promise<void>,
  evidence: (counterexample: T) => readonly unknown[],
): Promise<Result> {
  const checked = fc.asyncProperty(things, async (thing) => {
    await setImmediate(); // The other lane wants to hear its processes.
    await check(thing);
  });
  const again = values.path === undefined ? {} : { path: values.path };
  const found = await fc.check(checked, { seed, numRuns: times, interruptAfterTimeLimit: time, ...again });
  if (!found.failed) return { passed: found.numRuns, problems: [] };
  const written = evidence(found.counterexample![0]).map((thing, at) => {
    const isModel = thing instanceof Uint8Array;
    const file = join(folder, `${name.replace(/\W+/g, '-')}-${at + 1}.${isModel ? 'onnx' : 'json'}`);
    writeFileSync(file, isModel ? thing : JSON.stringify(thing, null, 2));
    return file;
  });
  const { errorInstance, counterexamplePath } = found;
  const reason = errorInstance instanceof Error ? errorInstance.stack : String(errorInstance);
  const command = `npm run fuzz -- --seed ${seed} --path ${counterexamplePath} '${name}'`;
  return { passed: found.numRuns - 1, problems: [`${written.join(' ')} (again: ${command}): ${reason}`] };
}

function tell(outcomes: Readonly<Record<string, number>>): void {
  const sorted = Object.entries(outcomes).sort(([, a], [, b]) => b - a);
  console.log(sorted.map(([outcome, count]) => `${count} ${outcome}`).join(', '));
}
