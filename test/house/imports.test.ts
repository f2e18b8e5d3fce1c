import { readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ROOT, type SourceFile, sourceFiles, specifiersOf } from './sources.ts';

/** Rooms of src/, left to right; each imports only itself and what lies to its left. */
const ORDER = [
  'errors', 'runtime', 'cache', 'graph', 'parser', 'policies', 'passes', 'autodiff', 'calibrate', 'ort', 'model', 'data', 'hub', 'networks', 'train',
  'students', 'predict', 'emit', 'report', 'export', 'commands', 'cli', 'index',
]; // biome-ignore format: one order

/** Outside packages and the only room that may import them. */
const DOORS: Record<string, string> = {
  'onnxruntime-node': 'ort',
  'onnx-proto': 'parser',
  protobufjs: 'parser',
  'ts-morph': 'emit',
  echarts: 'report',
  sharp: 'data',
  hyparquet: 'data',
  'hyparquet-compressors': 'data',
  '@huggingface/tokenizers': 'data',
  yaml: 'emit',
  yargs: 'cli',
  'cli-progress': 'cli',
};

/** Modules that are copied into generated packages: they know each other, and types of onnxruntime-common as `Ort`. */
const RUNTIME = 'src/runtime/';

/** Rooms that compute and nothing else: no files, no clock, no processes. Hashing is computing. */
const PURE = ['errors', 'runtime', 'graph', 'policies', 'passes', 'autodiff', 'calibrate'];
const COMPUTING = ['node:crypto'];

/** The folder below src/; only index.ts lies there by itself. */
const roomOf = (path: string) => (path === 'src/index.ts' ? 'index' : path.split('/')[1]!);
const packageOf = (specifier: string) => specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');

function wrongEdges(file: SourceFile): string[] {
  const room = roomOf(file.path);
  if (!ORDER.includes(room)) return [`${file.path}: room ${room} has no place in the order`];
  return specifiersOf(file).flatMap((specifier) => {
    if (specifier.startsWith('.')) {
      const target = posix.join(posix.dirname(file.path), specifier);
      if (['emit', 'cli'].includes(room) && target.startsWith('schema/')) return [];
      if (room === 'emit' && target === 'package.json') return [];
      if (!target.startsWith('src/')) return [`${file.path} → ${target}`];
      const to = ORDER.indexOf(roomOf(target));
      return to >= 0 && to <= ORDER.indexOf(room) ? [] : [`${file.path} → ${target}`];
    }
    if (room === 'runtime') return specifier === 'onnxruntime-common' ? [] : [`${file.path} → ${specifier}`];
    if (specifier.startsWith('node:')) {
      const allowed = !PURE.includes(room) || COMPUTING.includes(specifier);
      return allowed ? [] : [`${file.path} → ${specifier}`];
    }
    return DOORS[packageOf(specifier)] === room ? [] : [`${file.path} → ${specifier}`];
  });
}

/** The table of options checks itself against the option types of the commands that read it: its imports are not counted. */
const TABLE_OF_OPTIONS = 'src/commands/options.ts';

/** Circles of imports, type-only ones included: the shortest through each first file found to be in one. */
function circles(files: readonly SourceFile[]): string[] {
  const imports = new Map(
    files.map((file) => [
      file.path,
      specifiersOf(file)
        .filter((specifier) => specifier.startsWith('.') && file.path !== TABLE_OF_OPTIONS)
        .map((specifier) => posix.join(posix.dirname(file.path), specifier)),
    ]),
  );
  const found = new Set<string>();
  for (const start of imports.keys()) {
    if ([...found].some((circle) => circle.split(' → ').includes(start))) continue;
    const cameFrom = new Map<string, string>();
    for (const queue = [start]; queue.length > 0; ) {
      const path = queue.shift()!;
      for (const next of imports.get(path) ?? []) {
        if (cameFrom.has(next)) continue;
        cameFrom.set(next, path);
        queue.push(next);
      }
    }
    if (!cameFrom.has(start)) continue;
    const circle = [start];
    for (let at = cameFrom.get(start)!; at !== start; at = cameFrom.get(at)!) circle.unshift(at);
    found.add([start, ...circle].join(' → '));
  }
  return [...found];
}

