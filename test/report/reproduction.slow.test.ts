/** The report's command, given to a shell and to the command line's own parser, asks for what was asked for. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import yargs from 'yargs';
import { optionsFor, thresholdsOf } from '../../src/cli/call.ts';
import { compileCommand } from '../../src/cli/commands/compile.ts';
import { calibrate } from '../../src/commands/calibrate.ts';
import { type CompileOptions, compile } from '../../src/commands/compile.ts';
import { OPTIONS } from '../../src/commands/options.ts';
import type { Manifest } from '../../src/emit/manifest.ts';
import { serializeModel } from '../../src/parser/index.ts';
import { commandOf } from '../../src/report/reproduction.ts';
import { SAMPLE } from '../emit/sample.ts';
import { classifierConfig, convNextProcessor, writeFiles } from '../hub-models.ts';
import { branchyNet } from '../models.ts';
import { assertSamePackage } from '../timeless.ts';
import { tinyChain } from '../tiny-chain.ts';
import { tinyProject, withoutTraining } from '../tiny-project.ts';

const test = suite('report: to do it again');
const { at, model, writeSamples, compileOptions, remove } = tinyProject('again', { epochs: 1, views: 1 });
const names = at('names.txt');

test.before(async () => {
  await writeSamples({ train: 140, calibration: 90, test: 40, validation: 60 });
  writeFileSync(names, 'a\nb\nc\nd\ne\n');
  writeFileSync(at('branchy.onnx'), serializeModel(branchyNet()));
});
test.after(remove);

/** What a shell makes of `command`. */
function wordsOf(command: string): string[] {
  const script = command.replace(/^npx onnx-offramp /, "printf '%s\\0' ");
  const { stdout, stderr, status } = spawnSync('sh', ['-c', script], { encoding: 'utf8' });
  assert.is(status, 0, stderr);
  return stdout.split('\0').slice(0, -1);
}

/** What the command line asks of `compile` when it is given `words`. */
async function optionsIn(words: readonly string[]): Promise<Record<string, unknown>> {
  assert.is(words[0], 'compile');
  const { builder } = compileCommand as unknown as { builder: (y: object) => ReturnType<typeof yargs> };
  const args = await yargs([...words])
    .command({ command: 'compile <model>', describe: '', builder: builder as never, handler: () => {} })
    .strict()
    .fail((message, error) => {
      throw error ?? new Error(message);
    })
    .parseAsync();
  const given = { ...args, ...thresholdsOf(args as never), dims: args.dim };
  return { ...optionsFor('compile', given as never) };
}

/** Options that make no difference to what is written, or are said by others: presets by their numbers, places by their taps. */
const NOT_SAID = [
  'cache',
  'features',
  'force',
  'verify',
  'report',
  'preset',
  'exits',
  'placement',
  'out',
  'model',
  // Students are said by their shares and epochs, minutes by the step at which they ended.
  'effort',
  'maxMinutes',
  // Says which file, and the command names that.
  'dtype',
];
/** What stands for what the manifest does not keep. */
const STANDS_FOR: Readonly<Record<string, string>> = {
  train: 'TRAIN',
  validation: 'VALIDATION',
  calibration: 'CALIBRATION',
  test: 'TEST',
  labels: 'NAMES',
  tokenizer: 'TOKENIZER',
  externalDataFolder: 'FOLDER',
}; // biome-ignore format: a table
const seen = new Set<string>(['model', 'out']);

