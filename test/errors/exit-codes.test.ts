import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { EXIT_CODES } from '../../src/errors/index.ts';
import { sourceFiles } from '../house/sources.ts';

const test = suite('errors: exit codes');

/** Codes of all errors that src/errors/ makes. */
const catalogue = new Set(
  sourceFiles('src/errors').flatMap(({ text }) =>
    [...text.matchAll(/new OfframpError\(\s*(?:'([a-z0-9-]+)'|[^\s])/g)].map(
      ([whole, code]) => code ?? whole,
    ),
  ),
);

test('every code of the catalogue has an exit code, and no other has one', () => {
  assert.ok(catalogue.size > 100);
  assert.equal([...EXIT_CODES.keys()].sort(), [...catalogue].sort());
});

test('errors are made in the catalogue only', () => {
  const elsewhere = sourceFiles('src').filter(
    ({ path, text }) => !path.startsWith('src/errors/') && /new OfframpError\(\s*['"`]/.test(text),
  );
  assert.equal(
    elsewhere.map(({ path }) => path),
    [],
  );
});

test('what went wrong is 1, what was given wrong is 2', () => {
  const failures = [
    'training-diverged',
    'worker-ended',
    'session-failed',
    'emitted-model-differs',
    'disk-full',
    'output-failed',
    'package-differs',
  ];
  for (const code of failures) assert.is(EXIT_CODES.get(code), 1, code);
  for (const code of ['bad-option', 'bad-usage', 'output-not-empty', 'not-an-onnx-file', 'other-model'])
    assert.is(EXIT_CODES.get(code), 2, code);
});

test.run();
