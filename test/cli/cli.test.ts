import { spawn, spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inspect } from '../../src/commands/inspect.ts';
import { printManifest } from '../../src/emit/manifest-json.ts';
import { type Ended, runCli } from '../cli-in-process.ts';
import { SAMPLE } from '../emit/sample.ts';
import { ROOT } from '../house/sources.ts';
import { tinyResidual } from '../models.ts';
import { tinyProject, writeWithExternalData } from '../tiny-project.ts';

const test = suite('command line');
const bin = join(ROOT, 'bin/offramp.js');
const { folder, model, at, writeSamples, remove } = tinyProject('cli');
const samples = at('samples.npz');

const offramp = (...words: string[]) => runCli(folder, words);

/** In a process of its own: once for each exit code. */
function spawnOfframp(...words: string[]): Ended {
  return spawnSync(process.execPath, [bin, ...words], { encoding: 'utf8', cwd: folder });
}

test.before(() => writeSamples({ samples: 40 }));
test.after(remove);

test('inspect prints taps, and JSON on request', async () => {
  const text = spawnOfframp('inspect', model);
  assert.is(text.status, 0, text.stderr);
  assert.match(text.stdout, /5 classes, dynamic batch/);
  assert.match(text.stdout, /─ \[8, 8, 8\]\n(│.*\n)*│ .* block1 /);
  const json = await offramp('inspect', model, '--json', '--taps', 'block1');
  assert.is(json.status, 0, json.stderr);
  const { taps, rejected, exits, totalMacs } = JSON.parse(json.stdout);
  assert.is(exits[0].tap.value, 'block1');
  assert.ok(taps.length > 3 && Array.isArray(rejected) && totalMacs > 0);
});

test('a full disk where the result is printed to is an error with a code; one where progress goes is none', () => {
  if (!existsSync('/dev/full')) return;
  const full = openSync('/dev/full', 'w');
  const to = (stdout: number | 'pipe', stderr: number | 'pipe', ...words: string[]) =>
    spawnSync(process.execPath, [bin, ...words], {
      encoding: 'utf8',
      cwd: folder,
      stdio: ['ignore', stdout, stderr],
    });
  const inspected = [[], ['--json']].map((words) => ['inspect', model, ...words]);
  for (const words of [...inspected, ['--help'], ['compile', '--help'], ['--version'], ['completion']]) {
    const ended = to(full, 'pipe', ...words);
    assert.is(ended.status, 1);
    assert.match(
      ended.stderr,
      /^offramp: the result could not be printed: ENOSPC.* \[not-printed\]\n {2}Send it/,
    );
  }
  const unheard = to('pipe', full, 'evaluate', 'nowhere', '--test', 'random');
  assert.is(unheard.status, 2);
  closeSync(full);
});

test('a working directory that was removed is said in a line', () => {
  if (process.platform === 'win32') return;
  mkdirSync(at('gone'));
  const line = 'rmdir "$PWD" && exec "$0" "$@"';
  const ended = spawnSync('sh', ['-c', line, process.execPath, bin, 'inspect', model], {
    encoding: 'utf8',
    cwd: at('gone'),
  });
  assert.is(ended.status, 1);
  assert.match(
    ended.stderr,
    /^offramp: the working directory is not there any more \[.*\]\n {2}Change to .*\n$/,
  );
});

test('inspect is a tree of stages that fits the terminal, with everything on request', async () => {
  const taps = ['--taps', 'block1'];
  const { stdout } = await offramp('inspect', model, ...taps);
  const lines = stdout.split('\n');
  assert.ok(lines.every((line) => line.length <= 100));
  assert.match(stdout, /^│? +[├└] ● block1 +█+[▏▎▍▌▋▊▉]? +[\d.]+ % +[\d.]+ kB +exit_1 \+[\d.]+ [kMG]$/m);
  assert.match(stdout, /○ block2 /);
  assert.not.match(stdout, / [·×] \w/);
  const all = (await offramp('inspect', model, ...taps, '--all')).stdout;
  const { taps: places, rejected } = await inspect({ model, taps: ['block1'] });
  for (const { value, reason } of rejected) assert.ok(all.includes(value) && all.includes(reason), value);
  const marked = all.split('\n').filter((line) => /[├└] [●○·×] /.test(line));
  assert.is(marked.length, places.length + rejected.length);
});

