/** Every command that README tells is run by somebody: here, by another test, or by .ci/run. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isForCi, readmeCommands } from '../../scripts/readme-commands.ts';
import { runCli } from '../cli-in-process.ts';
import { classifierConfig, vitProcessor, writeFiles } from '../hub-models.ts';
import { placeSamples, writeModel } from '../stand-ins.ts';
import { ROOT } from './sources.ts';

/** Commands with a place of their own, and who runs them there. */
const ELSEWHERE: Record<string, { readonly file: string; readonly verification: string }> = {
  'npm install -D onnx-offramp': { file: 'test/pack/pack.network.test.ts', verification: "'install'" },
  'npm run build': { file: 'test/pack/packed.ts', verification: 'scripts/build.ts' },
  'npm run check': { file: '.ci/run', verification: 'npm run check' },
  'npm run fuzz': { file: '.ci/run', verification: 'npm run fuzz' },
  'npm run golden': { file: '.ci/run', verification: 'npm run golden' },
  'npm ci': { file: '.ci/run', verification: 'npm ci' },
  'npx tsx examples/node-server/server.ts split/server': {
    file: 'test/examples/serve.ts',
    verification: 'examples/node-server/server.ts',
  },
};
const COMMAND_TIMEOUT_MS = 4 * 60_000;

const test = suite('house: README');
const commands = readmeCommands();
const isOfframp = (command: string) => command.startsWith('npx onnx-offramp ');

test('its commands for a fresh clone are the two that .ci/run runs', () => {
  assert.equal(commands.filter(isForCi), ['npm ci && npm run demo', 'npm ci && npm test']);
});

test('every command is run by somebody', () => {
  const orphans = commands.filter((c) => !isForCi(c) && !isOfframp(c) && !(c in ELSEWHERE));
  assert.equal(orphans, [], 'run them here, or name in ELSEWHERE who does');
  for (const { file, verification } of commands.flatMap((c) => ELSEWHERE[c] ?? [])) {
    assert.match(readFileSync(join(ROOT, file), 'utf8'), verification);
  }
});

test('docs/guide.md runs from its first command to its last', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'offramp-guide-'));
  const { XDG_CACHE_HOME } = process.env;
  try {
    process.env.XDG_CACHE_HOME = join(folder, 'cache');
    const guide = readmeCommands('docs/guide.md');
    assert.ok(guide.length >= 7 && guide.every(isOfframp), 'other commands than offramp need a place to run');
    for (const command of guide) {
      const words = await wordsWithStandIns(command, folder);
      const { status, stdout, stderr } = await runCli(folder, words);
      assert.is(status, 0, `${command}\n${stdout}${stderr}`);
    }
    const text = readFileSync(join(ROOT, 'docs/guide.md'), 'utf8');
    writeFileSync(join(folder, 'offramp.config.json'), /```json\n([\s\S]*?)```/.exec(text)![1]!);
    const configured = await runCli(folder, ['compile', 'net.onnx', '--dry-run', '--force']);
    assert.is(configured.status, 0, configured.stderr);
  } finally {
    if (XDG_CACHE_HOME === undefined) delete process.env.XDG_CACHE_HOME;
    else process.env.XDG_CACHE_HOME = XDG_CACHE_HOME;
    rmSync(folder, { recursive: true, force: true });
  }
});

test('npx onnx-offramp … runs as in README, with small stand-ins for the files it names', async () => {
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

/** A folder of the hub's layout. */
function writeModelFolder(path: string): void {
  const names = [0, 1, 2, 3, 4].map((label) => `class ${label}`);
  writeFiles(path, {
    'config.json': classifierConfig('vit', names),
    'preprocessor_config.json': vitProcessor(8),
    'onnx/.keep': '',
  });
  writeModel(join(path, 'onnx/model.onnx'));
}

/** The words of `command` after `npx onnx-offramp`, once small stand-ins for the files they name are in `folder`. */
async function wordsWithStandIns(command: string, folder: string): Promise<string[]> {
  const QUOTED = /"[^"]*"/g;
  assert.not.match(command.replace(QUOTED, ''), /["'|&;<>$*]/, `too clever for this test: ${command}`);
  const words = command
    .match(/"[^"]*"|\S+/g)!
    .slice(2)
    // Bounds that small stand-ins keep, too.
    .map((word) =>
      word
        .replaceAll('"', '')
        .replace(/drop > [\d.]+/, 'drop > 100')
        .replace(/(cost|latency) > [\d.]+/, '$1 > 10'),
    );
  for (const [i, word] of words.entries()) {
    const path = resolve(folder, word);
    if (existsSync(path)) continue;
    const flag = words[i - 1] ?? '';
    const isWritten = words[0] === 'export' && words[1] === 'onnx' && i === 3;
    if (isWritten) continue;
    if (word.endsWith('.onnx')) {
      mkdirSync(dirname(path), { recursive: true });
      writeModel(path, flag === '--first');
    } else if (words[0] === 'compile' && i === 1) writeModelFolder(path);
    else if (/^--(train|validation|calibration|test)$/.test(flag)) await placeSamples(path, i);
  }
  if (words[0] !== 'compile') return words;
  const says = (option: string) => words.includes(option);
  const trainsHeads = says('--exits') || says('--taps') || !(says('--first') || says('--student'));
  return [...words, '--threads', '1', ...(trainsHeads && !says('--epochs') ? ['--epochs', '1'] : [])];
}

async function runWithStandIns(command: string, folder: string): Promise<void> {
  const words = await wordsWithStandIns(command, folder);
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(ROOT, 'bin/offramp.js'), ...words], {
    cwd: folder,
    encoding: 'utf8',
    timeout: COMMAND_TIMEOUT_MS,
    env: { ...process.env, HOME: folder, XDG_CACHE_HOME: join(folder, 'cache') },
  });
  if (status !== 0) assert.unreachable(`${command}\nended with ${status}:\n${stdout}${stderr}`);
}
