import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { configSchema } from '../../scripts/config-schema.ts';
import { COMMAND_OPTIONS, PATHS, settingsFor } from '../../src/cli/config.ts';
import { ruleOf } from '../../src/cli/yargs-options.ts';
import { serializeModel } from '../../src/parser/index.ts';
import { loadCli, runCli } from '../cli-in-process.ts';
import { hasCode } from '../expect.ts';
import { ROOT } from '../house/sources.ts';
import { tinyResidual } from '../models.ts';

const test = suite('cli: config');
const folder = mkdtempSync(join(tmpdir(), 'offramp-config-'));
const at = (path: string) => join(folder, path);
const write = (settings: unknown, path = 'offramp.config.json') =>
  writeFileSync(at(path), typeof settings === 'string' ? settings : JSON.stringify(settings));
const published = JSON.parse(readFileSync(join(ROOT, 'schema/config.schema.json'), 'utf8'));

test.before(() => {
  writeFileSync(at('net.onnx'), serializeModel(tinyResidual()));
  mkdirSync(at('sub'));
});
test.after(() => rmSync(folder, { recursive: true, force: true }));
test.after.each(() => rmSync(at('offramp.config.json'), { force: true }));

test('the published schema is what the command line takes: npm run schema', async () => {
  assert.equal(published, JSON.parse(JSON.stringify(configSchema(await loadCli()))));
  assert.equal(
    PATHS.filter((name) => !Object.values(COMMAND_OPTIONS).some((known) => known.includes(name))),
    [],
  );
});

test('is valid JSON Schema, and says what is wrong', () => {
  const valid = new Ajv2020({ allowUnionTypes: true }).compile(published);
  assert.ok(valid({ $schema: published.$id, preset: 'unit', compile: { budget: [0.6, '3ms'], out: 'o' } }));
  for (const odd of [{ presett: 'unit' }, { preset: 'lunar' }, { compile: { epochs: 'many' } }, { evaluate: { epochs: 3 } }])
    assert.not.ok(valid(odd), JSON.stringify(odd)); // biome-ignore format: a list
});

test("a command's own section goes before what is shared, and other commands' sections do not count", () => {
  write({
    $schema: published.$id,
    threads: 2,
    exits: 3,
    compile: { threads: 1, train: 'data#train', validation: 'random:8', labels: 'none' },
    evaluate: { test: '/abs/test', labels: 'none' },
  });
  const config = ['--config', at('offramp.config.json')];
  assert.equal(settingsFor([...config, 'compile', 'net.onnx']), {
    threads: 1,
    exits: 3,
    train: at('data#train'),
    validation: 'random:8',
    labels: 'none',
  });
  assert.equal(settingsFor(['evaluate', 'out', `--config=${at('offramp.config.json')}`]), {
    threads: 2,
    test: '/abs/test',
    labels: 'none',
  });
  assert.equal(settingsFor(['emit', 'out', ...config]), {});
});

test('is found in the working directory, and flags override it', async () => {
  write({ inspect: { exits: 1, json: true } });
  const exits = async (...words: string[]) => {
    const ended = await runCli(folder, ['inspect', 'net.onnx', ...words]);
    assert.is(ended.status, 0, ended.stderr);
    return ended.stdout.startsWith('{') ? JSON.parse(ended.stdout).exits.length : ended.stdout;
  };
  assert.is(await exits(), 1);
  assert.is(await exits('--exits', '2'), 2);
  assert.match(await exits('--no-json'), /5 classes/);
  write({ inspect: { taps: ['stem', 'block1'], json: true } }, 'sub/other.json');
  assert.is(await exits('--config', 'sub/other.json'), 2);
});

test('relative paths are relative to the file', async () => {
  write({ compile: { train: 'absent', out: 'o' } }, 'sub/other.json');
  const { status, stderr } = await runCli(folder, ['compile', 'net.onnx', '--config', 'sub/other.json']);
  assert.is(status, 2);
  assert.ok(stderr.includes(`there is nothing at ${at('sub/absent')}`), stderr);
});

test('so are paths in lists, and those of networks that are objects; a comma stands between two paths', async () => {
  write({
    compile: {
      first: ['a.onnx', { model: 'b,c.onnx', preset: 'none', mean: [1, 2, 3], labels: 'l.txt', externalDataFolder: 'd' }],
      'first-labels': ['e.txt', '/f.txt'],
    },
    calibrate: { first: 'a.onnx,/b.onnx' },
  }, 'sub/other.json'); // biome-ignore format: one network a line
  const config = ['--config', at('sub/other.json')];
  const { first, ...others } = settingsFor(['compile', 'net.onnx', ...config]);
  assert.equal(others, { 'first-labels': [at('sub/e.txt'), '/f.txt'] });
  const network = {
    ...{ model: at('sub/b,c.onnx'), preset: 'none', mean: [1, 2, 3] },
    ...{ labels: at('sub/l.txt'), externalDataFolder: at('sub/d') },
  };
  assert.equal(ruleOf('compile', 'first')!.read(first), [at('sub/a.onnx'), network]);
  assert.equal(settingsFor(['calibrate', 'out', ...config]), { first: [at('sub/a.onnx'), '/b.onnx'] });
  write({ compile: { first: ['x,y.onnx'], train: 'random:8', out: 'o' } }, 'sub/other.json');
  const { stderr } = await runCli(folder, ['compile', 'net.onnx', ...config]);
  assert.match(stderr, /sub\/x\b/);
});

test('what it should not say is refused with a code, a place and a suggestion', () => {
  const refused = (settings: unknown, code: string, message: RegExp) => {
    write(settings);
    try {
      settingsFor(['compile', 'net.onnx', '--config', at('offramp.config.json')]);
    } catch (error) {
      assert.ok(hasCode(code)(error), `${error}`);
      const { message: told, hint } = error as Error & { hint: string };
      return assert.match(`${told}\n${hint}`, message);
    }
    assert.unreachable(code);
  };
  refused({ compile: { epohcs: 3 } }, 'unknown-setting', /no setting compile\.epohcs\nDid you mean epochs\?/);
  refused({ presett: 'unit' }, 'unknown-setting', /no setting presett\nDid you mean preset\?/);
  refused({ comple: {} }, 'unknown-setting', /Did you mean compile\?/);
  refused({ evaluate: { zebra: 1 } }, 'unknown-setting', /zebra\nSee npx onnx-offramp evaluate --help/);
  refused({ compile: { policy: 'hope' } }, 'bad-config', /compile\.policy should be one of "max-prob"/);
  refused({ threads: 'all' , compile: 3 }, 'bad-config', /should be/); // biome-ignore format: short
  const [a, b] = [{ model: 'a.onnx' }, { model: 'b.onnx' }];
  refused(
    { first: [a, { ...b, presett: 'unit' }] },
    'unknown-setting',
    /no setting first\[1\]\.presett\nDid you mean preset\?/,
  );
  refused(
    { compile: { first: [{ ...a, preset: 'lunar' }] } },
    'bad-config',
    /compile\.first\[0\]\.preset should be one of "imagenet"/,
  );
  refused({ first: [{ preset: 'unit' }] }, 'bad-config', /first\[0\]\.model is missing/);
  refused(
    { compile: { first: [a, 3] } },
    'bad-config',
    /compile\.first\[1\] should be string or object, is 3/,
  );
  refused('{ "threads": 1, }', 'bad-config', /is not JSON/);
  refused('[]', 'bad-config', /the file should be object/);
  assert.throws(() => settingsFor(['emit', 'out', '--config', at('absent.json')]), hasCode('config-missing'));
});

test.run();
