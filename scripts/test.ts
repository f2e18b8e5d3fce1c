/**
 * Runs the tests: each folder of test/ in processes of its own, at most eight files each, two processes at a time, so that memory is given
 * back and a crash in native code fails one process. Its output is printed when it ends. The last line is `N passed, N failed`.
 *
 *   npm test                     all that a clone can run by itself
 *   npm run test:apart           those that need more: minutes (*.slow.test.ts), ../shared (*.shared.test.ts), the npm registry (*.network.test.ts),
 *                                Python with ONNX Runtime (*.python.test.ts)
 *   npm run test:browser         test/browser/, which needs Chromium and takes minutes
 *   npm test -- parser passes/   only files whose path holds one of the words
 *   npm test -- --record         writes to test/count.txt how many tests of each kind there are
 *   npm run golden               only files with golden cases, rewriting golden/
 *
 * Fails when fewer tests ran than test/count.txt promises. Where a kind's needs are not met, that is printed and its tests are not run.
 */
import { spawn, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { hasSharedData } from '../test/shared.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const TEST = join(ROOT, 'test');
const COUNT = join(TEST, 'count.txt');
const TIMEOUT_MS = 10 * 60_000;
const AT_A_TIME = 2;
/** In one process. */
const MOST_FILES = 8;
/** Folders whose tests take longest start first, so that none runs alone at the end. */
const FIRST = ['examples', 'pack', 'commands', 'attack', 'hub', 'house', 'cli', 'policies', 'emit'];

type Kind = 'anywhere' | 'slow' | 'shared' | 'network' | 'python' | 'browser';

interface Tally {
  total: number;
  passed: number;
}

const args = process.argv.slice(2);
const golden = args.includes('--golden');
const record = args.includes('--record');
const words = args.filter((arg) => !arg.startsWith('--'));
const kinds: Kind[] = args.includes('--browser')
  ? ['browser']
  : args.includes('--apart')
    ? ['slow', 'shared', 'network', 'python']
    : ['anywhere'];

/** What a kind of tests cannot do without, and whether it is here. The browser's tests say for themselves that there is no Chromium. */
const NEEDS: Partial<Record<Kind, { readonly what: string; readonly isHere: () => boolean }>> = {
  shared: { what: '../shared', isHere: hasSharedData },
  network: {
    what: 'the npm registry',
    isHere: () => spawnSync('npm', ['view', 'uvu', 'name'], { cwd: ROOT }).status === 0,
  },
  python: {
    what: 'python3 with numpy and onnxruntime',
    isHere: () => spawnSync('python3', ['-c', 'import numpy, onnxruntime']).status === 0,
  },
};

const all = readdirSync(TEST, { recursive: true, encoding: 'utf8' })
  .map((path) => path.replaceAll('\\', '/'))
  .filter((path) => path.endsWith('.test.ts'))
  .filter((path) => words.length === 0 || words.some((word) => path.includes(word)))
  .filter((path) => !golden || /\bgoldenCase\(/.test(readFileSync(join(TEST, path), 'utf8')))
  .sort();
const missing = kinds.filter((kind) => NEEDS[kind] && !NEEDS[kind].isHere());
for (const kind of missing) console.log(`\n*** SKIPPED: the ${kind} tests need ${NEEDS[kind]!.what} ***`);
/** Tests of one kind in one folder. */
interface Batch {
  readonly folder: string;
  readonly kind: Kind;
  readonly files: string[];
}
const groups: Batch[] = [];
for (const file of all) {
  const kind = kindOf(file);
  if (!kinds.includes(kind) || missing.includes(kind)) continue;
  const folder = file.split('/')[0]!;
  const group = groups.find((one) => one.folder === folder && one.kind === kind);
  if (group) group.files.push(file);
  else groups.push({ folder, kind, files: [file] });
}
/** One for each process. Files are dealt in turn: neighbours by name take about as long. */
const batches = groups.flatMap(({ files, ...group }): Batch[] => {
  const count = Math.ceil(files.length / MOST_FILES);
  return Array.from({ length: count }, (_, k) => ({
    ...group,
    files: files.filter((_, i) => i % count === k),
  }));
});
const rank = ({ folder }: Batch) => (FIRST.includes(folder) ? FIRST.indexOf(folder) : FIRST.length);

const sums = new Map<Kind, Tally>(kinds.map((kind) => [kind, { total: 0, passed: 0 }]));
const waiting = batches.toSorted((a, b) => rank(a) - rank(b));
async function runWaiting(): Promise<void> {
  for (let next = waiting.shift(); next; next = waiting.shift()) {
    const { folder, kind, files } = next;
    const name = `test/${folder}${kind === 'anywhere' ? '' : ` (${kind})`}`;
    const started = Date.now();
    const { output, ...tally } = await runFiles(files);
    const sum = sums.get(kind)!;
    sum.total += tally.total;
    sum.passed += tally.passed;
    const seconds = ((Date.now() - started) / 1000).toFixed(1);
    console.log(`\n── ${name} (${files.length} files)\n${output}`);
    console.log(`── ${name}: ${tally.passed} of ${tally.total}, ${seconds} s`);
  }
}
await Promise.all(Array.from({ length: AT_A_TIME }, runWaiting));

const total = [...sums.values()].reduce((n, tally) => n + tally.total, 0);
const passed = [...sums.values()].reduce((n, tally) => n + tally.passed, 0);
let failed = total - passed;
if (total === 0 && missing.length < kinds.length && !golden) failed = complain('no test ran');
const whole = words.length === 0 && !golden;
// Some of the browser's tests, and of those that need the registry, are made of ../shared.
const isWhole = (kind: Kind) => hasSharedData() || (kind !== 'browser' && kind !== 'network');
const guarded = kinds.filter((kind) => !missing.includes(kind) && isWhole(kind));
if (whole && record && failed === 0) writeRecord();
for (const kind of whole ? guarded : []) {
  const [ran, promised] = [sums.get(kind)!.total, recorded().get(kind) ?? 0];
  if (ran < promised)
    failed += complain(
      `${ran} ${kind} tests ran where test/count.txt promises ${promised}; if they were removed on purpose: --record`,
    );
}
console.log(`\n${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);

/** Runs `list` (paths below test/) in one child process and adds up what uvu prints. */
function runFiles(list: readonly string[]): Promise<Tally & { output: string }> {
  return new Promise((done) => {
    const runner = fileURLToPath(new URL('test-folder.ts', import.meta.url));
    const child = spawn(
      process.execPath,
      ['--import', 'tsx', runner, ...list.map((file) => join(TEST, file))],
      {
        cwd: ROOT,
        env: { ...process.env, ...(golden ? { UPDATE_GOLDEN: '1' } : {}) },
        stdio: ['ignore', 'pipe', 'pipe'],
        timeout: TIMEOUT_MS,
        killSignal: 'SIGKILL',
      },
    );
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
    child.on('close', (code, signal) => {
      const tally = { total: countOf(output, 'Total'), passed: countOf(output, 'Passed') };
      const ended = Number.isFinite(tally.total) && Number.isFinite(tally.passed);
      const lie = ended && code !== 0 && tally.total === tally.passed;
      if (ended && !lie) return done({ ...tally, output });
      output += `the test process ended with ${signal ?? `exit code ${code}`}${lie ? ' after its last test' : ' before its last test'}\n`;
      // Passing tests of a process that died are not known to have been all: one failure stands for the rest.
      done({ ...(lie ? { total: tally.total + 1, passed: tally.passed } : { total: 1, passed: 0 }), output });
    });
  });
}

function countOf(output: string, label: string): number {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours
  const plain = output.replace(/\u001b\[[0-9;]*m/g, '');
  return Number(plain.match(new RegExp(`^ {2}${label}: +(\\d+)$`, 'm'))?.[1] ?? Number.NaN);
}

function kindOf(file: string): Kind {
  if (file.startsWith('browser/')) return 'browser';
  if (file.endsWith('.slow.test.ts')) return 'slow';
  if (file.endsWith('.shared.test.ts')) return 'shared';
  if (file.endsWith('.network.test.ts')) return 'network';
  return file.endsWith('.python.test.ts') ? 'python' : 'anywhere';
}

/** How many tests of each kind test/count.txt promises. */
function recorded(): Map<string, number> {
  const lines = readFileSync(COUNT, 'utf8').trim().split('\n');
  return new Map(lines.map((line) => [line.split(' ')[0]!, Number(line.split(' ')[1])]));
}

function writeRecord(): void {
  const counts = recorded();
  for (const kind of guarded) counts.set(kind, sums.get(kind)!.total);
  writeFileSync(COUNT, [...counts].map(([kind, count]) => `${kind} ${count}\n`).join(''));
}

function complain(problem: string): 1 {
  console.log(`\n${problem}`);
  return 1;
}
