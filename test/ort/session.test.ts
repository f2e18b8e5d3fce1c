import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { OfframpError } from '../../src/errors/index.ts';
import { GraphBuilder, makeModel } from '../../src/graph/builder.ts';
import { floatTensor } from '../../src/graph/tensor.ts';
import { Tensor, withSession } from '../../src/ort/session.ts';

const test = suite('session');

/** Looks rows up in a table of seven. */
function embedding() {
  const b = new GraphBuilder();
  const table = b.initializer(floatTensor('words', [7, 2], new Float32Array(14)));
  b.output(b.op('Gather', [table, b.input('input_ids', 'int64', ['N', 3])], {}, 'rows'), 'float', [
    'N',
    3,
    2,
  ]);
  return makeModel(b.build('embedding'));
}

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

test.run();