const test = suite('house: imports');

test('every import goes to the left, and every package comes in by its own door', () => {
  const files = sourceFiles('src');
  assert.ok(files.length > 0);
  assert.is(files.flatMap(wrongEdges).join('\n'), '');
});

test('no files import each other in a circle', () => {
  assert.is(circles(sourceFiles('src')).join('\n'), '');
});

test('a circle of any length is found, of types too', () => {
  const files = [
    { path: 'src/graph/a.ts', text: "import type { B } from './b.ts';" },
    { path: 'src/graph/b.ts', text: "import { c } from '../parser/c.ts';\nimport './d.ts';" },
    { path: 'src/parser/c.ts', text: "export * from '../graph/a.ts';" },
    { path: 'src/graph/d.ts', text: "import './e.ts';" },
    { path: 'src/graph/e.ts', text: '' },
  ];
  assert.equal(circles(files), ['src/graph/a.ts → src/graph/b.ts → src/parser/c.ts → src/graph/a.ts']);
  assert.equal(circles(files.filter(({ path }) => path !== 'src/parser/c.ts')), []);
});

test('the check sees what it must see', () => {
  const edges = (path: string, text: string) => wrongEdges({ path, text });
  assert.is(edges('src/passes/a.ts', "import type { S } from '../ort/session.ts';").length, 1);
  assert.is(edges('src/passes/a.ts', "type S = import('../ort/session.ts').Session;").length, 1);
  assert.is(edges('src/passes/a.ts', "const s = await import('../ort/session.ts');").length, 1);
  assert.is(edges('src/graph/a.ts', "export * from '../passes/pass.ts';").length, 1);
  assert.is(edges('src/graph/a.ts', "import { readFileSync } from 'node:fs';").length, 1);
  assert.is(edges('src/train/a.ts', "import {\n  a,\n  b,\n} from 'onnxruntime-node';").length, 1);
  assert.is(edges('src/data/a.ts', "import x from 'left-pad';").length, 1);
  assert.is(edges('src/attic/a.ts', '').length, 1);
  assert.is(edges('src/loose.ts', '').length, 1);
  assert.is(edges('src/runtime/a.ts', "import { noise } from '../emit/names.ts';").length, 1);
  assert.is(edges('src/runtime/a.ts', "import { URL } from 'node:url';").length, 1);
  assert.is(edges('src/data/a.ts', "import { resized } from '../runtime/pixels.ts';").length, 0);
  assert.is(edges('src/emit/a.ts', "const text = `import { x } from 'onnxruntime-node';`;").length, 0);
  assert.is(
    edges('src/cli/a.ts', "import yargs from 'yargs/helpers';\nimport '../commands/compile.ts';").length,
    0,
  );
});

test('what is copied into generated packages imports no code from outside', () => {
  const values = sourceFiles(RUNTIME.slice(0, -1)).flatMap(({ path, text }) =>
    text
      .split('\n')
      .filter((line) => /^import .*'onnxruntime/.test(line) && !line.startsWith('import type * as Ort from'))
      .map((line) => `${path}: ${line}`),
  );
  assert.equal(values, []);
});

test('every dependency has a door, and every door a dependency', () => {
  const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  const bundled = ['onnx-proto', 'echarts'];
  assert.equal([...Object.keys(dependencies), ...bundled].sort(), Object.keys(DOORS).sort());
  const imported = new Set(sourceFiles('src').flatMap(specifiersOf).map(packageOf));
  assert.equal(
    Object.keys(dependencies).filter((name) => !imported.has(name)),
    [],
    'a dependency that nothing imports',
  );
  assert.equal(
    Object.values(dependencies).filter((version) => !/^\d+\.\d+\.\d+$/.test(version)),
    [],
    'pin dependencies exactly',
  );
});

test('docs/architecture.md tells the same order', () => {
  const text = readFileSync(join(ROOT, 'docs/architecture.md'), 'utf8');
  const line = text.split('\n').find((l) => l.includes('errors → runtime'));
  const told = (line ?? '').trim().split(/ → |, |\//);
  assert.ok(told.length > 8, 'the line with the order is gone');
  assert.equal(
    ORDER.filter((room) => told.includes(room)),
    told,
  );
});

test.run();
