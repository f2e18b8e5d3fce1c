/** No command writes over what it reads, nor over what somebody else wrote, and it says so before any work. */
import { cpSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { COMMAND_OPTIONS } from '../../src/cli/config.ts';
import { printManifest } from '../../src/emit/manifest-json.ts';
import { runCli } from '../cli-in-process.ts';
import { SAMPLE } from '../emit/sample.ts';
import { tinyResidual } from '../models.ts';
import { tinyProject, writeWithExternalData } from '../tiny-project.ts';

const test = suite('what is read is not written over');
const { folder, at, remove } = tinyProject('apart');

test.before(() => {
  writeWithExternalData(tinyResidual({ seed: 4 }), at('net.onnx'));
  for (const path of ['data/cat', 'data/dog', 'package', 'hub/onnx', 'served/pets/1'])
    mkdirSync(at(path), { recursive: true });
  for (const path of ['data/cat/1.png', 'data/dog/1.png', 'package/model.onnx', 'served/pets/1/model.onnx'])
    writeFileSync(at(path), `not really ${path}`);
  cpSync(at('net.onnx'), at('hub/model.onnx'));
  cpSync(at('weights.bin'), at('hub/weights.bin'));
  for (const path of ['notes.ts', 'logo.svg', 'settings.json', 'job.yaml', 'names.txt', 'hub/config.json'])
    writeFileSync(at(path), path.endsWith('json') ? '{ "epochs": 3 }' : '<svg>mine</svg>');
  writeFileSync(at('package/manifest.json'), printManifest(SAMPLE));
  symlinkSync(at('data'), at('link'));
});
test.after(remove);

const DATA = ['--train', 'data', '--calibration', 'data', '--test', 'data', '--preset', 'unit'];
const COMPILE = ['compile', 'net.onnx', ...DATA];
const FEATURES = ['features', 'net.onnx', '--train', 'data', '--calibration', 'data'];
const AGAIN = ['calibrate', 'package', '--model', 'net.onnx', '--calibration', 'data'];
const EVALUATE = ['evaluate', 'package', '--test', 'data'];
const COMPARE = ['compare', 'net.onnx', 'package', '--test', 'data'];
const SPLIT = ['split', 'package', '--model', 'net.onnx', '--after', 'exit_1', '--calibration', 'data'];
const JOB = ['export', 'k8s', '--shards', '2', '--image', 'i', '--claim', 'c'];
const WORDS = ['--', 'net.onnx', '--train', 'data', '--out', 'shards'];
const FILES = ['weights.bin', 'data/cat/new'];

/** Command, and option or place → command lines. */
const CASES: Readonly<Record<string, readonly (readonly string[])[]>> = {
  'inspect svg': ['net.onnx', 'weights.bin', 'logo.svg'].map((file) => [
    'inspect',
    'net.onnx',
    '--svg',
    file,
  ]),
  'compile out': [
    ...['data/new', 'data/cat', 'link/new'].map((out) => [...COMPILE, '--out', out, '--force']),
    ['compile', 'hub', ...DATA, '--out', 'hub', '--force'],
    ['compile', 'hub/model.onnx', ...DATA, '--out', 'hub', '--force'],
    [...COMPILE, '--first', 'package', '--out', 'package', '--force'],
  ],
  'compile metrics': [...FILES, 'net.onnx', 'link/new', 'settings.json', 'out/report.html'].map((file) => [
    ...[...COMPILE, '--out', 'out'],
    ...['--metrics', file],
  ]),
  'compile cache': [[...COMPILE, '--out', 'out', '--cache', 'data/cache']],
  'features out': ['data/new', 'data'].map((out) => [...FEATURES, '--out', out]),
  'features cache': [[...FEATURES, '--out', 'shards', '--cache', 'data/cache']],
  'calibrate out': [
    [...AGAIN, '--out', 'data/new'],
    ['calibrate', 'package', '--model', 'hub/model.onnx', '--calibration', 'data', '--out', 'hub', '--force'],
  ],
  'calibrate metrics': [...FILES, 'package/model.onnx', 'package/report.html'].map((file) => [
    ...AGAIN,
    ...['--metrics', file],
  ]),
  'calibrate cache': [[...AGAIN, '--cache', 'data/cache']],
  'evaluate metrics': [...FILES, 'package/model.onnx', 'package/manifest.json'].map((file) => [
    ...EVALUATE,
    ...['--metrics', file],
  ]),
  'evaluate cache': [[...EVALUATE, '--cache', 'data/cache']],
  'compare metrics': [...FILES, 'package/model.onnx'].map((file) => [...COMPARE, '--metrics', file]),
  'compare cache': [[...COMPARE, '--cache', 'data/cache']],
  'emit stub-only': [['emit', 'package', '--stub-only', 'notes.ts']],
  'split out': [
    ...['data/new', 'link/new'].map((out) => [...SPLIT, '--out', out]),
    [...SPLIT, '--out', 'package', '--force'],
  ],
  'split cache': [[...SPLIT, '--out', 'halves', '--cache', 'data/cache']],
  'export kserve out': [
    ['export', 'kserve', 'package', 'package', '--model', 'net.onnx', '--storage', 's3://b', '--force'],
  ],
  'export k8s out': ['net.onnx', 'weights.bin', 'job.yaml', 'data/cat/1.png'].map((out) => [
    ...JOB,
    ...['--out', out],
    ...WORDS,
  ]),
  'export onnx file': [
    ['export', 'onnx', 'package', 'net.onnx', '--model', 'net.onnx', '--force'],
    ['export', 'onnx', 'package', 'package/model.onnx', '--model', 'net.onnx', '--force'],
  ],
  'export transformers folder': [
    ['export', 'transformers', 'package', 'hub', '--model', 'hub', '--force'],
    ['export', 'transformers', 'package', 'package', '--model', 'hub', '--force'],
  ],
  'export triton repository': [
    ['export', 'triton', 'package', 'served', '--model', 'served/pets/1/model.onnx', '--force'],
    ['export', 'triton', 'package', '.', '--name', 'package', '--model', 'net.onnx', '--force'],
  ],
};

/** Path → size, time and content of every file. */
function snapshot(): Readonly<Record<string, string>> {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();
  return Object.fromEntries(
    files.map((file) => {
      const found = statSync(join(folder, file));
      return [file, found.isFile() ? `${found.mtimeMs} ${readFileSync(at(file), 'latin1')}` : 'a folder'];
    }),
  );
}

for (const [what, lines] of Object.entries(CASES))
  test(`${what}: refused before any work, everything stays`, async () => {
    const before = snapshot();
    for (const words of lines) {
      const { status, stderr } = await runCli(folder, words);
      assert.is(status, 2, `${words.join(' ')}: ${stderr}`);
      assert.match(stderr, /^offramp: .* \[output-unusable\]\n {2}Choose another place/, words.join(' '));
    }
    assert.equal(snapshot(), before);
  });

test('every option that names what is written has its cases', () => {
  const WRITTEN = ['out', 'svg', 'metrics', 'cache', 'stub-only'];
  for (const [command, options] of Object.entries(COMMAND_OPTIONS))
    for (const option of WRITTEN)
      if (options.includes(option)) assert.ok(CASES[`${command} ${option}`], `${command} ${option}`);
});

test('what Offramp wrote is replaced, and what is empty', async () => {
  writeFileSync(at('empty.ts'), '');
  for (const file of ['empty.ts', 'empty.ts', 'new.ts']) {
    const { status, stderr } = await runCli(folder, ['emit', 'package', '--stub-only', file]);
    assert.is(status, 0, stderr);
  }
  for (const words of [
    ['inspect', 'net.onnx', '--svg', 'line.svg'],
    [...JOB, '--out', 'new.yaml', ...WORDS],
  ])
    for (let turn = 0; turn < 2; turn++) {
      const { status, stderr } = await runCli(folder, words);
      assert.is(status, 0, stderr);
    }
});

test.run();
