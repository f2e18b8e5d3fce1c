/** Small chains made by hand: every network runs by itself on its own numbers, and each sample leaves where plain arithmetic says. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { makeModel } from '../../src/graph/builder.ts';
import { checkGraph } from '../../src/graph/check.ts';
import { Tensor, withSession } from '../../src/ort/session.ts';
import { inOrder } from '../../src/passes/end-exit.ts';
import { lowerChain } from '../../src/passes/lower-exits.ts';
import { tinyResidual } from '../models.ts';
import { largestGap } from '../networks/readers.ts';
import { COUNT, runLowered, SAMPLE } from './by-hand.ts';
import {
  CLASSES,
  chained,
  flat,
  front,
  type Link,
  last,
  pictures,
  quarters,
  runEach,
  sure,
  twoWays,
} from './chain-by-hand.ts';

const test = suite('lower-exits: chains');

const BATCHES = [1, 7, 64];

/** Lowers the chain and compares every answer, in batches, under thresholds that are an input and built in. Returns where samples left. */
async function expectByHand(
  links: readonly Link[],
  thresholds: readonly number[],
  { final = 0, tolerance = 1e-5 } = {},
): Promise<number[]> {
  const said = links.flatMap((link) => link.said);
  const open = said.filter((_, k) => thresholds[k]! < 1);
  const answer = links
    .at(-1)!
    .own.map((z, at) => z + final * open.reduce((sum, logits) => sum + logits[at]!, 0));
  const scores = said.map(sure);
  const leaves = Array.from({ length: COUNT }, (_, i) => {
    const k = thresholds.findIndex((t, e) => t < 1 && scores[e]![i]! > t);
    return k < 0 ? said.length : k;
  });
  const all = [...said, answer];
  const largest = Math.max(...all.flatMap((logits) => [...logits]).map(Math.abs));
  const networks = chained(links);
  for (const baked of [undefined, thresholds]) {
    const model = lowerChain(networks, { policy: 'max-prob', final, baked });
    checkGraph(model.graph);
    for (const batch of networks[0]!.typed.batch === 'fixed' ? [1] : BATCHES) {
      const got = await runLowered(model, pictures, batch, baked ? undefined : thresholds);
      assert.equal(got.exits, leaves, `batch ${batch}`);
      for (const [at, found] of got.scores.entries()) {
        const i = Math.floor(at / CLASSES);
        const expected = all[leaves[i]!]![at]!;
        assert.ok(
          Math.abs(found - expected) <= tolerance * largest,
          `batch ${batch}, sample ${i}: ${found}, ${expected}`,
        );
      }
      for (const [i, found] of got.confidences.entries()) {
        const expected = (scores[leaves[i]!] ?? sure(answer))[i]!;
        assert.ok(
          Math.abs(found - expected) <= 2 * tolerance,
          `batch ${batch}, sample ${i}: sure ${found}, ${expected}`,
        );
      }
    }
  }
  return [...new Set(leaves)].sort();
}

const small = await front(twoWays({ seed: 20 }), 'first_1');
const withTaps = await front(twoWays({ seed: 30 }), 'first_1', ['left', 'right']);
const second = await front(twoWays({ seed: 40, opset: 17 }), 'first_2', ['left'], [1, 2, 3, 4, 0]);
const plain = await last(tinyResidual());
const withExits = await last(tinyResidual({ seed: 5 }), ['block1', 'block2']);

test('one network before another, which reads other numbers in another layout', async () => {
  const links = [small, plain];
  assert.equal(await expectByHand(links, quarters(links)), [0, 1]);
  assert.equal(await expectByHand(links, quarters(links), { final: 0.25 }), [0, 1]);
});

