/** Small chains made by hand: every network runs by itself on its own numbers, and each sample leaves where plain arithmetic says. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { makeModel } from '../../src/graph/builder.ts';
import { checkGraph } from '../../src/graph/check.ts';
import type { Model } from '../../src/graph/types.ts';
import { adaptNetwork } from '../../src/networks/adapt-network.ts';
import { chainOf, type Network } from '../../src/networks/chain.ts';
import { type Feeds, type Outputs, Tensor, withSession } from '../../src/ort/session.ts';
import { floatsOf } from '../../src/ort/tensors.ts';
import { endExit, inOrder } from '../../src/passes/end-exit.ts';
import type { Head } from '../../src/passes/exits.ts';
import { lowerChain, type NetworkWithExits } from '../../src/passes/lower-exits.ts';
import { planExits } from '../../src/passes/plan-exits.ts';
import { NetBuilder, noise, tinyResidual } from '../models.ts';
import { largestGap, readerOf } from '../networks/readers.ts';
import { COUNT, midway, prepare, runLowered, SAMPLE } from './by-hand.ts';

const test = suite('lower-exits: chains');

const CLASSES = 5;
const BATCHES = [1, 7, 64];
/** Pixels [8, 8, 3] of 0 to 255, of more and more contrast. */
const pixels = noise(COUNT * SAMPLE, 3).map((v, i) => {
  const contrast = 0.2 + (0.8 * Math.floor(i / SAMPLE)) / COUNT;
  return Math.round(127.5 + 127 * contrast * v);
});
/** The same as the original reads them: [3, 8, 8] of (pixel / 255 − 0.5) / 0.25. */
const pictures = pixels.map((_, i) => {
  const [n, at] = [Math.floor(i / SAMPLE), i % SAMPLE];
  return (pixels[n * SAMPLE + (at % 64) * 3 + Math.floor(at / 64)]! / 255 - 0.5) / 0.25;
});
const original = readerOf([3, 8, 8], { scale: 255, mean: [0.5], std: [0.25] }, 'float', 'image');
const first = readerOf([8, 8, 3], { layout: 'NHWC' }, 'float', 'pixels');

interface FirstOptions {
  readonly seed: number;
  readonly batch?: 'N' | 1;
  readonly opset?: number;
  /** Scores in float16. */
  readonly isHalf?: boolean;
}

/** Reads `pixels` [N, 8, 8, 3] → `left` and `right` [N, 8, 4, 4], neither of which needs the other → `scores` [N, 5]. */
function twoWays({ seed, batch = 'N', opset = 17, isHalf = false }: FirstOptions): Model {
  const b = new NetBuilder(seed);
  const input = b.input('pixels', 'float', [batch, 8, 8, 3]);
  const scaled = b.op('Mul', [b.op('Sub', [input, b.float(128)]), b.float(1 / 64)]);
  const map = b.op('Transpose', [scaled], { perm: [0, 3, 1, 2] });
  const [left, right] = [b.conv(map, 'left', 3, 8, 2), b.conv(map, 'right', 3, 8, 2)];
  const joined = b.op('Add', [left, right]);
  const scores = b.classifier(joined, 'fc', 8, isHalf ? 'full' : 'scores');
  if (isHalf) b.op('Cast', [scores], { to: 10 }, 'scores');
  b.output('scores', isHalf ? 'float16' : 'float', [batch, CLASSES]);
  return makeModel(b.build('two_ways'), opset);
}

/** A network with what its exits and itself say of every sample, [COUNT · classes] each. */
interface Link extends NetworkWithExits {
  readonly said: readonly Float32Array[];
  readonly own: Float32Array;
}

/** `model` in front, with exits at `taps` and at its end. `order`: which of its classes each of the original's is. */
async function front(
  model: Model,
  id: string,
  taps: readonly string[] = [],
  order?: readonly number[],
): Promise<Link> {
  const adapted = adaptNetwork(model, original, first, id);
  const { typed, heads } = await prepare(
    adapted,
    'pool',
    taps.map((tap) => `${id}/${tap}`),
  );
  const end = endExit(planExits(typed, { taps: [] }), { id: 'end', network: 0 }, order);
  const nameOf = ({ exit }: Head) => exit.tap.value.slice(id.length + 1);
  return { typed, heads: [...heads, end], ...(await sayAlone(model, [...heads, end], nameOf, pixelFeeds)) };
}

/** The original, with exits at `taps`. */
async function last(model: Model, taps: readonly string[] = []): Promise<Link> {
  const { typed, heads } = await prepare(model, 'pool', [...taps]);
  return { typed, heads, ...(await sayAlone(model, heads, ({ exit }) => exit.tap.value, pictureFeeds)) };
}

const feedsOf = (name: string, data: Float32Array, dims: readonly number[]): Feeds[] =>
  Array.from({ length: COUNT }, (_, i) => ({
    [name]: new Tensor('float32', data.slice(i * SAMPLE, (i + 1) * SAMPLE), [1, ...dims]),
  }));
const pixelFeeds = feedsOf('pixels', pixels, [8, 8, 3]);
const pictureFeeds = feedsOf('image', pictures, [3, 8, 8]);

/** Runs `model` as it was given, and each head by itself on what stands at its tap. */
async function sayAlone(
  model: Model,
  heads: readonly Head[],
  tapOf: (head: Head) => string,
  feeds: readonly Feeds[],
) {
  const values = [...new Set([...heads.map(tapOf), 'scores'])];
  const outputs = values.map((name) => ({ name, type: undefined }));
  const ran = await runEach({ ...model, graph: { ...model.graph, outputs } }, feeds);
  const said = await Promise.all(
    heads.map(async (head) => {
      const features = ran.map((row) => {
        const tap = row[tapOf(head)]!;
        return { features: new Tensor('float32', floatsOf(tap), tap.dims) };
      });
      return flat(await runEach(makeModel(head.graph), features), 'logits');
    }),
  );
  return { said, own: flat(ran, 'scores') };
}

const runEach = (model: Model, feeds: readonly Feeds[]): Promise<Outputs[]> =>
  withSession(model, { threads: 1 }, async (session) => {
    const rows: Outputs[] = [];
    for (const feed of feeds) rows.push(await session.run(feed));
    return rows;
  });

const flat = (rows: readonly Outputs[], name: string) =>
  Float32Array.from(rows.flatMap((row) => [...floatsOf(row[name]!)]));

/** The links as `compile` has them: exits numbered over the whole chain, single samples where one network takes no more. */
const chained = (links: readonly Link[]): readonly NetworkWithExits[] =>
  chainOf(links as unknown as Network[]).networks;

/** [COUNT] The largest probability. */
const sure = (logits: Float32Array): Float32Array =>
  Float32Array.from({ length: COUNT }, (_, i) => {
    const z = logits.subarray(i * CLASSES, (i + 1) * CLASSES);
    const largest = Math.max(...z);
    return 1 / z.reduce((sum, v) => sum + Math.exp(v - largest), 0);
  });

/** For each exit of the chain in order, a threshold that about a quarter of all samples is above. */
const quarters = (links: readonly Link[]) =>
  links.flatMap(({ said }) => said.map((z) => midway(sure(z), 0.75)));

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