test('inspect --svg draws the model with its exits', async () => {
  const { status, stderr } = await offramp('inspect', model, '--taps', 'block1', '--svg', 'line.svg');
  assert.is(status, 0, stderr);
  const drawing = readFileSync(at('line.svg'), 'utf8');
  assert.match(drawing, /^<svg [^>]*aria-label="The model, [^"]*exit_1 at [^"]*"/);
  assert.is(drawing.match(/<circle/g)?.length, 1);
  assert.match(drawing, 'prefers-color-scheme: dark');
});

test('whoever stops reading ends it quietly', async () => {
  const child = spawn(process.execPath, [bin, 'inspect', model, '--all'], { cwd: folder });
  child.stdout.destroy();
  let stderr = '';
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  assert.is(await new Promise((resolve) => child.on('close', resolve)), 0);
  assert.is(stderr, '');
});

test('bad usage and bad input end with 2, the code, and a remedy', async () => {
  const cases: [string[], RegExp][] = [
    [[], /Which command/],
    [['inspect', model, '--exitz', '3'], /[Uu]nknown argument/],
    [['inspect', at('absent.onnx')], /absent\.onnx/],
    [['inspect', samples], /\[not-an-onnx-file\]/],
    [['inspect', model, '--taps', 'nowhere'], /\[unknown-tap\]\n {2}Possible taps: /],
    [['inspect', model, '--exits', '40'], /\[exits-do-not-fit\]/],
    [['compile', model, '--train', samples, '--out', 'o', '--budget', 'cheap'], /\[bad-option\]/],
    [['compile', model, '--train', 'absent', '--out', 'o'], /absent/],
    [['evaluate', folder, '--test', samples], /\[not-a-package\]/],
    [['calibrate', folder, '--calibration', samples], /calibrate needs --model \(the original ONNX file\)/],
    [['compile', model, '--train', samples], /compile needs --out \(folder to write\)/],
    [['calibrate', folder, '--model', model, '--calibration', samples], /\[not-a-package\]/],
    [['calibrate', folder, '--model', model, '--epochs', '3'], /[Uu]nknown argument/],
    [['emit', folder], /\[not-a-package\]/],
    [['emit', folder, '--stub-only'], /\[bad-option\]/],
  ];
  const assertRefused = ({ status, stdout, stderr }: Ended, words: string[], message: RegExp) => {
    assert.is(status, 2, `${words.join(' ')}: ${stderr}`);
    assert.match(stderr, message);
    assert.not.match(stderr, /\n\s+at /, 'no stack');
    assert.is(stdout, '');
  };
  for (const [words, message] of cases) assertRefused(await offramp(...words), words, message);
  const unknownTap = cases.find(([words]) => words.includes('nowhere'))!;
  assertRefused(spawnOfframp(...unknownTap[0]), ...unknownTap);
  assert.not.ok(existsSync(at('o')));
});

test('emit --check ends with 1 and names what differs; emit mends it', async () => {
  mkdirSync(at('e'));
  writeFileSync(at('e/manifest.json'), printManifest(SAMPLE));
  const differs = spawnOfframp('emit', 'e', '--check');
  assert.is(differs.status, 1);
  assert.match(differs.stderr, /e\/index\.ts, .*\[package-differs\]\n {2}Run `npx onnx-offramp emit e`/);
  assert.match((await offramp('emit', 'e')).stdout, /^Written: e\/index\.ts, /);
  const same = await offramp('emit', 'e', '--check', '--json');
  assert.is(same.status, 0, same.stderr);
  assert.is(JSON.parse(same.stdout).files.length, 7);
});

