import { spawnSync } from 'node:child_process';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { OfframpError } from '../../src/errors/index.ts';
import { Tensor, withSession } from '../../src/ort/session.ts';
import { embedding } from '../embedding.ts';

const test = suite('session');

test('an id that the model has no row for is bad input, and is named', async () => {
  const run = (ids: readonly number[]) =>
    withSession(embedding(), { threads: 1 }, (session) =>
      session.run({ input_ids: new Tensor('int64', BigInt64Array.from(ids, BigInt), [1, 3]) }),
    );
  await run([0, 6, -7]);
  try {
    await run([0, 7, 1]);
    assert.unreachable();
  } catch (error) {
    const { code, message } = error as OfframpError;
    assert.is(code, 'id-out-of-range');
    assert.match(message, /the id 7, and the model has rows for ids up to 6/);
  }
});

test('of an error that is thrown ONNX Runtime writes no line of its own', () => {
  const code = `
    import { embedding } from ${JSON.stringify(new URL('../embedding.ts', import.meta.url).href)};
    import { Tensor, withSession } from ${JSON.stringify(new URL('../../src/ort/session.ts', import.meta.url).href)};
    const ids = new Tensor('int64', BigInt64Array.of(0n, 7n, 1n), [1, 3]);
    await withSession(embedding(), { threads: 1 }, (session) => session.run({ input_ids: ids })).catch((error) => console.log(error.code));
  `;
  const words = ['--import', 'tsx', '--input-type=module', '--eval', code];
  const { stdout, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8' });
  assert.is(stderr, '');
  assert.is(stdout, 'id-out-of-range\n');
});

test.run();
