/** Compiled, never run: what the types of a generated stub allow, and what they refuse. */
import * as ort from 'onnxruntime-node';
import * as baked from '../../golden/stub-baked/index.ts';
import * as chain from '../../golden/stub-chain/index.ts';
import * as gray from '../../golden/stub-fixed-gray/index.ts';
import * as pets from '../../golden/stub-image-labels/index.ts';
import * as several from '../../golden/stub-several-inputs/index.ts';
import * as split from '../../golden/stub-split/index.ts';
import * as texts from '../../golden/stub-texts/index.ts';

export async function use(pixels: Uint8Array, clamped: Uint8ClampedArray): Promise<void> {
  const model: pets.Pets = await pets.Pets.load(ort);
  await pets.Pets.load(ort, { path: 'model.onnx', sessionOptions: { intraOpNumThreads: 1 } });
  await pets.Pets.load(ort, { bytes: pixels });
  await pets.Pets.load(ort, { bytes: new ArrayBuffer(8) });
  await pets.Pets.load(ort, { url: '/models/pets.onnx' });
  await pets.Pets.load(ort, { url: new URL('https://example.org/pets.onnx') });
  await pets.Pets.load(ort, { sessionOptions: { executionProviders: ['wasm'] } });

  const [result, second] = await model.classify(new Float32Array(12), { at: 'fast' });
  const label: 'cat' | 'dog' | "cow's calf" = result.label;
  const exit: 'exit_1' | 'exit_2' | 'full' = result.exitId;
  const perhaps: pets.Result | undefined = second;
  await model.classify(new ort.Tensor('float32', new Float32Array(12), [1, 3, 2, 2]));
  const picture: pets.Picture = { data: pixels, width: 2, height: 2 };
  await model.classify(picture, { budget: 0.55 });
  await model.classify([picture, { data: clamped, width: 9, height: 4 }], { thresholds: [0.5, 1] });
  await model.classify(pets.preprocess([picture]), { thresholds: model.operatingPoints.fast.thresholds });
  const names: pets.OperatingPointName[] = ['fast', 'balanced', 'exact'];
  const { relativeCost, latencyMsP50 }: pets.OperatingPoint = model.operatingPoints.fast;
  const governor: pets.Governor<pets.OperatingPointName, pets.Input, [pets.Result, ...pets.Result[]]> =
    model.governor({ targetLatencyMs: 2, fastest: 'fast' });
  const [governed] = await governor.classify(picture);
  const at: pets.OperatingPointName = governor.at;
  const costs: number = governed.relativeCost + governor.average + model.statistics.meanRelativeCost;
  const drift: pets.Drift | undefined = model.statistics.drift;
  const done: Promise<void> = model.release();

  // @ts-expect-error no such operating point
  await model.classify(picture, { at: 'quick' });
  // @ts-expect-error one target
  model.governor({ targetLatencyMs: 2, targetRelativeCost: 0.5 });
  // @ts-expect-error a target
  model.governor({ fastest: 'fast' });
  // @ts-expect-error no such operating point
  model.governor({ targetLatencyMs: 2, fastest: 'quick' });
  // @ts-expect-error statistics are not for writing
  model.statistics.counts[0] = 1;
  // @ts-expect-error no such operating point
  model.operatingPoints.quick;
  // @ts-expect-error one or the other
  await model.classify(picture, { at: 'fast', thresholds: [0.5, 0.5] });
  // @ts-expect-error one or the other
  await model.classify(picture, { at: 'fast', budget: 0.5 });
  // @ts-expect-error one or the other
  await model.classify(picture, { budget: 0.5, thresholds: [0.5, 0.5] });
  // @ts-expect-error one threshold an exit
  await model.classify(picture, { thresholds: [0.5] });
  // @ts-expect-error one threshold an exit
  await model.classify(picture, { thresholds: [0.5, 0.5, 0.5] });
  // @ts-expect-error a budget is a number
  await model.classify(picture, { budget: '0.5' });
  // @ts-expect-error no such option
  await model.classify(picture, { point: 'fast' });
  // @ts-expect-error wrong element type
  await model.classify(new Float64Array(12));
  // @ts-expect-error bytes without a size are no picture
  await model.classify(pixels);
  // @ts-expect-error a picture has a height
  await model.classify({ data: pixels, width: 2 });
  // @ts-expect-error a picture has 8-bit pixels
  await model.classify({ data: new Float32Array(12), width: 2, height: 2 });
  // @ts-expect-error no class of that name
  result.label === 'horse';
  // @ts-expect-error no exit of that name
  result.exitId === 'exit_3';
  // @ts-expect-error results are not for writing
  result.label = 'cat';
  // @ts-expect-error nor are operating points
  model.operatingPoints.fast.thresholds[0] = 0.5;
  // @ts-expect-error onnxruntime is missing
  await pets.Pets.load();
  // @ts-expect-error one source or another
  await pets.Pets.load(ort, { path: 'model.onnx', url: '/model.onnx' });
  // @ts-expect-error a path is a string
  await pets.Pets.load(ort, { path: new URL('https://example.org') });
  // @ts-expect-error the constructor is private
  new pets.Pets(ort, undefined);

  const fixed = await gray.ResultModel.load(ort);
  const [only] = await fixed.classify({ data: pixels, width: 28, height: 28 });
  const index: number = only.index;
  // @ts-expect-error one picture, not two
  await fixed.classify([picture, picture]);
  // @ts-expect-error without labels there are no names
  only.label;
  // @ts-expect-error a single operating point
  await fixed.classify(picture, { at: 'fast' });

  const decided = await baked.Pets.load(ort);
  await decided.classify(new Float32Array(24));
  decided.statistics.reset();
  // @ts-expect-error a single operating point
  decided.governor({ targetLatencyMs: 2 });
  // @ts-expect-error thresholds are baked in
  await decided.classify(new Float32Array(24), { at: 'balanced' });

  const text = await several.ABSModel.load(ort);
  await text.classify({
    input_ids: new BigInt64Array(16),
    "attention'mask": new Uint8Array(16),
    ['__proto__']: new Uint16Array(4),
  });
  // @ts-expect-error inputs are missing
  await text.classify({ input_ids: new BigInt64Array(16) });
  // @ts-expect-error this model takes no pictures
  await text.classify(picture);

  const sure = await chain.Pets.load(ort);
  const [answered] = await sure.classify(picture, { at: 'fast' });
  const network: 'first_1' | 'original' = answered.network;
  const file: 'kitten.onnx' | 'pets.onnx' = chain.networks[0].file;
  // @ts-expect-error no network of that name
  answered.network === 'first_2';
  // @ts-expect-error a model on its own has no networks
  result.network;

  const client = await split.Pets.load(ort, { server: 'https://example.org/v2/models/pets_rest' });
  const server = new URL('https://example.org');
  await split.Pets.load(ort, { server, url: '/model.onnx', timeoutMs: 500, retries: 0, maxInFlight: 2 });
  await split.Pets.load(ort, { server, headers: { authorization: 'Bearer …' }, offline: 'throw', fetch });
  await split.Pets.load(ort, { server, headers: async () => ({ authorization: 'Bearer …' }) });
  const { signal } = new AbortController();
  const [asked] = await client.classify(picture, { at: 'fast', signal });
  await client.classify(picture, { signal });
  await client.classify([picture], { thresholds: [0.5, 0.65], signal });
  const where: 'client' | 'server' | 'client, server unreachable' | 'client, server refused' = asked.where;
  const { stayed, bytesSent, serverMs, problem } = client.statistics;
  const told: string = `${stayed} ${bytesSent} ${serverMs.p95} ${problem ?? ''} ${split.split.bytes}`;
  const paced: split.Governor<split.OperatingPointName, split.Input, [split.Result, ...split.Result[]]> =
    client.governor({ targetLatencyMs: 40 });
  // @ts-expect-error a split needs a server
  await split.Pets.load(ort);
  // @ts-expect-error a split needs a server
  await split.Pets.load(ort, { url: '/model.onnx' });
  // @ts-expect-error one or the other
  await split.Pets.load(ort, { server, offline: 'panic' });
  // @ts-expect-error a header is a string
  await split.Pets.load(ort, { server, headers: { authorization: 7 } });
  // @ts-expect-error nobody else answers
  asked.where === 'nobody';
  // @ts-expect-error one or the other, also with a signal
  await client.classify(picture, { at: 'fast', budget: 1, signal });
  // @ts-expect-error a model of its own has no server
  result.where;
  // @ts-expect-error nor waits for one
  await model.classify(picture, { signal });
  // @ts-expect-error served models are not for writing
  split.split.models.fast = 'other';

  class Tokenizer {
    constructor(
      readonly file: object,
      readonly config: object,
    ) {}
  }
  const mood = await texts.Mood.load(ort);
  const encode = texts.textEncoder(Tokenizer, { truncation: null, padding: null, model: {} });
  await mood.classify(encode('a text'), { at: 'fast' });
  await mood.classify(encode('a text', ['a text', 'and its pair']));
  // @ts-expect-error there is no call without a sample
  await mood.classify(encode());
  // @ts-expect-error a text is no input
  await mood.classify('a text');

  console.log(
    label,
    exit,
    perhaps,
    names,
    relativeCost,
    latencyMsP50,
    at,
    costs,
    drift,
    done,
    index,
    network,
    file,
    where,
    told,
    paced,
  );
}
