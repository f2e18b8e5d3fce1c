/** Every command that README tells is run by somebody: here, by another test, or by .ci/run. */
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import sharp from 'sharp';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { CLASSES, drawSamples, SIDE, writeNpz } from '../../examples/demo/shapes.ts';
import { isForCi, readmeCommands } from '../../scripts/readme-commands.ts';
import { ROOT } from './sources.ts';

/** Commands with a place of their own, and who runs them there. */
const ELSEWHERE: Record<string, { readonly file: string; readonly proof: string }> = {
  'npm install onnx-offramp': { file: 'test/pack/pack.test.ts', proof: "'install'" },
  'npm run build': { file: 'test/pack/pack.test.ts', proof: 'scripts/build.ts' },
  'npm run check': { file: '.ci/run', proof: 'npm run check' },
  'npm run fuzz': { file: '.ci/run', proof: 'npm run fuzz' },
  'npm run golden': { file: '.ci/run', proof: 'npm run golden' },
  'npm ci': { file: '.ci/run', proof: 'npm ci' },
};
const SAMPLES = 300;
const COMMAND_TIMEOUT_MS = 4 * 60_000;

const test = suite('house: README');
const commands = readmeCommands();
const isOfframp = (command: string) => command.startsWith('npx offramp ');

test('its commands for a fresh clone are the two that .ci/run runs', () => {
  assert.equal(commands.filter(isForCi), ['npm ci && npm run demo', 'npm ci && npm test']);
});

test('every command is run by somebody', () => {
  const orphans = commands.filter((c) => !isForCi(c) && !isOfframp(c) && !(c in ELSEWHERE));
  assert.equal(orphans, [], 'run them here, or name in ELSEWHERE who does');
  for (const { file, proof } of commands.flatMap((c) => ELSEWHERE[c] ?? [])) {
    assert.match(readFileSync(join(ROOT, file), 'utf8'), proof);
  }
});

test('npx offramp … runs as README says, with small stand-ins for the files it names', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'offramp-readme-'));
  try {
    const offramp = commands.filter(isOfframp);
    assert.ok(offramp.length > 0, 'README shows no command line');
    for (const command of offramp) await runWithStandIns(command, folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test.run();

async function runWithStandIns(command: string, folder: string): Promise<void> {
  assert.not.match(command, /["'|&;<>$*]/, `too clever for this test: ${command}`);
  const words = command.split(/\s+/).slice(2);
  for (const [i, word] of words.entries()) {
    const path = resolve(folder, word);
    if (existsSync(path)) continue;
    const flag = words[i - 1] ?? '';
    if (word.endsWith('.onnx')) {
      mkdirSync(dirname(path), { recursive: true });
      copyFileSync(join(ROOT, 'examples/demo/base.onnx'), path);
    } else if (flag === '--labels') writeFileSync(path, `${CLASSES.join('\n')}\n`);
    else if (/^--(train|validation|calibration|test)$/.test(flag)) await placeSamples(path, i);
  }
  const quick = words[0] === 'compile' && !words.includes('--epochs') ? ['--epochs', '1'] : [];
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(ROOT, 'bin/offramp.js'), ...words, ...quick],
    {
      cwd: folder,
      encoding: 'utf8',
      timeout: COMMAND_TIMEOUT_MS,
      env: { ...process.env, HOME: folder, XDG_CACHE_HOME: join(folder, 'cache') },
    },
  );
  if (status !== 0) assert.unreachable(`${command}\nended with ${status}:\n${stdout}${stderr}`);
}

/** Drawn pictures at `path`: an npz, or a folder with one folder a class. */
async function placeSamples(path: string, seed: number): Promise<void> {
  mkdirSync(dirname(path), { recursive: true });
  const samples = drawSamples(SAMPLES, seed);
  if (path.endsWith('.npz')) return writeNpz(path, samples);
  const size = SIDE * SIDE * 3;
  for (const name of CLASSES) mkdirSync(join(path, name), { recursive: true });
  for (const [i, label] of samples.labels.entries()) {
    const raw = { width: SIDE, height: SIDE, channels: 3 } as const;
    const picture = sharp(samples.pixels.subarray(i * size, (i + 1) * size), { raw });
    await picture.png().toFile(join(path, CLASSES[label]!, `${i}.png`));
  }
}
