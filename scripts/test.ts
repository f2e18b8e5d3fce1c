/**
 * Runs the tests: each folder of test/ in a process of its own, two at a time, so that memory is given back and a crash in native
 * code is one folder's failure. What a folder says is printed when it is done. Ends with the line `N passed, N failed`.
 *
 *   npm test                     everything; fails when fewer tests ran than test/count.txt says
 *   npm test -- parser passes/   only files whose path holds one of the words
 *   npm test -- --record         writes the number of tests to test/count.txt
 *   npm run golden               only files with golden cases, rewriting golden/
 *   npm run test:browser         test/browser/, which all others leave out: it drives Chromium and takes minutes
 */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const TEST = join(ROOT, 'test');
const COUNT = join(TEST, 'count.txt');
const FOLDER_TIMEOUT_MS = 10 * 60_000;
const AT_A_TIME = 2;

interface Tally {
  total: number;
  passed: number;
}

const args = process.argv.slice(2);
const golden = args.includes('--golden');
const browser = args.includes('--browser');
const record = args.includes('--record');
const words = args.filter((arg) => !arg.startsWith('--'));

const files = readdirSync(TEST, { recursive: true, encoding: 'utf8' })
  .map((path) => path.replaceAll('\\', '/'))
  .filter((path) => path.endsWith('.test.ts') && path.startsWith('browser/') === browser)
  .filter((path) => words.length === 0 || words.some((word) => path.includes(word)))
  .filter((path) => !golden || /\bgoldenCase\(/.test(readFileSync(join(TEST, path), 'utf8')))
  .sort();
const folders = new Map<string, string[]>();
for (const file of files) folders.set(folderOf(file), [...(folders.get(folderOf(file)) ?? []), file]);
/** Those that take minutes start first, so that none runs alone at the end. */
const FIRST = ['.', 'house', 'policies'];
const rank = (folder: string) => (FIRST.includes(folder) ? FIRST.indexOf(folder) : FIRST.length);

const sum: Tally = { total: 0, passed: 0 };
const waiting = [...folders].sort(([a], [b]) => rank(a) - rank(b));
async function runWaiting(): Promise<void> {
  for (let next = waiting.shift(); next; next = waiting.shift()) {
    const [folder, list] = next;
    const started = Date.now();
    const { output, ...tally } = await runFolder(list);
    sum.total += tally.total;
    sum.passed += tally.passed;
    const seconds = ((Date.now() - started) / 1000).toFixed(1);
    console.log(`\n── test/${folder} (${list.length} files)\n${output}`);
    console.log(`── test/${folder}: ${tally.passed} of ${tally.total}, ${seconds} s`);
  }
}
await Promise.all(Array.from({ length: AT_A_TIME }, runWaiting));

let failed = sum.total - sum.passed;
if (record && !browser && words.length === 0 && failed === 0) writeFileSync(COUNT, `${sum.total}\n`);
if (sum.total === 0 && !golden) failed = complain('no test ran');
if (words.length === 0 && !golden && !browser && sum.total < recorded()) {
  failed += complain(
    `${sum.total} tests ran where test/count.txt promises ${recorded()}; if they were removed on purpose: npm test -- --record`,
  );
}
console.log(`\n${sum.passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);

/** Runs `list` (paths below test/) in one child process and adds up what uvu prints. */
function runFolder(list: readonly string[]): Promise<Tally & { output: string }> {
  return new Promise((done) => {
    const runner = fileURLToPath(new URL('test-folder.ts', import.meta.url));
    const child = spawn(
      process.execPath,
      ['--import', 'tsx', runner, ...list.map((file) => join(TEST, file))],
      {
        cwd: ROOT,
        env: { ...process.env, ...(golden ? { UPDATE_GOLDEN: '1' } : {}) },
        stdio: ['ignore', 'pipe', 'pipe'],
        timeout: FOLDER_TIMEOUT_MS,
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

function folderOf(file: string): string {
  return file.includes('/') ? file.slice(0, file.indexOf('/')) : '.';
}

function recorded(): number {
  try {
    return Number(readFileSync(COUNT, 'utf8'));
  } catch {
    return 0;
  }
}

function complain(problem: string): 1 {
  console.log(`\n${problem}`);
  return 1;
}