const common = { layout: 'NCHW', channels: 'rgb', recipe: 'distill', seed: 7, batch: 32 } as const;
const CASES: Record<string, Partial<CompileOptions>> = {
  'a student in front of heads': {
    ...common,
    name: '@me/cats-2',
    student: [0.9],
    studentFamily: 'separable',
    studentEpochs: 6,
    augment: 'shift,flip',
    teacher: 'fresh',
    steps: 3,
    keepAll: true,
  },
  'a student with an exit inside': {
    ...common,
    student: [0.9],
    studentFamily: 'separable',
    studentExits: 2,
    studentLoss: 'msdnet',
    studentEpochs: 2,
    cacheLimit: 1000,
    keepAll: true,
  },
  'auto for accuracy, with the original having the last word': {
    ...common,
    policy: 'auto',
    final: 'original',
    budgets: [0.7, 0.55],
    head: ['strided', 'pool', 'conv'],
    scale: 127.5,
    mean: [-0.1, 0.2, 0.3],
    std: [0.5, 0.6, 0.7],
    resize: 'cover',
    labels: names,
    skipBad: true,
    cacheLimit: 0,
    survivors: true,
    learningRate: 0.0025,
  },
  'joined, baked, without labels of its own': {
    validation: at('validation.npz'),
    policy: 'ensemble',
    final: 'ensembled',
    minAccuracies: [0.2],
    maxAccuracyDrops: [0.3, 0.25],
    confidence: 0.8,
    thresholds: 'baked',
    at: 'drop-0.3',
    target: 'accuracy',
    recipe: 'pteenet-v1',
    lambda: 0,
    output: 'scores',
    seed: -3,
    externalDataFolder: at('.'),
  },
  'agreement, in milliseconds, unlabelled': {
    policy: 'entropy',
    target: 'agreement',
    labels: 'none',
    budgetsMs: [900],
    recipe: 'pteenet-v2',
    lambda: 0.5,
  },
};

for (const [name, more] of Object.entries(CASES))
  test(name, async () => {
    const given = compileOptions('out', { ...more, force: true });
    const { manifest } = await compile(given);
    const words = wordsOf(commandOf(manifest));
    const parsed = await optionsIn(words);
    for (const [option, value] of Object.entries(given)) {
      seen.add(option);
      if (NOT_SAID.includes(option)) continue;
      const stands = value === 'none' ? undefined : STANDS_FOR[option];
      assert.equal(parsed[option], stands ?? value, `--${option} in ${words.join(' ')}`);
    }
    if (more.thresholds !== 'baked') return;
    // Once, for it takes its time: what comes out is the same.
    const real = Object.entries(parsed).map(([option, value]) => [
      option,
      STANDS_FOR[option] === value ? given[option as keyof CompileOptions] : value,
    ]);
    const rest = { model, out: at('again'), cache: given.cache, force: true, report: false };
    const again = { ...Object.fromEntries(real), ...rest };
    await compile(again as CompileOptions);
    assertSamePackage(at('again'), at('out'));
  });

test('networks in front, all of them kept though one is not used, for browsers', async () => {
  const { at, small, middle, chainOptions, writeSamples, remove } = await tinyChain('again-chain');
  try {
    await writeSamples({ calibration: 300, test: 100 });
    const given = chainOptions('out', {
      first: [small, middle],
      budgets: [0.5],
      keepAll: true,
      runtime: 'web',
    });
    const { manifest } = await compile(given);
    const parsed = await optionsIn(wordsOf(commandOf(manifest)));
    const { first, keepAll, runtime, timing } = parsed;
    assert.equal([first, keepAll, runtime, timing], [['small.onnx', 'middle.onnx'], true, 'web', false]);
    for (const option of ['first', 'keepAll', 'runtime', 'timing']) seen.add(option);
    const { model, calibration, test, cache, report } = given;
    const where = { model, calibration, test, cache, report, first: [small, middle], out: at('again') };
    await compile({ ...parsed, ...where } as CompileOptions);
    assertSamePackage(at('again'), at('out'));
  } finally {
    remove();
  }
});

test('a folder of the hub, whose config files say the rest', async () => {
  const { at, model, small, chainOptions, writeSamples, remove } = await tinyChain('again-hub');
  try {
    await writeSamples({ calibration: 200, test: 60 });
    const configs = {
      'config.json': classifierConfig('resnet', ['e', 'd', 'c', 'b', 'a']),
      'preprocessor_config.json': { ...convNextProcessor(8), do_normalize: false },
    };
    writeFiles(at('my-net'), { ...configs, 'onnx/model.onnx': readFileSync(model) });
    const { preset: _, ...given } = chainOptions('out', { model: at('my-net'), first: [{ model: small }] });
    for (const labels of [undefined, 'none'] as const) {
      const options = { ...given, force: true, ...(labels && { labels }) };
      const { manifest } = await compile(options as CompileOptions);
      assert.equal(manifest.labels, ['e', 'd', 'c', 'b', 'a']);
      const parsed = await optionsIn(wordsOf(commandOf(manifest)));
      assert.equal([parsed.hfConfig, parsed.labels], [['CONFIG'], labels]);
      for (const option of ['hfConfig', 'rescale', 'resample', 'resize']) seen.add(option);
      const { calibration, test, cache, report } = given;
      // What the command says wins, so that of the config files only the class names are asked.
      const where = {
        ...{ model: at('my-net/onnx/model.onnx'), hfConfig: [at('my-net/config.json')], first: [small] },
        ...{ calibration, test, cache, report, out: at('again'), force: true },
      };
      await compile({ ...parsed, ...where } as CompileOptions);
      assertSamePackage(at('again'), at('out'));
    }
  } finally {
    remove();
  }
});

