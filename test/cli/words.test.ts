/** Help, completion and suggestions: what a person meets before anything is run. */
import { spawn, spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { COMMAND_OPTIONS } from '../../src/cli/config.ts';
import { ProgressPrinter } from '../../src/cli/progress.ts';
import { nearest } from '../../src/errors/nearest.ts';
import { loadCli, runCli } from '../cli-in-process.ts';
import { ROOT } from '../house/sources.ts';

const test = suite('cli: words');

test('help of every command shows an example, and that of all the exit codes', async () => {
  const cli = await loadCli();
  const help = (...words: string[]) =>
    new Promise<string>((resolve) => cli.parse([...words, '--help'], {}, (_, __, output) => resolve(output)));
  assert.match(await help(), /Exit codes: 0 done; 1 failed.*2 bad usage.*130 interrupted/);
  const commands = Object.keys(COMMAND_OPTIONS);
  assert.ok(commands.length >= 7);
  for (const command of commands) {
    const text = await help(...command.split(' '));
    assert.match(text, new RegExp(`Examples:\\s+npx onnx-offramp ${command} \\S`), command);
    assert.match(text, /--json.*machine-readable/, command);
    assert.match(text, /--quiet/, command);
  }
  const compile = await help('compile');
  assert.match(compile, /No labels\? --labels none: /);
  assert.match(compile, /How many samples\? 1,000 to calibrate, 5,000 and more to train; /);
});

test('bash and zsh complete commands, options and choices', () => {
  const offramp = (shell: string, ...words: string[]) => {
    const bin = join(ROOT, 'bin/offramp.js');
    const env = { ...process.env, SHELL: shell, ZSH_NAME: '' };
    return spawnSync(process.execPath, [bin, ...words], { encoding: 'utf8', env }).stdout;
  };
  assert.match(offramp('/bin/bash', 'completion'), /complete .* -F _offramp_yargs_completions offramp/);
  assert.match(offramp('/bin/zsh', 'completion'), /^#compdef offramp/);
  const complete = (...words: string[]) =>
    offramp('/bin/bash', '--get-yargs-completions', 'offramp', ...words).split('\n');
  assert.ok(complete('').includes('compile'));
  const options = complete('compile', '--');
  for (const name of COMMAND_OPTIONS.compile!)
    assert.ok(
      options.some((o) => o === `--${name}` || o === `--no-${name}`),
      name,
    );
  assert.ok(complete('compile', '--policy', '').includes('patience'));
});

test('slips are met with what was meant', async () => {
  const told = async (...words: string[]) => {
    const { status, stderr } = await runCli(tmpdir(), words);
    assert.is(status, 2);
    return stderr;
  };
  assert.match(
    await told('inspekt', 'net.onnx'),
    /no command "inspekt"; there are .*inspect, .*export \[bad-usage\]\n.*Did you mean inspect\?/,
  );
  assert.match(
    await told('export', 'foo'),
    /no command "export foo"; there are transformers, onnx, triton, kserve, k8s \[bad-usage\]\n {2}See npx/,
  );
  assert.match(await told('export', 'onx', 'out', 'f'), /Did you mean onnx\?/);
  assert.match(await told('a\nb'), /no command "a\\nb"; there are/);
  assert.match(
    await told('--json', 'inspect', 'net.onnx'),
    /options go behind the command: inspect … --json/,
  );
  for (const words of [
    ['--', 'inspect', 'net.onnx'],
    ['inspect', 'net.onnx', '--', 'more'],
    ['export', '--', 'x'],
  ])
    assert.match(await told(...words), /words behind -- are for export k8s alone/);
  assert.match(
    await told('inspect', 'net.onnx', '--exitz', '3'),
    /Unknown argument: exitz.*\n.*Did you mean --exits\?/,
  );
  assert.match(await told('compile', 'net.onnx', '--out', 'o', '--bugdet', '.5'), /Did you mean --budget\?/);
  assert.match(await told('evaluate', 'out', '--tset', 'x'), /needs --test \(.*\n.*Did you mean --test\?/);
  assert.match(
    await told('compile', 'net.onnx', '--preset', 'imagnet'),
    /--preset imagnet is not valid.*\n.*Did you mean imagenet\?/,
  );
  assert.match(await told('compile', '--out', 'o'), /offramp compile <model>: not all/);
  const far = await told('evaluate', 'out', '--test', 'x', '--zebra');
  assert.match(far, /Unknown argument: zebra/);
  assert.not.match(far, /Did you mean/);
});

test('the nearest word is one slip or a third of the letters away', () => {
  const known = ['exits', 'test', 'epochs', 'target', 'learning-rate'];
  assert.is(nearest('exit', known), 'exits');
  assert.is(nearest('etst', known), 'test', 'neighbours swapped are one slip');
  assert.is(nearest('lerning-rat', known), 'learning-rate');
  assert.is(nearest('best', known), 'test');
  assert.is(nearest('zebra', known), undefined);
});

test('progress has a rate and the time left only once there is something to go by', async () => {
  const lines: string[] = [];
  const printer = (tty: boolean, quiet = false) =>
    new ProgressPrinter({ quiet, tty, write: (line) => lines.push(line) });
  const event = (done: number, phase = 'timing') => ({ phase, done, total: 300, unit: 'runs' });
  const plain = printer(false);
  plain.update(event(300, 'decoding'));
  plain.update(event(100));
  await new Promise((resolve) => setTimeout(resolve, 250));
  plain.update({ ...event(300), note: 'loss 1' });
  assert.is(lines[0], 'decoding: 100% (300/300 runs)');
  const [, rate, time] =
    /^timing: 100% \(300\/300 runs, (\d+)\/s, in (0\.\d)s\) loss 1$/.exec(lines[1]!) ?? [];
  assert.ok(Number(time) >= 0.2, lines[1]);
  assert.ok(
    Number(rate) > 200 / 1 && Number(rate) <= 200 / 0.24,
    `${rate}: what was done before it began does not count`,
  );
  printer(false, true).update(event(300));
  assert.is(lines.length, 2, 'quiet is quiet');
});

test('who reads the output may leave early', async () => {
  const words = [join(ROOT, 'bin/offramp.js'), 'inspect', join(ROOT, 'examples/demo/base.onnx')];
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.destroy();
  let stderr = '';
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  const status = await new Promise((resolve) => child.on('close', resolve));
  assert.equal([status, stderr], [0, '']);
});

test('nothing is coloured', async () => {
  const { stdout, stderr } = await runCli(tmpdir(), ['inspect', join(ROOT, 'examples/demo/base.onnx')]);
  assert.match(stdout, /exit_1/);
  assert.not.ok(`${stdout}${stderr}`.includes('\u001b['));
});

test.run();
