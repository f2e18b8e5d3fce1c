/** Half floats in and out of ONNX Runtime: bits up to Node 22, a Float16Array from Node 24 on. `node --version` decides which of them is tried. */

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GraphBuilder, makeModel } from '../../src/graph/builder.ts';
import { toHalf } from '../../src/graph/tensor.ts';
import { observeFacts } from '../../src/model/observe-facts.ts';
import { randomFeeds } from '../../src/model/random-inputs.ts';
import { Tensor, withSession } from '../../src/ort/session.ts';
import { floatsOf, tensorOf } from '../../src/ort/tensors.ts';

const test = suite('float16');

/** scores = x + x, [N, 4] float16 */
function doubling() {
  const b = new GraphBuilder();
  const x = b.input('x', 'float16', ['N', 4]);
  b.output(b.op('Add', [x, x], {}, 'scores'), 'float16', ['N', 4]);
  return makeModel(b.build('doubling'));
}

const VALUES = [1, -2.5, 0.5, 2 ** -20, Number.POSITIVE_INFINITY, 0, 1000, -3];
const DOUBLED = VALUES.map((v) => 2 * v);

test('what is fed arrives, whichever way the tensor was made', async () => {
  await withSession(doubling(), {}, async (session) => {
    const run = async (x: Tensor) => (await session.run({ x })).scores!;
    const converted = tensorOf('float16', Float32Array.from(VALUES), [2, 4]);
    const bits = new Tensor('float16', toHalf(Float32Array.from(VALUES)), [2, 4]);
    for (const x of [converted, bits]) assert.equal([...floatsOf(await run(x))], DOUBLED);
    const again = await run(await run(converted));
    assert.equal(
      [...floatsOf(again)],
      VALUES.map((v) => 4 * v),
    );
    const wide = new Uint16Array(12);
    wide.set(toHalf(Float32Array.from(VALUES)), 4);
    assert.equal([...floatsOf(await run(new Tensor('float16', wide.subarray(4), [2, 4])))], DOUBLED);
  });
});

test('random input of a model with half inputs is not empty', async () => {
  const model = doubling();
  const { x } = randomFeeds(model, {}, 3);
  const values = [...floatsOf(x!)];
  assert.is(values.length, 12);
  assert.ok(values.every((v) => v !== 0 && Math.abs(v) <= 1));
  const typed = await observeFacts(model);
  assert.equal([typed.classes, typed.batch], [4, 'dynamic']);
});

test('the elements of uint16 are no half floats', () => {
  assert.equal([...floatsOf(new Tensor('uint16', Uint16Array.of(0x3c00, 7), [2]))], [0x3c00, 7]);
});

test.run();