test('exits inside the first network, at its end, and along the original', async () => {
  const links = [withTaps, withExits];
  const [a, b, c, d, e] = quarters(links) as [number, number, number, number, number];
  assert.equal(await expectByHand(links, [a, b, c, d, e]), [0, 1, 2, 3, 4, 5]);
  assert.equal(await expectByHand(links, [a, b, c, d, e], { final: 0.5 }), [0, 1, 2, 3, 4, 5]);
  // Its end alone, its inner exits alone, the network not at all, and the original by itself.
  assert.equal(await expectByHand(links, [1, 1, c, 1, 1], { final: 0.5 }), [2, 5]);
  assert.equal(await expectByHand(links, [a, b, 1, d, 1], { final: 0.5 }), [0, 1, 3, 5]);
  assert.equal(await expectByHand(links, [1, 1, 1, d, e], { final: 0.5 }), [3, 4, 5]);
  assert.equal(await expectByHand(links, [1, 1, 1, 1, 1], { final: 0.5 }), [5]);
});

test('three networks, one with its classes in another order; any of them closed', async () => {
  const links = [small, second, withExits];
  const [a, b, c, d, e] = quarters(links) as [number, number, number, number, number];
  assert.equal(await expectByHand(links, [a, b, c, d, e], { final: 0.25 }), [0, 1, 2, 3, 4, 5]);
  assert.equal(await expectByHand(links, [a, 1, 1, d, 1]), [0, 3, 5]);
  assert.equal(await expectByHand(links, [1, b, c, 1, 1], { final: 0.25 }), [1, 2, 5]);
});

test('one network for single samples makes all so', async () => {
  const single = await front(twoWays({ seed: 30, batch: 1 }), 'first_1', ['left']);
  for (const links of [
    [single, withExits],
    [withTaps, second, await last(tinyResidual({ batch: 1 }), ['block1'])],
  ]) {
    const thresholds = quarters(links);
    const places = await expectByHand(links, thresholds, { final: 0.25 });
    assert.is(places.length, thresholds.length + 1);
  }
});

test('scores in float16 before an original in float', async () => {
  const half = await front(twoWays({ seed: 20, isHalf: true }), 'first_1');
  const links = [half, plain];
  assert.equal(await expectByHand(links, quarters(links), { tolerance: 1e-3 }), [0, 1]);
});

test('an exit whose value none of the later exits needs', async () => {
  const links = [withTaps, plain];
  const [a, b] = quarters(links) as [number, number, number];
  const thresholds = [a, b, 1];
  assert.equal(await expectByHand(links, thresholds), [0, 1, 3]);
});

test('with every exit closed, the original', async () => {
  const links = [withTaps, second, withExits];
  const closed = [1, 2, Number.POSITIVE_INFINITY, 1, 1, 1, 1];
  const model = lowerChain(chained(links), { policy: 'max-prob', final: 0.25 });
  for (const batch of BATCHES) {
    const got = await runLowered(model, pictures, batch, closed);
    assert.ok(got.exits.every((exit) => exit === closed.length));
    const alone = await withSession(withExits.typed.model, {}, async (session) => {
      const scores: number[] = [];
      for (let at = 0; at < COUNT; at += batch) {
        const n = Math.min(batch, COUNT - at);
        const data = pictures.slice(at * SAMPLE, (at + n) * SAMPLE);
        const out = await session.run({ image: new Tensor('float32', data, [n, 3, 8, 8]) });
        scores.push(...(out.scores!.data as Float32Array));
      }
      return scores;
    });
    assert.ok(largestGap(got.scores, alone) <= 1e-5 * Math.max(...alone.map(Math.abs)));
  }
});

test('an exit in another order of classes runs by itself', async () => {
  const features = [{ features: new Tensor('float32', Float32Array.of(1, 2, 3, 4, 5), [1, 5]) }];
  const order = [4, 0, 1, 3, 2];
  const end = inOrder(small.heads[0]!, order);
  assert.equal([...flat(await runEach(makeModel(end.graph), features), 'logits')], [5, 1, 2, 4, 3]);
});

test.run();