test('roles that were cut off others are not given, those they were cut off are', async () => {
  const rolesIn = async (manifest: Manifest) => {
    const { train, validation, calibration, test } = await optionsIn(wordsOf(commandOf(manifest)));
    return [train, validation, calibration, test].filter((split) => split !== undefined).join(' ');
  };
  const more = { model: at('branchy.onnx'), exitOutputs: ['exit1', 'exit2', 'logits'], force: true };
  const { calibration: _, test: __, ...rest } = withoutTraining(compileOptions('given', more));
  const compiled = async (more: Partial<CompileOptions>) =>
    (await compile({ ...rest, ...more } as CompileOptions)).manifest;
  const alone = await compiled({ train: at('train.npz') });
  seen.add('exitOutputs');
  assert.equal((await optionsIn(wordsOf(commandOf(alone)))).exitOutputs, ['exit1', 'exit2', 'logits']);
  assert.is(await rolesIn(alone), 'TRAIN');
  const learned = { calibration: at('calibration.npz'), policy: 'correctness' } as const;
  assert.is(await rolesIn(await compiled(learned)), 'CALIBRATION');
  assert.is(
    await rolesIn(await compiled({ ...learned, validation: at('validation.npz') })),
    'VALIDATION CALIBRATION',
  );
  const again = await calibrate({
    folder: at('given'),
    model: at('branchy.onnx'),
    train: at('train.npz'),
    cache: rest.cache!,
    policy: 'correctness',
    threads: 1,
  });
  assert.is(await rolesIn(again.manifest), 'TRAIN');
});

test('words that a shell or the command line would take for something else come through', async () => {
  const hostile = ["it's", 'a b', '$HOME`id`', 'x,y', 'back\\', '\\,', '-dash', 'new\nline', '"q"', "'q'", '*?[a]!', '~', 'é\u2028'];
  for (const word of hostile) {
    const manifest: Manifest = {
      ...SAMPLE,
      source: { ...SAMPLE.source, file: `${word}.onnx`, output: word, dims: { [word]: 3, '=': 4 }, set: { [word]: 0.5, '=': [-1, 2e-7] } },
      exits: SAMPLE.exits.map((exit, k) => ({ ...exit, tap: `${word}${k}` })),
      preprocessing: { ...SAMPLE.preprocessing!, mean: [-0.5, -1e-7, 0.25] },
      sessionOptions: { ...SAMPLE.sessionOptions, provider: word, threads: 3 },
    };
    const parsed = await optionsIn(wordsOf(commandOf(manifest)));
    assert.is(parsed.model, word.startsWith('-') ? `./${word}.onnx` : `${word}.onnx`);
    assert.equal([parsed.output, parsed.provider, parsed.threads], [word, word, 3]);
    assert.equal(parsed.taps, [`${word}0`, `${word}1`]);
    assert.equal(parsed.dims, { [word]: 3, '=': 4 });
    assert.equal(parsed.set, { [word]: [0.5], '=': [-1, 2e-7] });
    assert.equal(parsed.mean, [-0.5, -1e-7, 0.25]);
    seen.add('dims').add('set').add('provider');
  }
}); // biome-ignore format: a list

test('what only some models take is said', async () => {
  const manifest: Manifest = {
    ...SAMPLE,
    source: { ...SAMPLE.source, widenBatch: true },
    tokenizer: { sha256: 'ab'.repeat(32) },
  };
  const { widenBatch, tokenizer } = await optionsIn(wordsOf(commandOf(manifest)));
  assert.equal([widenBatch, tokenizer], [true, 'TOKENIZER']);
  seen.add('widenBatch').add('tokenizer');
});

test('no option was forgotten here', () => {
  assert.equal(
    Object.keys(OPTIONS.compile).filter((option) => !seen.has(option) && !NOT_SAID.includes(option)),
    [],
  );
  assert.ok(readdirSync(at('.')).includes('again'));
});

test.run();
