import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Runs bin/offramp.js after `setup`, a module that plays a machine which lacks something. */
function offramp(args: readonly string[], setup = '') {
  const play = ['--import', `data:text/javascript,${encodeURIComponent(setup)}`];
  const bin = join(ROOT, 'bin/offramp.js');
  return spawnSync(process.execPath, [...play, bin, ...args], { encoding: 'utf8' });
}

const test = suite('bin');

test('runs the sources of a clone', () => {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  const { status, stdout } = offramp(['--version']);
  assert.equal([status, stdout.trim()], [0, version]);
});

test('an error when Node.js is too old', () => {
  const { status, stderr } = offramp(
    ['--version'],
    "Object.defineProperty(process.versions, 'node', { value: '18.20.0' });",
  );
  assert.is(status, 1);
  assert.match(stderr, 'offramp needs Node.js 20.19 or newer');
  assert.not.match(stderr, '    at ');
});

test('an error when onnxruntime-node does not load', () => {
  const { status, stderr } = offramp(
    ['--version'],
    "import Module from 'node:module'; const load = Module._load;" +
      "Module._load = (name, ...rest) => { if (name === 'onnxruntime-node') throw new Error('no binary'); return load(name, ...rest); };",
  );
  assert.is(status, 1);
  assert.match(stderr, 'does not load on this machine');
  assert.match(stderr, 'no binary');
  assert.not.match(stderr, '    at ');
});

test('an unknown command is bad usage', () => {
  const { status, stderr } = offramp(['frobnicate']);
  assert.is(status, 2);
  assert.not.match(stderr, '    at ');
});

test.run();
