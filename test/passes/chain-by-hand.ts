/** Networks of a small chain, and what each of their exits says, run by itself on its own numbers. */
import { makeModel } from '../../src/graph/builder.ts';
import type { Model } from '../../src/graph/types.ts';
import { adaptNetwork } from '../../src/networks/adapt-network.ts';
import { chainOf, type Network } from '../../src/networks/chain.ts';
import { type Feeds, type Outputs, Tensor, withSession } from '../../src/ort/session.ts';
import { floatsOf } from '../../src/ort/tensors.ts';
import { endExit } from '../../src/passes/end-exit.ts';
import type { Head } from '../../src/passes/exits.ts';
import type { NetworkWithExits } from '../../src/passes/lower-exits.ts';
import { planExits } from '../../src/passes/plan-exits.ts';
import { NetBuilder, noise } from '../models.ts';
import { readerOf } from '../networks/readers.ts';
import { COUNT, midway, prepare, SAMPLE } from './by-hand.ts';

export const CLASSES = 5;
/** Pixels [8, 8, 3] of 0 to 255, of more and more contrast. */
const pixels = noise(COUNT * SAMPLE, 3).map((v, i) => {
  const contrast = 0.2 + (0.8 * Math.floor(i / SAMPLE)) / COUNT;
  return Math.round(127.5 + 127 * contrast * v);
});
/** The same as the original reads them: [3, 8, 8] of (pixel / 255 − 0.5) / 0.25. */
export const pictures = pixels.map((_, i) => {
  const [n, at] = [Math.floor(i / SAMPLE), i % SAMPLE];
  return (pixels[n * SAMPLE + (at % 64) * 3 + Math.floor(at / 64)]! / 255 - 0.5) / 0.25;
});
export const original = readerOf([3, 8, 8], { scale: 255, mean: [0.5], std: [0.25] }, 'float', 'image');
const first = readerOf([8, 8, 3], { layout: 'NHWC' }, 'float', 'pixels');

export interface FirstOptions {
  readonly seed: number;
  readonly batch?: 'N' | 1;
  readonly opset?: number;
  /** Scores in float16. */
  readonly isHalf?: boolean;
}

/** Reads `pixels` [N, 8, 8, 3] → `left` and `right` [N, 8, 4, 4], neither of which needs the other → `scores` [N, 5]. */
export function twoWays({ seed, batch = 'N', opset = 17, isHalf = false }: FirstOptions): Model {
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
export interface Link extends NetworkWithExits {
  readonly said: readonly Float32Array[];
  readonly own: Float32Array;
}

/** `model` in front, with exits at `taps` and at its end. `order`: which of its classes each of the original's is. */
export async function front(
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
export async function last(model: Model, taps: readonly string[] = []): Promise<Link> {
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

export const runEach = (model: Model, feeds: readonly Feeds[]): Promise<Outputs[]> =>
  withSession(model, { threads: 1 }, async (session) => {
    const rows: Outputs[] = [];
    for (const feed of feeds) rows.push(await session.run(feed));
    return rows;
  });

export const flat = (rows: readonly Outputs[], name: string) =>
  Float32Array.from(rows.flatMap((row) => [...floatsOf(row[name]!)]));

/** The links as `compile` has them: exits numbered over the whole chain, single samples where one network takes no more. */
export const chained = (links: readonly Link[]): readonly NetworkWithExits[] =>
  chainOf(links as unknown as Network[]).networks;

/** [COUNT] The largest probability. */
export const sure = (logits: Float32Array): Float32Array =>
  Float32Array.from({ length: COUNT }, (_, i) => {
    const z = logits.subarray(i * CLASSES, (i + 1) * CLASSES);
    const largest = Math.max(...z);
    return 1 / z.reduce((sum, v) => sum + Math.exp(v - largest), 0);
  });

/** For each exit of the chain in order, a threshold that about a quarter of all samples is above. */
export const quarters = (links: readonly Link[]) =>
  links.flatMap(({ said }) => said.map((z) => midway(sure(z), 0.75)));
