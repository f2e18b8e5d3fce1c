/** Messages name options as their reader spells them: fields for callers of the API, flags for users of the command line. */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { COMMAND_OPTIONS } from '../../src/cli/config.ts';
import { withFlags } from '../../src/cli/spelling.ts';
import { from } from '../../src/cli/yargs-options.ts';
import { FIRST, OPTIONS } from '../../src/commands/options.ts';
import { option, optionFields, optionText } from '../../src/errors/index.ts';
import * as api from '../../src/index.ts';
import { runCli } from '../cli-in-process.ts';
import { ROOT, sourceFiles } from '../house/sources.ts';

const test = suite('cli: spelling');
const model = join(ROOT, 'examples/demo/base.onnx');

test('every form of an option has a flag', () => {
  const flags: [message: string, flags: string][] = [
    [option('learningRate'), '--learning-rate'],
    [option('budgetsMs'), '--budget'],
    [option('threads', '1'), '--threads 1'],
    [option('force', 'true'), '--force'],
    [option('timing', 'false'), '--no-timing'],
    [option('first[].labels'), '--first-labels'],
    [option('first[].size', '112'), '--first-size 112'],
    [option('first[].dims'), '`first[].dims`'],
    [option('first[1].preset'), '`first[1].preset`'],
    [optionText('output', "it's"), "--output it's"],
    [option('exitOutputs', "['all[0]', 'all[1]']"), '--exit-outputs all[0],all[1]'],
    [optionFields('dims', [['ids.1', 'SIZE']]), '--dim ids.1=SIZE'],
    [
      optionFields('set', [
        ['a', '1'],
        ['b', '2'],
      ]),
      '--set a=1 --set b=2',
    ],
    [
      'Give `minAccuracies`, or `random`; see `npx onnx-offramp inspect`.',
      'Give --min-accuracy, or `random`; see `npx onnx-offramp inspect`.',
    ],
  ];
  for (const [message, expected] of flags) assert.is(withFlags(message), expected);
});

/** Those of the command line alone, and of other programs. */
const FLAGS = ['config', 'help', 'all', 'opset', 'onnxruntime-node-install'];
/** What else is in backticks. */
const CODE = ['random'];

test('errors name options of the API, and no flags', () => {
  const names = new Set(Object.values(OPTIONS).flatMap((rules) => Object.keys(rules)));
  for (const name of Object.keys(FIRST)) names.add(`first[].${name}`);
  const texts = sourceFiles('src/errors').map(({ path, text }) => ({
    path,
    text: text.replace(/\/\*\*[\s\S]*?\*\/|\/\/.*/g, ''),
  }));
  const found = texts.flatMap(({ path, text }) => [
    ...[...text.matchAll(/(?<![\w-])--([a-z][a-z-]*)/g)]
      .filter(([, flag]) => !FLAGS.includes(flag!))
      .map(([flag]) => `${path}: ${flag}`),
    ...[
      ...text.matchAll(
        /\boption(?:Text|Fields)?\(\s*'([\w[\].]+)'|["'][^\n]*?`((?:first\[\]\.)?[a-zA-Z]+)(?:: [^`\n]*)?`/g,
      ),
    ]
      .map(([, called, quoted]) => (called ?? quoted)!)
      .filter((name) => !names.has(name) && !CODE.includes(name))
      .map((name) => `${path}: ${name}`),
  ]);
  assert.equal(found, []);
});

test('an option that contradicts another is told as it was given', async () => {
  const given = { model, train: 'random', out: join(tmpdir(), 'absent'), confidence: 0.9 };
  const { message, hint } = await api.compile(given).catch((error) => error);
  assert.is(message, '`confidence` 0.9 is not valid');
  assert.match(hint, /^Give `maxAccuracyDrops` with it/);
  const words = ['compile', model, '--train', 'random', '--out', given.out, '--confidence', '0.9'];
  const { stderr } = await runCli(tmpdir(), words);
  assert.match(stderr, /--confidence 0\.9 is not valid .*\n {2}Give --max-accuracy-drop with it/);
});

test('a remedy is spelled so too', async () => {
  const { hint } = await api.inspect({ model, exits: 40 }).catch((error) => error);
  const [, room] = /^Ask for `exits: (\d+)` or fewer, or name the taps with `taps`\.$/.exec(hint) ?? [];
  const { stderr } = await runCli(tmpdir(), ['inspect', model, '--exits', '40']);
  assert.ok(stderr.includes(`Ask for --exits ${room} or fewer, or name the taps with --taps.`), stderr);
});

test('an option that a command does not have does not compile', () => {
  // @ts-expect-error
  assert.throws(() => from('emit', { chek: 'misspelt' }));
  assert.ok(COMMAND_OPTIONS.emit!.includes('check'));
});

test.run();
