/** The whole way, as on several machines: shards by processes of their own, merged, trained from. */
import { spawn } from 'node:child_process';
import { cpSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { compile } from '../../src/commands/compile.ts';
import { evaluate } from '../../src/commands/evaluate.ts';
import { type ExtractShardOptions, extractShard } from '../../src/commands/extract-shard.ts';
import { settleSession } from '../../src/ort/session.ts';
import { mergeShards } from '../../src/train/shards.ts';
import { runCli } from '../cli-in-process.ts';
import { rejectsWith } from '../expect.ts';
import { assertSamePackage } from '../timeless.ts';
import { tinyProject } from '../tiny-project.ts';

const test = suite('extract shard');
const { folder, model, at, writeSamples, compileOptions, remove } = tinyProject('shards', {
  epochs: 1,
});
const SHARDS = 4;
/** Five chunks: the last shard has two of them. */
const SAMPLES = 1100;
const splits = () => ({ validation: at('validation.npz') });
const options = (out: string, more: Partial<ExtractShardOptions> = {}): ExtractShardOptions => {
  const { model, train, calibration, test, preset, cache, taps, threads } = compileOptions(out);
  const same = { train, calibration, test, preset, cache, taps, threads, ...splits() };
  return { ...same, model, out: at(out), ...more } as ExtractShardOptions;
};
/** The same on the command line. */
const words = (out: string) => [
  ...['features', model, '--train', at('train.npz'), '--validation', at('validation.npz')],
  ...[
    '--calibration',
    at('calibration.npz'),
    '--test',
    at('test.npz'),
    '--preset',
    'unit',
    '--cache',
    at('cache'),
  ],
  ...['--taps', 'stem,block1,block2', '--threads', '1', '--out', at(out), '--quiet'],
];

/** Sends SIGKILL to its own process when so many chunks have been marked as whole: in the midst of it, whatever the machine's speed. */
const killer = (marks: number) =>
  `data:text/javascript,${encodeURIComponent(`
  import fs from 'node:fs/promises';
  import { syncBuiltinESMExports } from 'node:module';
  const { rename } = fs;
  let marks = 0;
  fs.rename = async (from, to) => {
    await rename(from, to);
    if (to.endsWith('.json') && !to.endsWith('features.json') && ++marks === ${marks}) process.kill(process.pid, 'SIGKILL');
  };
  syncBuiltinESMExports();
`)}`;

interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
}

/** A process of its own. */
function spawned(words: readonly string[]): Promise<Ended> {
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  child.stderr.on('data', (text) => {
    stderr += text;
  });
  return new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal, stderr })));
}

/** Without the command line, which takes longer to load than all this takes to run. */
const byModule = (index: number): string[] => {
  const told = JSON.stringify(options('four', { shard: { index, count: SHARDS } }));
  const module = JSON.stringify(new URL('../../src/commands/extract-shard.ts', import.meta.url).href);
  const code = `const { extractShard } = await import(${module}); await extractShard(${told});`;
  return ['--import', 'tsx', '--input-type=module', '--eval', code];
};

const bytesIn = (path: string) =>
  Object.fromEntries(
    readdirSync(path)
      .sort()
      .map((name) => [name, readFileSync(join(path, name)).toString('base64')]),
  );

test.before(() => writeSamples({ train: SAMPLES, validation: 200, calibration: 200, test: 60 }));
test.after(remove);

test('four processes, one of them killed and started again, make what one makes', async () => {
  const [killed, ...others] = await Promise.all([
    // Four files a view, two chunks: the first of the first view is whole, the second is not.
    spawned(['--import', killer(5), ...byModule(4)]),
    ...[1, 2, 3].map((index) => spawned(byModule(index))),
  ]);
  assert.equal([killed!.code, killed!.signal], [null, 'SIGKILL'], killed!.stderr);
  for (const ended of others) assert.is(ended.code, 0, ended.stderr);

  const left = readdirSync(at('four/shard-4-of-4'));
  assert.ok(
    left.some((name) => name.endsWith('.lock')),
    'it left its locks',
  );
  const refused = await rejectsWith('shards-unusable', () => mergeShards(at('four')));
  assert.match(refused.message, /whole: shard 4\/4 is unfinished \(\w+: 256 of 332 samples are whole\)$/);

  const again = await spawned(byModule(4));
  assert.is(again.code, 0, again.stderr);
  const merged = await runCli(folder, ['features', 'merge', 'four', '--json']);
  assert.is(merged.status, 0, merged.stderr);
  assert.equal(JSON.parse(merged.stdout).shards, SHARDS);

  assert.equal(await extractShard(options('one')), {
    shard: { index: 1, count: 1 },
    samples: SAMPLES,
    first: 0,
  });
  await mergeShards(at('one'));
  assert.equal(bytesIn(at('four/merged')), bytesIn(at('one/merged')));
});

