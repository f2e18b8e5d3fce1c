/** The package as a user gets it: built, packed, installed into an empty project, run from there. */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { must, packed, run } from './packed.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };

/** What charts are drawn with takes 0.6 MB; all of ECharts takes twice as much. */
const MOST_OF_ECHARTS = 0.7e6;
/** Of dist/: 5.2 MB today. */
const MOST_BYTES = 6e6;

const test = suite('pack');
const folder = mkdtempSync(join(tmpdir(), 'offramp-pack-'));

test.before(() => {
  writeFileSync(join(folder, 'package.json'), '{ "name": "empty", "private": true, "type": "module" }\n');
  // A user does not have what the repository's .npmrc says, which `npm run` hands on.
  delete process.env.npm_config_ignore_scripts;
  const flags = ['--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'];
  process.env.ONNXRUNTIME_NODE_INSTALL = 'skip';
  const tarball = basename(packed());
  copyFileSync(packed(), join(folder, tarball));
  must(run(folder, 'npm', ['install', '-D', ...flags, `./${tarball}`]));
});

test.after(() => {
  rmSync(folder, { recursive: true, force: true });
});

test('brings neither what is bundled nor protobufjs 6', () => {
  const lock = JSON.parse(readFileSync(join(folder, 'node_modules/.package-lock.json'), 'utf8')) as {
    packages: Record<string, { version: string }>;
  };
  const versionsOf = (name: string) =>
    Object.entries(lock.packages)
      .filter(([path]) => path.endsWith(`node_modules/${name}`))
      .map(([, entry]) => entry.version);
  assert.equal(versionsOf('onnx-offramp'), [version]);
  assert.equal(
    versionsOf('protobufjs').map((v) => v.split('.')[0]),
    ['8'],
  );
  const bundled = ['onnx-proto', 'echarts', 'zrender'];
  for (const name of [...bundled, 'ajv', 'typescript', 'tsx', 'esbuild', 'uvu'])
    assert.equal(versionsOf(name), [], name);
});

test('is small beside ONNX Runtime', () => {
  const megabytes = (path: string) => sizeOf(join(folder, 'node_modules', path)) / 2 ** 20;
  const [all, runtime] = [megabytes('.'), megabytes('onnxruntime-node')];
  console.log(`\n    ${all.toFixed(1)} MB installed, ONNX Runtime ${runtime.toFixed(1)}`);
  assert.ok(all < 335 && runtime < 288);
});

test('holds what it should and nothing else', () => {
  const home = join(folder, 'node_modules/onnx-offramp');
  const expected = [
    'CHANGELOG.md',
    'LICENSE',
    'README.md',
    'bench',
    'bin',
    'dist',
    'docs',
    'examples',
    'package.json',
    'schema',
  ];
  assert.equal(readdirSync(home).sort(), expected);
  for (const file of [
    'onnx-proto.LICENSE',
    'echarts.LICENSE',
    'echarts.NOTICE',
    'echarts.LICENSE-d3',
    'zrender.LICENSE',
  ])
    assert.ok(existsSync(join(home, 'dist', file)), 'the licences of what was bundled');
  const echarts = readdirSync(join(home, 'dist')).filter((name) => /^echarts-.*\.js$/.test(name));
  assert.is(echarts.length, 1);
  assert.ok(
    statSync(join(home, 'dist', echarts[0]!)).size < MOST_OF_ECHARTS,
    'of ECharts only what charts are drawn with',
  );
  assert.ok(sizeOf(join(home, 'dist')) < MOST_BYTES, 'nothing large that nobody asked for');
  assert.ok(existsSync(join(home, 'dist/train/worker.js')), 'what training threads run');
  assert.ok(existsSync(join(home, 'dist/ort/trial.js')), 'what trial runs of models with loops run');
  assert.ok(existsSync(join(home, 'dist/runtime/tensors.ts')), 'what generated packages are made of');
});

test('npx onnx-offramp runs', () => {
  for (const name of ['onnx-offramp', 'offramp'])
    assert.is(must(run(folder, 'npx', ['--offline', name, '--version'])).trim(), version);
  const help = must(run(folder, 'npx', ['--offline', 'onnx-offramp', '--help']));
  for (const command of ['inspect', 'compile', 'evaluate', 'calibrate']) assert.match(help, command);
});

test('inspects a model', () => {
  const model = join(ROOT, 'examples/demo/base.onnx');
  assert.match(must(run(folder, 'npx', ['--offline', 'onnx-offramp', 'inspect', model])), 'exit_1');
});

