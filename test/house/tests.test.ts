import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { listFiles } from '../golden.ts';
import { ROOT, sourceFiles, type TestFile, testFiles } from './sources.ts';

const test = suite('house: tests');
const files = testFiles();

const offenders = (breaks: (file: TestFile) => boolean) =>
  files
    .filter(breaks)
    .map((file) => file.path)
    .join('\n');

test('every suite has a name and is run', () => {
  assert.ok(files.length > 0);
  assert.is(
    offenders((file) => file.suites.length === 0),
    '',
    'files without `suite(name)`',
  );
  assert.is(
    offenders((file) => file.unnamed.length > 0),
    '',
    'suites without a literal name',
  );
  assert.is(
    offenders((file) => file.suites.some((name) => !file.calls.has(`${name}.run`))),
    '',
    'suites without .run()',
  );
});

test("nobody uses uvu's shared default suite", () => {
  assert.is(
    offenders((file) => file.fromUvu.some((name) => name !== 'suite')),
    '',
  );
});

test('nothing is focused or skipped', () => {
  const marks = (file: TestFile) =>
    file.suites.some((name) => file.calls.has(`${name}.only`) || file.calls.has(`${name}.skip`));
  assert.is(offenders(marks), '');
});

test('every golden folder is claimed by a case', () => {
  const strings = new Set(files.filter((file) => file.calls.size).flatMap((file) => [...file.strings]));
  const orphans = [...new Set(listFiles(join(ROOT, 'golden')).map(dirname))].filter((folder) => {
    const ancestors = folder.split('/').map((_, i, parts) => parts.slice(0, i + 1).join('/'));
    return !ancestors.some((name) => strings.has(name));
  });
  assert.equal(
    orphans,
    [],
    'golden folders that no goldenCase names: delete them, or name them as a plain string',
  );
});

test('test/ mirrors src/', () => {
  const outside = ['house', 'pack', 'examples', 'browser', 'fuzz', 'attack'];
  const strangers = files
    .map((file) => file.path.split('/')[1]!)
    .filter((room) => !outside.includes(room) && !existsSync(join(ROOT, 'src', room)));
  assert.equal([...new Set(strangers)], []);
});

test('only what is named *.shared.* asks for what lies beside the repository', () => {
  const allowed = (path: string) => path.includes('.shared.') || path.startsWith('test/browser/');
  const asks = sourceFiles('test').filter(
    (file) => /\bsharedData\(/.test(file.text) && file.path !== 'test/shared.ts',
  );
  assert.ok(asks.length > 5);
  assert.equal(
    asks.map((file) => file.path).filter((path) => !allowed(path) && path !== 'test/house/tests.test.ts'),
    [],
  );
});

test('nothing cites a file that is not in the repository', () => {
  const texts = ['src', 'test', 'scripts', 'bench', 'docs', 'examples'].flatMap((folder) => [
    ...sourceFiles(folder),
    ...sourceFiles(folder, '.md'),
  ]);
  const absent = new RegExp(`\\b(${['methods', 'design', 'ecosystem'].join('|')})\\.md\\b`);
  assert.ok(texts.length > 300);
  assert.equal(
    texts.filter((file) => absent.test(file.text)).map((file) => file.path),
    [],
  );
});

test.run();