test('compile, then calibrate in place and into a new folder, with weights in a folder of their own', async () => {
  const elsewhere = at('elsewhere.onnx');
  writeWithExternalData(tinyResidual({ seed: 4 }), elsewhere);
  mkdirSync(at('weights'));
  renameSync(at('weights.bin'), at('weights/weights.bin'));
  const missing = await offramp('inspect', elsewhere);
  assert.match(missing.stderr, /\[external-data-missing\]\n.* --external-data-folder/);
  const data = ['--external-data-folder', 'weights'];
  assert.is((await offramp('inspect', elsewhere, ...data)).status, 0);
  const runs = ['--cache', 'cache', '--threads', '1', '--quiet'];
  const common = [...data, ...runs];
  const words = ['--calibration', samples, '--test', samples, '--preset', 'unit', '--epochs', '1'];
  const compiled = await offramp('compile', elsewhere, '--train', samples, ...words, '--out', 'c', ...common);
  assert.is(compiled.status, 0, compiled.stderr);
  const given = ['calibrate', 'c', '--model', elsewhere, '--calibration', samples, ...common];
  const table = await offramp(...given, '--budget', '0.7', '--at', 'budget-0.7');
  assert.is(table.status, 0, table.stderr);
  assert.match(table.stdout, /budget-0\.7 .*\n(.*\n)*Measured on calibration .* Written to c\n/);
  const shown = await offramp('evaluate', 'c', '--test', samples, ...runs);
  assert.is(shown.status, 0, shown.stderr);
  assert.match(shown.stdout, /\n\d+ more \(cost-[\d.]+, …\) lie between these.*--all-points/);
  assert.not.match(shown.stdout, /^cost-/m);
  const gated = (...bounds: string[]) =>
    offramp(
      ...['evaluate', 'c', '--test', samples, '--at', 'exact', '--metrics', 'm.json', ...runs],
      ...bounds.flatMap((bound) => ['--fail-if', bound]),
    );
  assert.is((await gated('drop > 0', 'agreement < 100')).status, 0);
  assert.is(JSON.parse(readFileSync(at('m.json'), 'utf8'))['exact/agreement'], 1);
  const closed = await gated('drop > 0', 'cost > 0.5');
  assert.is(closed.status, 1);
  assert.match(closed.stdout, /^exact /m);
  assert.match(closed.stderr, /^offramp: exact has cost \d.* \(cost > 0\.5\) \[gate-failed\]$/m);
  assert.match(closed.stderr, /^ {2}Take a cheaper point \(--at fast\)/m);
  assert.match((await gated('latency > 2x')).stderr, /compare measures latency/);
  const slower = ['--test', samples, '--fail-if', 'latency > 0.001x', ...runs];
  const compared = await offramp('compare', 'c', 'c', ...slower);
  assert.is(compared.status, 1, compared.stderr);
  assert.match(compared.stderr, /c has latency .* \[gate-failed\]/);
  const swapped = await offramp('compare', 'c', elsewhere, ...slower);
  assert.is(swapped.status, 2);
  assert.match(swapped.stderr, /the compiled model last.*compare \S+ c …/);
  const whole = await offramp('evaluate', 'c', '--test', samples, '--all-points', ...runs);
  assert.match(whole.stdout, /^cost-[\d.]+ /m);
  const some = await offramp('evaluate', 'c', '--test', samples, '--at', 'exact,fast', ...runs);
  assert.match(some.stdout, /^exact .*\nfast .*\n\n(.*\n)?.*2 points: accuracy/m);
  assert.match(
    (await offramp('evaluate', 'c', '--test', samples, '--at', 'fsat')).stderr,
    /\[unknown-operating-point\]/,
  );
  const bytes = readFileSync(at('c/model.onnx'));
  writeFileSync(at('c/model.onnx'), bytes.subarray(0, -1));
  const tampered = await offramp('evaluate', 'c', '--test', samples);
  assert.is(tampered.status, 1);
  assert.match(tampered.stderr, /\[package-damaged\]/);
  writeFileSync(at('c/model.onnx'), bytes);
  const json = await offramp(
    ...given,
    '--policy',
    'entropy',
    '--thresholds',
    'baked',
    '--out',
    'd',
    '--json',
  );
  assert.is(json.status, 0, json.stderr);
  const { policy, defaultPoint, outputs } = JSON.parse(json.stdout);
  assert.equal([policy, defaultPoint, outputs.thresholds], ['entropy', 'budget-0.7', null]);
  const refused = await offramp(...given, '--out', 'd');
  assert.is(refused.status, 2);
  assert.match(refused.stderr, /\[output-not-empty\]/);
});

test('Ctrl-C ends with 130, writes nothing, and says that the cache stays', async () => {
  const words = [
    'compile',
    model,
    '--train',
    samples,
    '--preset',
    'unit',
    '--out',
    'o',
    '--cache',
    'cache',
    '--epochs',
    '100000',
  ];
  const child = spawn(process.execPath, [bin, ...words], { cwd: folder });
  let stderr = '';
  const ended = new Promise<number | null>((resolve) => child.on('exit', resolve));
  await new Promise<void>((resolve) => {
    child.stderr.on('data', (chunk) => {
      stderr += chunk;
      if (/extracting features: 100%/.test(stderr)) resolve();
    });
    child.on('exit', () => resolve());
  });
  child.kill('SIGINT');
  assert.is(await ended, 130, stderr);
  assert.match(stderr, /Interrupted/);
  assert.not.ok(existsSync(at('o')));
});

test.run();