test('compile writes the same package from merged features as from its own', async () => {
  cpSync(at('four/merged'), at('alone/merged'), { recursive: true });
  await compile(compileOptions('own', splits()));
  // A cache that is empty shows that nothing is extracted.
  const from = { ...splits(), features: at('alone'), cache: at('empty') };
  await compile(compileOptions('from', from));
  assertSamePackage(at('from'), at('own'));
  assert.not.ok(readdirSync(at('empty')).includes('features'));
  const { 'features.json': _, ...records } = bytesIn(at('four/merged'));
  const cached = bytesIn(at('cache/features'));
  for (const [name, bytes] of Object.entries(records)) assert.ok(cached[name] === bytes, name);
});

test('compile names what differs, and a finished shard is left alone', async () => {
  const from = { ...splits(), features: at('four') };
  const cases = [
    [{ seed: 2, validation: undefined }, 'data'],
    [{ scale: 2 }, 'preprocessing'],
    [{ head: 'pool' }, 'exits at'],
    [{ views: 1 }, '2 views instead of 1 view'],
  ] as const;
  for (const [more, part] of cases) {
    const { validation = 'validation' in more ? undefined : from.validation } = more as {
      validation?: string;
    };
    const all = { ...from, ...more, validation } as Parameters<typeof compileOptions>[1];
    const { message } = await rejectsWith('features-differ', () => compile(compileOptions('x', all)));
    assert.match(message, part);
  }
  const unmerged = compileOptions('x', { ...from, features: at('cache') });
  await rejectsWith('features-not-merged', () => compile(unmerged));
  const given = compileOptions('x', { ...from, exitOutputs: ['scores', 'scores'] });
  await rejectsWith('bad-option', () => compile(given));

  const before = bytesIn(at('four/shard-4-of-4'));
  process.env.JOB_COMPLETION_INDEX = '3';
  const told = await runCli(folder, [...words('four'), '--shards', `${SHARDS}`]).finally(() => {
    delete process.env.JOB_COMPLETION_INDEX;
  });
  assert.is(told.stdout, `Shard 4/4 is in ${at('four')}: 332 samples from 768 on\n`, told.stderr);
  assert.equal(bytesIn(at('four/shard-4-of-4')), before);
  await rejectsWith('features-differ', () =>
    extractShard(options('four', { shard: { index: 4, count: SHARDS }, views: 1 })),
  );
});

test('the command line names what it lacks', async () => {
  const cases: [string[], RegExp][] = [
    [[...words('x'), '--shards', '3'], /\[bad-shard\]/],
    [[...words('x'), '--shard', '3/2'], /\[bad-option\]/],
    [['features', model, '--train', at('train.npz')], /features needs --out \(folder of all shards\)/],
    [['features', model, '--out', 'x'], /\[training-data-missing\]/],
    [['features', 'merge', 'nowhere'], /\[no-shards\]/],
    [['features', model, '--train', at('train.npz'), '--out', 'x', '--epochs', '3'], /[Uu]nknown argument/],
    [['export', 'k8s', '--shards', '2', '--image', 'i', '--claim', 'c'], /\[bad-option\]/],
    [['export'], /triton, kserve or k8s/],
  ];
  for (const [told, message] of cases) {
    const { status, stderr } = await runCli(folder, told);
    assert.is(status, 2, `${told.join(' ')}: ${stderr}`);
    assert.match(stderr, message);
  }
  const job = ['export', 'k8s', '--shards', '2', '--image', 'i', '--claim', 'c', '--out', 'job.yaml'];
  const { status, stderr } = await runCli(folder, [
    ...job,
    '--',
    'net.onnx',
    '--train',
    't',
    '--out',
    'features',
  ]);
  assert.is(status, 0, stderr);
  assert.match(readFileSync(at('job.yaml'), 'utf8'), /^ {2}completions: 2$/m);
});

test('a provider that is not there is refused before anything is done', async () => {
  for (const provider of ['no-such-provider', process.platform === 'darwin' ? 'cuda' : 'coreml']) {
    const { message, hint } = await rejectsWith('provider-missing', () => settleSession({ provider }));
    assert.match(message, provider);
    assert.match(hint, /cpu/);
    const none = { train: 'nowhere', provider };
    await rejectsWith('provider-missing', () => compile(compileOptions('x', none)));
    await rejectsWith('provider-missing', () => extractShard(options('x', none)));
    await rejectsWith('provider-missing', () => evaluate({ folder: at('own'), test: 'nowhere', provider }));
  }
  assert.equal(await settleSession({ provider: 'cpu', threads: 2 }), { threads: 2 });
  const told = await runCli(folder, ['evaluate', 'own', '--test', at('test.npz'), '--provider', 'coremlx']);
  assert.is(told.status, 2);
  assert.match(told.stderr, /\[provider-missing\]/);
  const calibrated = [
    'calibrate',
    'own',
    '--model',
    model,
    '--calibration',
    'nowhere',
    '--provider',
    'coremlx',
  ];
  assert.match((await runCli(folder, calibrated)).stderr, /\[provider-missing\]/);
});

test.run();
