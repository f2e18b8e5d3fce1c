/**
 * Throws at Offramp what nobody would: damaged models, random models, random classifiers with random exits. Ends with the line
 * `N passed, N failed`; what failed stays in a folder that is named.
 *
 *   npm run fuzz                                  what CI runs: the same every time, in less than two minutes on one core
 *   npm run fuzz -- --minutes 30 --seed random    longer, and something new
 *   npm run fuzz -- --seed 7 lowering             only stages whose name holds one of the words
 */
import { randomInt } from 'node:crypto';
import { mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import * as fc from 'fast-check';
import { serializeModel } from '../src/parser/index.ts';
import { buildBackbone } from '../test/fuzz/backbone.ts';
import { fuzzNative } from '../test/fuzz/fuzz-native.ts';
import { fuzzParser } from '../test/fuzz/fuzz-parser.ts';
import { type Case, cases, checkCase, type Seen } from '../test/fuzz/lowering.ts';
import { checkFile, checkMade, extras, models, withExtras } from '../test/fuzz/round-trip.ts';

interface Result {
  readonly passed: number;
  readonly problems: readonly string[];
}

/** One thing that is tried: as often as CI does it, or for its share of the time that is given. */
interface Stage {
  readonly name: string;
  readonly times: number;
  readonly share: number;
  run(times: number, milliseconds: number): Promise<Result>;
}

const { values, positionals: words } = parseArgs({
  options: { minutes: { type: 'string' }, seed: { type: 'string', default: '1' } },
  allowPositionals: true,
});
const seed = values.seed === 'random' ? randomInt(2 ** 31) : Number(values.seed);
const minutes = values.minutes === undefined ? undefined : Number(values.minutes);
if (!Number.isSafeInteger(seed) || !(minutes === undefined || minutes > 0))
  throw new Error('--seed takes a whole number or `random`, --minutes a number above 0');
const folder = realpathSync(mkdtempSync(join(tmpdir(), 'offramp-fuzz-')));

/** No stage takes as long, and timers take no more. */
const NO_LIMIT_MS = 2 ** 31 - 1;

const stages: readonly Stage[] = [
  { name: 'mutants, before ONNX Runtime sees them', times: 20_000, share: 0.4, run: mutants },
  { name: 'mutants that were accepted, in ONNX Runtime', times: 200, share: 0.1, run: accepted },
  { name: 'round trip: models made here', times: 400, share: 0.05, run: madeModels },
  { name: 'round trip: files from elsewhere', times: 400, share: 0.05, run: files },
  { name: 'lowering: random classifiers', times: 120, share: 0.4, run: classifiers },
];

console.log(`seed ${seed}`);
let [passed, failed] = [0, 0];
for (const { name, times, share, run } of stages) {
  if (words.length > 0 && !words.some((word) => name.includes(word))) continue;
  const started = performance.now();
  const result = await (minutes === undefined
    ? run(times, NO_LIMIT_MS)
    : run(Number.MAX_SAFE_INTEGER, minutes * 60_000 * share));
  passed += result.passed;
  failed += result.problems.length;
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`\n${name}: ${result.passed} passed, ${result.problems.length} failed, ${seconds} s`);
  for (const problem of result.problems) console.log(`\n${problem}`);
}
if (failed === 0) rmSync(folder, { recursive: true });
else console.log(`\nSeed ${seed}. What failed is in ${folder}`);
console.log(`\n${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);

async function mutants(count: number, time: number): Promise<Result> {
  const { failures, ...tally } = await fuzzParser({ seed, folder, from: 0, count, time, keep: 2000 });
  const { slowest, growth, peak } = tally;
  console.log(
    `\n${tally.mutants} mutants: one took at most ${slowest.toFixed(0)} ms of CPU and ${growth.toFixed(0)} MB, the process ${peak.toFixed(0)} MB`,
  );
  tell(tally.outcomes);
  const problems = failures.map(({ file, problem }) => `${file}: ${problem}`);
  const share = (tally.outcomes.accepted ?? 0) / tally.mutants;
  if (!(share > 0.05 && share < 0.95))
    problems.push(`accepted: ${share} of the mutants, which are worth little`);
  return { passed: tally.mutants - failures.length, problems };
}

/** Of the mutants that the stage before kept. */
async function accepted(count: number, time: number): Promise<Result> {
  const kept = readdirSync(join(folder, 'model')).filter((name) => name.startsWith('accepted-'));
  const step = Math.max(1, kept.length / count);
  const chosen = Array.from({ length: Math.min(count, kept.length) }, (_, i) => kept[Math.floor(i * step)]!);
  const files = chosen.map((name) => join(folder, 'model', name));
  const { outcomes, failures } = await fuzzNative({ files, time });
  tell(outcomes);
  const tried = Object.values(outcomes).reduce((sum, n) => sum + n, 0);
  const problems = failures.map(({ file, problem }) => `${file}: ${problem}`);
  return { passed: tried - (outcomes.failed ?? 0), problems };
}

function madeModels(numRuns: number, time: number): Promise<Result> {
  return property(
    fc.asyncProperty(models, async (model) => checkMade(model)),
    numRuns,
    time,
    (model) => [model],
  );
}

function files(numRuns: number, time: number): Promise<Result> {
  const file = fc.tuple(models, extras).map(([model, list]) => withExtras(serializeModel(model), list));
  return property(
    fc.asyncProperty(file, async (bytes) => checkFile(bytes)),
    numRuns,
    time,
    (bytes) => [bytes],
  );
}

async function classifiers(numRuns: number, time: number): Promise<Result> {
  const all: Seen[] = [];
  const lowered = fc.asyncProperty(cases, async (c) => void all.push(await checkCase(c)));
  const result = await property(lowered, numRuns, time, (c: Case) => [
    serializeModel(buildBackbone(c.recipe)),
    c,
  ]);
  const worth = all.filter((seen) => !seen.skipped);
  const several = worth.filter((seen) => seen.ways > 1);
  console.log(
    `\n${all.length} classifiers: ${worth.length} had room for exits, ${worth.filter((s) => s.exits > 1).length} for several; ${several.length} batches left at several places`,
  );
  const weak = worth.length < 0.8 * all.length || several.length < 0.4 * worth.length;
  return weak ? { ...result, problems: [...result.problems, 'the cases are worth little'] } : result;
}

/** Runs a property of one argument; `evidence` makes files of a counterexample: bytes, or what can be shown as JSON. */
async function property<T>(
  checked: fc.IAsyncProperty<[T]>,
  numRuns: number,
  time: number,
  evidence: (counterexample: T) => readonly unknown[],
): Promise<Result> {
  const found = await fc.check(checked, { seed, numRuns, interruptAfterTimeLimit: time });
  if (!found.failed) return { passed: found.numRuns, problems: [] };
  const files = evidence(found.counterexample![0]).map((thing, i) => {
    const isModel = thing instanceof Uint8Array;
    const file = join(folder, `counterexample-${i}.${isModel ? 'onnx' : 'json'}`);
    writeFileSync(file, isModel ? thing : JSON.stringify(thing, null, 2));
    return file;
  });
  const { errorInstance, numShrinks, counterexamplePath } = found;
  const reason = errorInstance instanceof Error ? errorInstance.stack : String(errorInstance);
  const where = `path ${counterexamplePath}, after ${numShrinks} steps of shrinking`;
  return { passed: found.numRuns - 1, problems: [`${files.join(' ')} (${where}): ${reason}`] };
}

function tell(outcomes: Readonly<Record<string, number>>): void {
  const sorted = Object.entries(outcomes).sort(([, a], [, b]) => b - a);
  console.log(sorted.map(([outcome, count]) => `${count} ${outcome}`).join(', '));
}