test('compiles, and draws a report', () => {
  const model = join(ROOT, 'examples/demo/base.onnx');
  const words = ['compile', model, '--out', 'out', '--epochs', '1', '--no-timing'];
  const data = ['train', 'calibration', 'test'].flatMap((split) => [`--${split}`, 'random:64']);
  must(run(folder, 'npx', ['--offline', 'onnx-offramp', ...words, ...data]));
  const report = readFileSync(join(folder, 'out/report.html'), 'utf8');
  assert.ok(report.split('<svg role="img"').length > 5, 'charts');
});

test('can be imported, and its types hold under strict without skipLibCheck', () => {
  writeFileSync(
    join(folder, 'user.ts'),
    "import * as offramp from 'onnx-offramp';\nexport const names: string[] = Object.keys(offramp);\n",
  );
  const script = "import('onnx-offramp').then((m) => console.log(typeof m.compile))";
  assert.is(must(run(folder, process.execPath, ['-e', script])).trim(), 'function');
  const flags = ['--strict', '--noEmit', '--module', 'nodenext', '--target', 'es2022', '--types', 'node'];
  const roots = ['--typeRoots', join(ROOT, 'node_modules/@types')];
  const tsc = join(ROOT, 'node_modules/.bin/tsc');
  must(run(folder, tsc, [...flags, ...roots, 'user.ts']));

  // Under node16 a CommonJS file may import nothing whose declarations are those of an ES module.
  writeFileSync(
    join(folder, 'user.cts'),
    `import { type CompileOptions, compile, OfframpError } from 'onnx-offramp';
compile({ model: 'absent.onnx' } as CompileOptions).catch((error: Error) => {
  if (error instanceof OfframpError) console.log((error satisfies OfframpError).code);
});
// @ts-expect-error: no number
compile(7).catch(() => undefined);
`,
  );
  must(
    run(folder, tsc, [
      '--strict',
      '--module',
      'node16',
      '--target',
      'es2022',
      '--types',
      'node',
      ...roots,
      'user.cts',
    ]),
  );
  assert.is(must(run(folder, process.execPath, ['user.cjs'])).trim(), 'bad-option');
});

test('publint and attw find nothing, in it and in what it compiled', () => {
  must(run(folder, 'npm', ['pack', './out']));
  for (const tarball of readdirSync(folder).filter((name) => name.endsWith('.tgz'))) {
    must(run(folder, 'npx', ['--yes', 'publint@0.3.25', '--strict', tarball]));
    // A file for bundlers, no module.
    const besides = ['--exclude-entrypoints', 'model.onnx'];
    must(run(folder, 'npx', ['--yes', '@arethetypeswrong/cli@0.18.5', tarball, ...besides]));
  }
});

test('pnpm installs and runs it, with the settings of docs/install.md', () => {
  const project = join(folder, 'pnpm');
  const [, settings] = readFileSync(join(ROOT, 'docs/install.md'), 'utf8').match(/```yaml\n([\s\S]*?)```/)!;
  mkdirSync(project);
  writeFileSync(
    join(project, 'package.json'),
    '{ "name": "pnpm-user", "private": true, "type": "module" }\n',
  );
  writeFileSync(join(project, 'pnpm-workspace.yaml'), settings!);
  const pnpm = (...args: readonly string[]) => must(run(project, 'npx', ['--yes', 'pnpm@12.21.0', ...args]));
  pnpm('add', '-D', '--store-dir', join(folder, 'store'), `../onnx-offramp-${version}.tgz`);
  assert.match(pnpm('onnx-offramp', '--help'), 'npx onnx-offramp <command>');
  const model = join(ROOT, 'examples/demo/base.onnx');
  const data = ['train', 'calibration', 'test'].flatMap((split) => [`--${split}`, 'random:64']);
  pnpm(
    'onnx-offramp',
    'compile',
    model,
    '--out',
    'out',
    '--epochs',
    '1',
    '--no-timing',
    '--no-report',
    ...data,
  );
  assert.ok(existsSync(join(project, 'out/model.onnx')));
});

test.run();

function sizeOf(path: string): number {
  const files = readdirSync(path, { recursive: true, encoding: 'utf8' }).map((file) =>
    statSync(join(path, file)),
  );
  return files.reduce((sum, file) => sum + (file.isFile() ? file.size : 0), 0);
}
