/** Every option of every function of the API, and of every command: what it may not be is refused before anything is read. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { COMMAND_OPTIONS } from '../../src/cli/config.ts';
import { refuseOddFlags } from '../../src/cli/misuse.ts';
import { ruleOf } from '../../src/cli/yargs-options.ts';
import { OPTIONS } from '../../src/commands/options.ts';
import * as api from '../../src/index.ts';
import { loadedCli, runCli } from '../cli-in-process.ts';

const test = suite('options');
/** Nothing is in it, so that whoever reads first says so instead. */
const folder = mkdtempSync(join(tmpdir(), 'offramp-options-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));
const absent = join(folder, 'absent');

type Call = (options: never, events?: never) => unknown;
const FUNCTIONS: Record<keyof typeof OPTIONS, { readonly call: Call; readonly given: object }> = {
  load: {
    call: ({ path, dataFolder }: { path: string; dataFolder?: string }) => api.loadModel(path, dataFolder),
    given: { path: absent },
  },
  inspect: { call: api.inspect, given: { model: absent } },
  compile: { call: api.compile, given: { model: absent, train: absent, out: absent } },
  plan: { call: api.planCompile, given: { model: absent, train: absent } },
  features: { call: api.extractShard, given: { model: absent, train: absent, out: absent } },
  'features merge': {
    call: ({ folder, ...rest }: api.MergeOptions & { folder: string }) => api.mergeShards(folder, rest),
    given: { folder: absent },
  },
  calibrate: { call: api.calibrate, given: { folder: absent, model: absent, calibration: absent } },
  evaluate: { call: api.evaluate, given: { folder: absent, test: absent } },
  compare: { call: api.compare, given: { a: absent, b: absent, test: absent } },
  split: { call: api.split, given: { folder: absent, model: absent, out: `${absent}-out` } },
  emit: { call: api.emit, given: { folder: absent } },
  'export transformers': { call: api.exportTransformers, given: { folder: absent, out: `${absent}-out` } },
  'export onnx': { call: api.exportOnnx, given: { folder: absent, file: `${absent}.onnx` } },
  'export triton': { call: api.exportTriton, given: { folder: absent, repository: absent } },
  'export kserve': {
    call: api.exportKserve,
    given: { folder: absent, out: `${absent}-out`, storage: 's3://b/m' },
  },
  'export k8s': {
    call: api.printKubernetesJob,
    given: { words: ['m', '--train', 't', '--out', 'o'], shards: 2, image: 'i', claim: 'c' },
  },
};

const NO_TEXT = ['', 5, null, true, ['a'], {}];
const NO_WORD = [...NO_TEXT, 'hope'];
const NO_FLAG = ['true', 1, 0, null, 'maybe', []];
const NO_NUMBER = ['1', '', Number.NaN, Number.POSITIVE_INFINITY, null, true, [1], {}];
const NO_INTEGER = [...NO_NUMBER, 1.5];
const NO_COUNT = [...NO_INTEGER, 0, -1];
const NO_SHARE = [...NO_NUMBER, 0, 1, -0.5, 95];
const NO_LIST = ['a', 5, null, {}, true];
const NO_NAMES = [...NO_LIST, [], [''], ['a', 5], [null]];
const NO_POSITIVE = [...NO_NUMBER, 0, -1];

/** Some of what each option may not be, from the API. */
const BAD: Readonly<Record<string, readonly unknown[]>> = {
  ...all('model externalDataFolder output train validation calibration test labels tokenizer provider cache', NO_TEXT),
  ...all('path dataFolder out features folder repository file stubOnly a b at image after', NO_TEXT),
  ...all('preset layout channels resize resample dtype placement policy target final thresholds verify recipe runtime effort studentFamily studentLoss augment teacher send', NO_WORD),
  ...all('widenBatch skipBad force report timing survivors check keepAll perNetwork', NO_FLAG),
  ...all('exits threads epochs studentEpochs studentExits steps batch maxBatch instances shards parallelism maxReplicas', NO_COUNT),
  ...all('gpus retries minReplicas', [...NO_INTEGER, -1]),
  ...all('learningRate scale rescale maxMinutes', NO_POSITIVE),
  ...all('taps exitOutputs hfConfig', NO_NAMES),
  ...all('std budgets budgetsMs', [...NO_LIST, [0], [-1], ['1'], [0.5, Number.NaN], ['cheap']]),
  student: [...NO_LIST, [], [0], [1], ['0.1'], [0.5, Number.NaN]],
  first: ['a', 5, null, true, {}, [], [''], ['a', 5], [null]],
  seed: NO_INTEGER,
  views: [...NO_COUNT, 7],
  lambda: [...NO_NUMBER, -1],
  cacheLimit: [...NO_NUMBER, -1, '8GB'],
  confidence: NO_SHARE,
  mean: [...NO_LIST, [], ['1'], [Number.NaN]],
  minAccuracies: [...NO_LIST, [0], [1], [92], [Number.NaN]],
  maxAccuracyDrops: [...NO_LIST, [-0.1], [1], ['0.1']],
  dims: ['N=1', [1], null, { n: 0 }, { n: 1.5 }, { n: '1' }, { '': 1 }],
  set: ['t=1', [1], null, { t: '1' }, { t: [] }, { t: Number.NaN }, { '': 1 }],
  head: ['hope', 5, null, [], ['strided', 'hope'], {}],
  session: [1, null, [], { threads: 0 }, { threadz: 1 }, { spinning: 'yes' }],
  shard: ['1/2', null, {}, { index: 0, count: 2 }, { index: 3, count: 2 }, { index: 1.5, count: 2 }],
  ...all('onProgress onNote', ['tell', null, {}]),
  signal: [{}, null, 'stop'],
  name: ['', 5, null, 'a/b'],
  words: ['m', [5], null],
  claim: ['', 'a b', 5],
  storage: ['', 'models', 's3:/b', 's3://a b', 5, null],
  service: ['', 'My', '1a', 'a_b', 5],
  mount: ['data', '', '/a:b'],
  cpu: ['two', '0', '', 2],
  memory: ['4 GB', '', 4],
  bits: [...NO_INTEGER, 0, 4, 64],
}; // biome-ignore format: rows

/** Where an option of the same name is another. */
const BAD_HERE: Readonly<Record<string, readonly unknown[]>> = {
  'evaluate at': NO_NAMES,
  'compare at': [...NO_NAMES, ['a', 'b', 'c']],
  'split at': NO_NAMES,
  ...Object.fromEntries(
    ['calibrate', 'evaluate', 'compare', 'split'].map((name) => [`${name} labels`, NO_WORD]),
  ),
};

function all<T>(names: string, values: T): Record<string, T> {
  return Object.fromEntries(names.split(' ').map((name) => [name, values]));
}

async function refusal(call: () => unknown): Promise<api.OfframpError> {
  try {
    await call();
  } catch (error) {
    assert.instance(error, api.OfframpError);
    return error as api.OfframpError;
  }
  return assert.unreachable('nothing was refused') as never;
}

test('every option of every function is checked before anything is read', async () => {
  for (const [command, { call, given }] of Object.entries(FUNCTIONS)) {
    for (const name of Object.keys(OPTIONS[command as keyof typeof OPTIONS])) {
      const bad = BAD_HERE[`${command} ${name}`] ?? BAD[name];
      assert.ok(bad, `${command} ${name}: say here what it may not be`);
      for (const value of bad) {
        const { code, message, hint } = await refusal(() => call({ ...given, [name]: value } as never));
        const told = `${command} ${name} ${String(value)}: ${message}`;
        assert.is(code, 'bad-option', told);
        assert.ok(message.startsWith(`\`${name}\` `) && message.endsWith(' is not valid'), told);
        assert.match(hint, /^Give .+\./);
      }
    }
    if (command !== 'export k8s') {
      const { code } = await refusal(() => call(given as never));
      assert.is.not(code, 'bad-option', `${command}: what it needs is given, and it reads`);
    }
    for (const name of Object.keys(given).filter((name) => name !== 'train' && name !== 'calibration'))
      assert.match(
        (await refusal(() => call({ ...given, [name]: undefined } as never))).message,
        `\`${name}\` undefined is not valid`,
      );
  }
});

test('what is left undefined counts as left out; what is not an object of options is refused', async () => {
  const { code } = await refusal(() => api.inspect({ model: absent, exits: undefined, odd: undefined } as never));
  assert.is(code, 'unreadable-model');
  for (const [command, { call }] of Object.entries(FUNCTIONS))
    if (command !== 'features merge' && command !== 'load')
      for (const options of [undefined, null, 'net.onnx', [absent]])
        assert.is((await refusal(() => call(options as never))).code, 'bad-option', command);
}); // biome-ignore format: short

test('an option that does not exist is refused with the one that was meant', async () => {
  for (const [command, { call, given }] of Object.entries(FUNCTIONS)) {
    if (command === 'load') continue;
    const [name] = Object.keys(given) as [string];
    const { code, message, hint } = await refusal(() => call({ ...given, [`${name}z`]: 1 } as never));
    assert.equal([code, message], ['bad-option', `there is no option ${name}z`], command);
    if (name.length > 1) assert.is(hint, `Did you mean ${name}?`);
  }
  const far = await refusal(() => api.emit({ folder: absent, zebra: 1 } as never));
  assert.is(far.hint, 'There are folder, check, stubOnly.');
  const slip = await refusal(() => api.compile({ ...FUNCTIONS.compile.given, policy: 'entropi' } as never));
  assert.match(slip.hint, /Did you mean entropy\?/);
});

test('the events of a run are checked too', async () => {
  for (const command of [
    'compile',
    'plan',
    'features',
    'calibrate',
    'evaluate',
    'compare',
    'split',
  ] as const) {
    const { call, given } = FUNCTIONS[command];
    for (const events of [{ onProgress: 1 }, { onNote: 'tell' }, { signal: {} }, { onProgres() {} }, null])
      assert.is((await refusal(() => call(given as never, events as never))).code, 'bad-option', command);
  }
});

test('an option that another leaves nothing to say is refused, not ignored', async () => {
  const exitOutputs = ['a', 'b'];
  const odd: [options: Partial<api.CompileOptions>, name: string][] = [
    ...([{ taps: ['t'] }, { exits: 2 }, { placement: 'spread' }, { head: 'conv' }, { recipe: 'distill' }, { epochs: 1 }, { batch: 8 },
      { learningRate: 1 }, { views: 2 }, { features: absent }, { cacheLimit: 0 }] as const).map((one): [Partial<api.CompileOptions>, string] =>
        [{ ...one, exitOutputs }, Object.keys(one)[0]!]),
    [{ taps: ['t'], exits: 1 }, 'exits'],
    [{ taps: ['t'], placement: 'gold' }, 'placement'],
    [{ lambda: 1 }, 'lambda'],
    [{ recipe: 'pteenet-v1', survivors: true }, 'survivors'],
    [{ effort: 'low', studentEpochs: 3 }, 'studentEpochs'],
    [{ effort: 'medium', studentLoss: 'msdnet' }, 'studentLoss'],
    [{ epochs: 2, steps: 9 }, 'epochs'],
    [{ effort: 'low', student: [0.1] }, 'student'],
    [{ student: [0.1], learningRate: 0.1 }, 'learningRate'],
    [{ effort: 'high', survivors: true }, 'survivors'],
    [{ first: ['small.onnx'], head: 'conv' }, 'head'],
  ]; // biome-ignore format: rows
  for (const [options, name] of odd)
    for (const call of [api.compile, api.planCompile]) {
      const { code, message, hint } = await refusal(() => call({ ...FUNCTIONS.compile.given, ...options } as never));
      assert.is(code, 'bad-option', name);
      assert.ok(message.startsWith(`\`${name}\` `), message);
      assert.match(hint, /^Give it with/);
    }
  const fine = { ...FUNCTIONS.compile.given, recipe: 'pteenet-v2', lambda: 1, survivors: false };
  assert.is((await refusal(() => api.compile(fine as never))).code, 'unreadable-model');
}); // biome-ignore format: rows

test('inspect and features refuse two ways to say where exits are, as compile does', async () => {
  for (const twice of [{ exits: 1 }, { placement: 'gold' }] as const)
    for (const command of ['inspect', 'features'] as const) {
      const { call, given } = FUNCTIONS[command];
      const { code, hint } = await refusal(() =>
        call({ ...given, taps: ['t'], ...twice } as never, {} as never),
      );
      assert.is(code, 'bad-option');
      assert.is(hint, 'Give it without `taps`, which are all the exits.');
    }
});

test('words of --set: a pair each, several in one, several numbers of one', () => {
  const { set } = OPTIONS.inspect;
  assert.equal(set.read(['a=1', 'b=2']), { a: [1], b: [2] });
  assert.equal(set.read('a=1,b=2'), { a: [1], b: [2] });
  assert.equal(set.read(['a=1,2,b:0=true', 'c=-1e3']), { a: [1, 2], 'b:0': [1], c: [-1000] });
  for (const words of ['a=1,a=2', 'a', '=1']) assert.not(set.accepts(set.read(words)), words);
});

const NO_WORDS = [['a', 'AGAIN', 'a'], ['']];
const NO_CHOICES = [['hope'], ['']];
const NO_COUNTS = [['0'], [''], ['abc'], ['1.5'], ['NaN'], ['1e999']];

/** Some of what each option may not be, on the command line: words after `--name`, AGAIN for `--name` once more. */
const BAD_WORDS: Readonly<Record<string, readonly (readonly string[])[]>> = {
  ...all('external-data-folder output train validation calibration test labels tokenizer provider cache', NO_WORDS),
  ...all('out features stub-only at svg metrics image claim mount name cpu memory shard after storage service', NO_WORDS),
  ...all('preset layout channels resize resample dtype placement policy target final thresholds verify recipe runtime effort student-family student-loss augment teacher send', NO_CHOICES),
  ...all('first-preset first-layout first-channels first-resize first-resample', NO_CHOICES),
  ...all('widen-batch skip-bad force report timing survivors check per-network json quiet all all-points dry-run keep-all strict', [['=maybe']]),
  ...all('exits threads epochs student-epochs student-exits steps batch max-batch instances shards parallelism views max-replicas', NO_COUNTS),
  ...all('gpus retries min-replicas', [[], ['-1'], ['1.5'], ['a']]),
  ...all('learning-rate scale rescale confidence max-minutes', [[], ['0'], ['-0.1'], ['fast'], ['']]),
  ...all('std budget min-accuracy', [[], ['0'], ['-1'], ['a'], ['0.5,'], ['']]),
  ...all('taps exit-outputs first hf-config', [[], ['a,,b'], [',']]),
  ...all('first-output first-labels first-external-data-folder', [['']]),
  ...all('first-scale first-rescale first-std first-size', [[], ['0'], ['-1'], ['a'], ['']]),
  'first-mean': [[], ['a'], ['0.5,']],
  student: [[], ['0'], ['1'], ['a'], ['0.5,']],
  'fail-if': [[], ['drop'], ['drop = 1'], ['speed > 1'], ['drop > 1x'], ['accuracy < 0.9'], ['drop > -1']],
  seed: [['1', 'AGAIN', '2'], ['abc'], ['1.5'], ['']],
  lambda: [[], ['-1'], ['a']],
  'cache-limit': [[], ['8XB'], ['1.2.3GB'], ['-1']],
  mean: [[], ['a'], ['0.5,']],
  'max-accuracy-drop': [[], ['-0.1'], ['1'], ['a']],
  dim: [[], ['n'], ['n=0'], ['n=1.5'], ['=3'], ['n=1,n=2']],
  set: [[], ['t'], ['t='], ['t=a'], ['t=1,,2'], ['=3'], ['t=1', 'AGAIN', 't=2']],
  head: [[], ['hope'], ['strided,hope']],
  model: NO_WORDS,
  bits: [['4'], [''], ['8.5'], ['abc'], ['8', 'AGAIN', '16']],
}; // biome-ignore format: rows

const BAD_WORDS_HERE: Readonly<Record<string, readonly (readonly string[])[]>> = {
  'evaluate at': [[], ['a,']],
  'compare at': [[], ['a,'], ['a,b,c']],
  'split at': [[], ['a,']],
};

/** What is given besides, of a place of its own. */
const NEEDED: Readonly<Record<string, string>> = {
  inspect: absent,
  compile: `${absent} --train ${absent}`,
  features: `${absent} --train ${absent}`,
  'features merge': absent,
  calibrate: absent,
  evaluate: absent,
  compare: `${absent} ${absent}`,
  split: absent,
  emit: absent,
  'export transformers': `${absent} ${absent}-out`,
  'export onnx': `${absent} ${absent}.onnx`,
  'export triton': `${absent} ${absent}`,
  'export kserve': `${absent} ${absent}-out`,
  'export k8s': '',
};
const DEMANDED: Readonly<Record<string, readonly string[]>> = {
  features: ['out'],
  calibrate: ['model'],
  evaluate: ['test'],
  compare: ['test'],
  split: ['model', 'out'],
  'export kserve': ['storage'],
  'export k8s': ['shards', 'image', 'claim'],
};

/** Of `command`, without what `name` says. */
const before = (command: string, name: string) => [
  ...command.split(' '),
  ...NEEDED[command]!.split(' ').filter((word) => word !== ''),
  ...(DEMANDED[command] ?? [])
    .filter((one) => one !== name)
    .flatMap((one) => [`--${one}`, one === 'storage' ? 's3://2' : '2']),
];

test('every option of every command is checked before anything is read', async () => {
  const { cliFor } = await loadedCli();
  for (const command of Object.keys(NEEDED))
    for (const name of COMMAND_OPTIONS[command]!) {
      const bad = BAD_WORDS_HERE[`${command} ${name}`] ?? BAD_WORDS[name];
      assert.ok(bad, `${command} --${name}: say here what it may not be`);
      for (const [i, after] of bad.entries()) {
        // The whole way for one of them, which takes its time; its rule for the others.
        if (i > 0 && after.length === 1 && !after[0]!.startsWith('=')) {
          const rule = ruleOf(command, name)!;
          assert.not.ok(rule.accepts(rule.read(after[0])), `${command} --${name} ${after[0]}`);
          continue;
        }
        const option = after[0]?.startsWith('=') ? [`--${name}${after[0]}`] : [`--${name}`, ...after];
        const words = [...before(command, name), ...option.map((w) => (w === 'AGAIN' ? `--${name}` : w))];
        const { code, message, hint } = await refusal(() => {
          refuseOddFlags(words);
          return cliFor(words).parseAsync();
        });
        assert.ok(
          code === 'bad-option' && message.startsWith(`--${name} `),
          `${words.join(' ')}: ${message}`,
        );
        assert.match(hint, /^Give /);
      }
    }
  assert.equal(readdirSync(folder), []);
});

test('what is refused ends with 2 and the option as it was given', async () => {
  const told = async (...words: string[]) => {
    const { status, stdout, stderr } = await runCli(folder, ['compile', absent, ...words]);
    assert.equal([status, stdout], [2, ''], stderr);
    return stderr;
  };
  assert.is(
    await told('--epochs', '0'),
    'offramp: --epochs 0 is not valid [bad-option]\n  Give a whole number from 1 on.\n',
  );
  assert.match(await told('--seed', '1', '--seed', '2'), /--seed 1,2 is not valid .*\n {2}Give it once: /);
  assert.match(await told('--force=maybe'), /--force maybe is not valid .*\n {2}Give true or false\./);
  assert.match(await told('--no-seed'), /--seed false is not valid/);
  assert.match(await told('--config', 'a', '--config', 'b'), /--config a,b is not valid/);
  assert.match(await told('--seed.x', '1'), /Unknown argument: seed\.x/);
  const empty = (await runCli(folder, ['inspect', ''])).stderr;
  assert.is(
    empty,
    "offramp: <model> '' is not valid [bad-option]\n  Give an ONNX file, or a folder with one.\n",
  );
});

test('a settings file is checked by the same rules', async () => {
  const path = join(folder, 'offramp.config.json');
  const told = async (settings: object) => {
    writeFileSync(path, JSON.stringify(settings));
    return (await runCli(folder, ['compile', 'absent.onnx', '--train', 'x', '--out', 'o'])).stderr;
  };
  assert.match(await told({ compile: { batch: 0 } }), /compile\.batch is 0, below 1 \[bad-config\]/);
  assert.match(await told({ epochs: 1.5 }), /epochs should be integer, is 1\.5 \[bad-config\]/);
  assert.match(await told({ 'learning-rate': -1 }), /learning-rate is -1, not above 0 \[bad-config\]/);
  assert.match(await told({ std: [0] }), /--std 0 is not valid \[bad-option\]/);
  assert.match(await told({ seed: [1, 2] }), /seed should be integer, is \[1,2\] \[bad-config\]/);
  assert.match(await told({ budget: [0.6, '3ms'] }), /\[unreadable-model\]/);
  rmSync(path);
});

test.run();
