import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { inspect, promisify } from 'node:util';
import { build } from 'esbuild';
import * as ort from 'onnxruntime-node';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type * as Pets from '../../golden/stub-image-labels/index.ts';
import type { Manifest } from '../../src/emit/manifest.ts';
import { emitPackage } from '../../src/emit/stub.ts';
import { writeOutput } from '../../src/emit/write.ts';
import { GraphBuilder, makeModel } from '../../src/graph/builder.ts';
import { floatTensor, int64Tensor, toHalf } from '../../src/graph/tensor.ts';
import { DATA_TYPES } from '../../src/graph/types.ts';
import { serializeModel } from '../../src/parser/index.ts';
import { pathOrUrl, Turns } from '../../src/runtime/session.ts';
import { freshFolder, input, openAt, pixels, putImage } from '../data/fixtures.ts';
import { noise } from '../models.ts';
import { CHAIN, SAMPLE } from './sample.ts';

const test = suite('emit: generated packages run');

const MODULES = fileURLToPath(new URL('../../node_modules', import.meta.url));
const WEIGHTS = noise(12 * 3, 7);
const BAKED = [0.7, 0.65];
/** Takes pictures of its own size only. */
const { resize: _, ...STRICT } = SAMPLE.preprocessing!;

/**
 * A model with the interface of a compiled one, [batch, 3, 2, 2] → 3 classes: confidence is the mean pixel, a sample
 * takes the first exit whose threshold is below it. With `half`, logits are float16 and have the input `bias` [batch, 3] float16 added.
 */
function pretender({ batch, baked, half }: { batch: 'N' | 1; baked?: boolean; half?: boolean }): Uint8Array {
  const b = new GraphBuilder();
  const pixels = b.input('pixels', 'float', [batch, 3, 2, 2]);
  const thresholds = baked ? b.float(BAKED) : b.input('thresholds', 'float', [2]);
  const flat = b.op('Flatten', [pixels], { axis: 1 });
  const confidence = b.op('ReduceMean', [flat], { axes: [1], keepdims: 0 }, 'exit_confidence');
  const product = b.op('MatMul', [flat, b.initializer(floatTensor('weights', [12, 3], WEIGHTS))]);
  if (half) {
    const bias = b.op('Cast', [b.input('bias', 'float16', [batch, 3])], { to: 1 });
    const sum = b.op('Add', [product, bias]);
    b.op('Cast', [sum], { to: DATA_TYPES.indexOf('float16') }, 'logits');
  } else b.op('Identity', [product], {}, 'logits');
  const index = (k: number) => b.initializer(int64Tensor(`exit_${k}`, [1], [k]));
  const [first, second, full] = [index(0), index(1), index(2)];
  const fires = (k: string) => b.op('Greater', [confidence, b.op('Gather', [thresholds, k])]);
  b.op('Where', [fires(first), first, b.op('Where', [fires(second), second, full])], {}, 'exit_index');
  b.output('logits', half ? 'float16' : 'float', [batch, 3]);
  b.output('exit_index', 'int64', [batch]);
  b.output('exit_confidence', 'float', [batch]);
  return serializeModel(makeModel(b.build('pretender')));
}

const root = mkdtempSync(join(tmpdir(), 'offramp-stub-'));
test.after(() => rmSync(root, { recursive: true, force: true }));

/** Writes the package of `manifest` with `model` and imports it. */
async function install(name: string, manifest: Manifest, model: Uint8Array): Promise<typeof Pets> {
  const folder = join(root, name);
  await writeOutput(
    folder,
    new Map<string, string | Uint8Array>([...emitPackage(manifest), ['model.onnx', model]]),
  );
  return import(pathToFileURL(join(folder, 'index.js')).href);
}

const pets = install('pets', SAMPLE, pretender({ batch: 'N' }));

async function rejection(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return (error as Error).message;
  }
  return 'nothing was thrown';
}

/** Samples whose pixels all have one value: their confidence. */
const flat = (...values: number[]) =>
  Float32Array.from({ length: 12 * values.length }, (_, i) => values[Math.floor(i / 12)]!);

function softmax(scores: readonly number[]): number[] {
  const exp = scores.map(Math.exp);
  return exp.map((e) => e / exp.reduce((a, b) => a + b));
}

test('every sample gets the answer, exit and cost that the model and the table say', async () => {
  const { Pets } = await pets;
  const model = await Pets.load(ort);
  const results = await model.classify(flat(0.2, 0.68, 0.9, 0.3), { at: 'balanced' });
  assert.equal(
    results.map((r) => [r.exit, r.exitId, r.relativeCost]),
    [[2, 'full', 1.04], [1, 'exit_2', SAMPLE.exits[1]!.relativeCost], [0, 'exit_1', 0.353], [2, 'full', 1.04]],
  ); // biome-ignore format: a table
  results.forEach((r, n) => {
    const value = [0.2, 0.68, 0.9, 0.3][n]!;
    const scores = [0, 1, 2].map(
      (c) => value * Array.from({ length: 12 }, (_, i) => WEIGHTS[i * 3 + c]!).reduce((a, b) => a + b),
    );
    scores.forEach((s, c) => {
      assert.ok(Math.abs(s - r.scores[c]!) < 1e-5);
    });
    const probabilities = softmax(scores);
    assert.is(r.index, probabilities.indexOf(Math.max(...probabilities)));
    assert.is(r.label, SAMPLE.labels![r.index]);
    assert.ok(Math.abs(r.probability - Math.max(...probabilities)) < 1e-5);
    assert.ok(Math.abs(r.confidence - value) < 1e-6);
  });
  await model.release();
});

test('operating points and thresholds decide; balanced is the default; a closed exit costs nothing', async () => {
  const { Pets } = await pets;
  const model = await Pets.load(ort, { sessionOptions: { intraOpNumThreads: 1 } });
  const exitOf = async (options?: Pets.ClassifyOptions) => {
    const [r] = await model.classify(flat(0.68), options);
    return [r!.exitId, r!.relativeCost];
  };
  assert.equal(await exitOf({ at: 'fast' }), ['exit_1', 0.353]);
  assert.equal(await exitOf(), ['exit_2', SAMPLE.exits[1]!.relativeCost]);
  assert.equal(await exitOf({ at: 'exact' }), ['full', 1]);
  assert.equal(await exitOf({ thresholds: [1, 0.5] }), ['exit_2', 0.687]);
  assert.equal(await exitOf({ thresholds: [0.999999999, 0.5] }), ['exit_2', 0.687]);
  assert.equal(await exitOf({ budget: 0.699 }), ['exit_1', 0.353], 'fast');
  assert.equal(await exitOf({ budget: 0.7 }), ['exit_2', SAMPLE.exits[1]!.relativeCost], 'balanced');
  assert.equal(await exitOf({ budget: Number.POSITIVE_INFINITY }), ['full', 1], 'exact');
  await model.release();
});

test('calls that make no sense are told what to pass, and leave the model as it was', async () => {
  const { Pets } = await pets;
  const model = await Pets.load(ort);
  const picture = { data: new Uint8Array(12), width: 2, height: 2 };
  const holes = [picture, picture];
  delete holes[1];
  const classify = model.classify.bind(model) as (...given: unknown[]) => Promise<unknown>;
  const governor = model.governor.bind(model) as (...given: unknown[]) => unknown;
  const load = Pets.load.bind(Pets) as (...given: unknown[]) => Promise<unknown>;
  const calls: readonly (readonly [call: () => unknown, says: RegExp])[] = [
    [() => classify(), /input "pixels": float32 \[N, 3, 2, 2\] expected, got Undefined/],
    [() => classify([picture, null]), /^picture 1: \{ data, width, height \} with 8-bit data expected, got null$/],
    [() => classify(holes), /^picture 1: .* got undefined$/],
    [() => classify([[picture]]), /^picture 0: \{ data, width, height \} with 8-bit data expected$/],
    [() => classify(picture, null), /^options: an object with at, budget, thresholds expected, got null$/],
    [() => classify(picture, 'fast'), /^options: .* got "fast"$/],
    [() => classify(picture, ['fast']), /^options: .* got Array$/],
    [() => classify(picture, { threshold: 1 }), /^options: there is no option threshold; there are at, /],
    [() => classify(picture, { budget: '0.5' }), /^budget: a number expected, got "0.5"$/],
    [() => classify(picture, { thresholds: 0.5 }), /^thresholds: 2 numbers, one an exit, expected as a list, got 0.5$/],
    [() => classify(picture, { thresholds: null }), /^thresholds: .* got null$/],
    [() => governor(), /^a governor's options: an object with targetRelativeCost, .* expected, got undefined$/],
    [() => governor({ target: 1 }), /^a governor's options: there is no option target; /],
    [() => load(), /^Pets.load takes the module of ONNX Runtime/],
    [() => load(ort, null), /^Pets.load takes \{ url \}, .* not null$/],
    [() => load(ort, { model: new Uint8Array(5) }), /^Pets.load: there is no option model; there are path, url, bytes, /],
  ]; // biome-ignore format: rows
  for (const [call, says] of calls) {
    const error = await (async () => await call())().catch((thrown: unknown) => thrown);
    assert.instance(error, TypeError, `${says}: ${error}`);
    assert.match((error as Error).message, says);
  }
  const thresholds = [0, 1];
  delete thresholds[0];
  assert.match(await rejection(classify(picture, { thresholds })), /expected, got \[undefined, 1\]$/);
  assert.is(model.statistics.samples, 0);
  assert.is(((await classify(picture, { at: undefined, thresholds: [1, 1] })) as unknown[]).length, 1);
  await model.release();
});

test('tensors, and models from paths, bytes and URLs, are taken too', async () => {
  const bytes = pretender({ batch: 'N' });
  const { Pets } = await pets;
  const path = join(root, 'pets/model.onnx');
  const server = createServer((request, response) => {
    response.statusCode = request.url === '/model.onnx' ? 200 : 404;
    response.end(response.statusCode === 200 ? bytes : undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, resolve));
  const address = `http://localhost:${(server.address() as AddressInfo).port}`;
  const models = await Promise.all([
    Pets.load(ort, { bytes }),
    Pets.load(ort, { bytes: new Uint8Array(bytes).buffer }),
    Pets.load(ort, { path }),
    Pets.load(ort, { url: pathToFileURL(path) }),
    Pets.load(ort, { url: pathToFileURL(path).href }),
    Pets.load(ort, { url: `${address}/model.onnx` }),
    Pets.load(ort, { url: new URL('/model.onnx', address) }),
  ]);
  for (const model of models) {
    const results = await model.classify(new ort.Tensor('float32', flat(0.1, 0.9), [2, 3, 2, 2]));
    assert.equal(
      results.map((r) => r.exit),
      [2, 0],
    );
    await model.release();
  }
  const absent = `${address}/absent.onnx`;
  assert.is(await rejection(Pets.load(ort, { url: absent })), `could not fetch ${absent}: 404 Not Found`);
  server.close();
});

test('paths of URLs are those of Node', () => {
  for (const path of ['/a b/ü%23.onnx', '/x#?y'])
    assert.is(pathOrUrl(pathToFileURL(path)), fileURLToPath(pathToFileURL(path)), path);
  assert.is(pathOrUrl(new URL('file:///C:/a/b.onnx')), 'C:/a/b.onnx');
  assert.is(pathOrUrl(new URL('file://server/share/b.onnx')), '//server/share/b.onnx');
  assert.is(pathOrUrl(new URL('https://a.org/b%20c.onnx')), 'https://a.org/b%20c.onnx');
});

test('calls that overlap are answered each by itself, in order', async () => {
  const { Pets } = await pets;
  const model = await Pets.load(ort);
  const order: number[] = [];
  const values = Array.from({ length: 40 }, (_, i) => i / 40);
  const results = await Promise.all(
    values.map(async (value, i) => {
      const [r] = await model.classify(flat(value), { thresholds: [value - 0.01, 1] });
      order.push(i);
      return r;
    }),
  );
  results.forEach((r, i) => {
    assert.ok(Math.abs(r.confidence - values[i]!) < 1e-6);
    assert.is(r.exit, 0);
  });
  assert.equal(order, [...values.keys()]);
  await model.release();
});

test('a run that fails does not stop those behind it', async () => {
  let fails = true;
  const session = {
    run: async () => {
      if (fails) throw new Error('out of memory');
      return {};
    },
    release: async () => {},
  };
  const turns = new Turns(session as never, 'Pets');
  const failing = rejection(turns.run({}, []));
  const next = turns.run({}, []).catch(() => 'failed');
  assert.is(await failing, 'out of memory');
  assert.is(await next, 'failed');
  fails = false;
  assert.equal(await turns.run({}, []), {});
});

test('release lets running calls finish and refuses new ones', async () => {
  const { Pets } = await pets;
  const model = await Pets.load(ort);
  const running = [model.classify(flat(0.9)), model.classify(flat(0.1, 0.9))];
  const released = [model.release(), model.release()];
  assert.is(await rejection(model.classify(flat(1))), 'this Pets has been released');
  assert.equal(
    (await Promise.all(running)).map((results) => results.map((r) => r.exit)),
    [[0], [2, 0]],
  );
  await Promise.all(released);
  await model.release();
  assert.is(await rejection(model.classify(flat(1))), 'this Pets has been released');
});

test('misuse is told clearly', async () => {
  const { Pets } = await pets;
  const model = await Pets.load(ort);
  const wanted = 'input "pixels": float32 [N, 3, 2, 2]';
  assert.is(
    await rejection(model.classify(new Float32Array(13))),
    `${wanted} takes a multiple of 12 elements, got 13`,
  );
  const wrong = new ort.Tensor('float32', new Float32Array(12), [3, 2, 2]);
  assert.is(await rejection(model.classify(wrong)), `${wanted} expected, got a float32 tensor of [3, 2, 2]`);
  for (const [value, kind] of [
    [new Float64Array(12), 'Float64Array'],
    [undefined, 'Undefined'],
    [3, 'Number'],
  ])
    assert.is(await rejection(model.classify(value as never)), `${wanted} expected, got ${kind}`);
  const half = new ort.Tensor('float64', new Float64Array(12), [1, 3, 2, 2]);
  assert.is(
    await rejection(model.classify(half)),
    `${wanted} expected, got a float64 tensor of [1, 3, 2, 2]`,
  );
  const gap = flat(1, 1);
  gap[17] = Number.NaN;
  assert.is(await rejection(model.classify(gap)), 'input "pixels": element 17 is NaN');
  const tensor = new ort.Tensor('float32', gap, [2, 3, 2, 2]);
  assert.is(await rejection(model.classify(tensor)), 'input "pixels": element 17 is NaN');
  for (const infinity of [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    gap[17] = infinity;
    assert.is(await rejection(model.classify(gap)), `input "pixels": element 17 is ${infinity}`);
  }
  // Their sum is no number either.
  gap[3] = Number.POSITIVE_INFINITY;
  assert.is(await rejection(model.classify(gap)), 'input "pixels": element 3 is Infinity');
  const overflow = 'its scores overflow; its values are larger than the model can compute with';
  const huge = flat(1, 3e38, 1);
  assert.is(await rejection(model.classify(huge)), `sample 1: ${overflow}`);
  assert.is(model.statistics.samples, 0, 'what was refused is not counted');
  assert.is((await model.classify(flat(1e30))).length, 1, 'large numbers are numbers');
  model.statistics.reset();
  const at = (name: string) => rejection(model.classify(flat(1), { at: name as 'fast' }));
  assert.is(await at('quick'), 'no operating point "quick"; there are fast, balanced, exact');
  assert.is(await at('toString'), 'no operating point "toString"; there are fast, balanced, exact');
  const thresholds = 'thresholds: 2 numbers, one an exit, expected';
  const short = { thresholds: [0.5] } as never;
  assert.is(await rejection(model.classify(flat(1), short)), `${thresholds}, got [0.5]`);
  assert.is(
    await rejection(model.classify(flat(1), { thresholds: [0.5, Number.NaN] })),
    `${thresholds}, got [0.5, NaN]`,
  );
  const cheapest = 'no operating point costs as little; the cheapest is "fast", 0.5';
  for (const budget of [0.4, -1, Number.NaN])
    assert.is(await rejection(model.classify(flat(1), { budget })), `budget ${budget}: ${cheapest}`);
  const both = { at: 'fast', budget: 0.5 } as never;
  assert.is(await rejection(model.classify(flat(1), both)), 'at, budget and thresholds exclude each other');
  await model.release();
});

test('no samples get an empty list, and are not counted', async () => {
  const { Pets } = await pets;
  const model = await Pets.load(ort);
  const nothing = new ort.Tensor('float32', new Float32Array(0), [0, 3, 2, 2]);
  for (const none of [[], new Float32Array(0), nothing])
    assert.equal(await model.classify(none), [] as object as Awaited<ReturnType<typeof model.classify>>);
  assert.is(model.statistics.samples, 0);
  await model.release();
  assert.match(await rejection(model.classify([])), 'has been released');
});

test('memory that threads share is an input like any other', async () => {
  const { Pets } = await pets;
  const bytes = new Uint8Array(new SharedArrayBuffer(pretender({ batch: 'N' }).length));
  bytes.set(pretender({ batch: 'N' }));
  const values = new Float32Array(new SharedArrayBuffer(4 * 12)).fill(0.5);
  const picture = { data: new Uint8Array(new SharedArrayBuffer(12)).fill(7), width: 2, height: 2 };
  for (const source of [{}, { bytes }, { bytes: bytes.buffer }]) {
    const model = await Pets.load(ort, source);
    const expected = await model.classify(flat(0.5));
    assert.equal(await model.classify(values), expected);
    const tensor = new ort.Tensor('float32', values, [1, 3, 2, 2]);
    assert.equal(await model.classify(tensor), expected);
    const plain = { ...picture, data: new Uint8Array(12).fill(7) };
    assert.equal(await model.classify(picture), await model.classify(plain));
    await model.release();
  }
});

test('statistics that are logged show their numbers', async () => {
  const { Pets } = await pets;
  const model = await Pets.load(ort);
  await model.classify(flat(0.5, 0.9));
  const shown = {
    samples: 2,
    counts: model.statistics.counts,
    meanRelativeCost: model.statistics.meanRelativeCost,
  };
  assert.is(inspect(model.statistics), inspect({ ...shown, drift: undefined }));
  assert.equal(JSON.parse(JSON.stringify({ statistics: model.statistics })), { statistics: shown });
  await model.release();
});

test('in a CommonJS bundle the package says what to pass, and takes it', async () => {
  await pets;
  const program = join(root, 'program.mjs');
  const model = pathToFileURL(join(root, 'pets/model.onnx')).href;
  writeFileSync(
    program,
    `import * as ort from 'onnxruntime-node';
    import Pets from './pets/index.js';
    const say = (error) => console.log(error.message);
    Pets.load(ort).catch(say)
      .then(() => Pets.load(ort, { url: ${JSON.stringify(model)} }))
      .then((model) => model.classify(new Float32Array(12)))
      .then((results) => console.log(results.length), say);`,
  );
  const bundle = join(root, 'program.cjs');
  await build({
    entryPoints: [program],
    outfile: bundle,
    bundle: true,
    format: 'cjs',
    platform: 'node',
    external: ['onnxruntime-node'],
    nodePaths: [MODULES],
    logLevel: 'silent',
  });
  const { stdout } = await promisify(execFile)(process.execPath, [bundle], {
    env: { ...process.env, NODE_PATH: MODULES },
  });
  const [refused, results] = stdout.trim().split('\n');
  assert.match(
    refused!,
    /^Pets does not know where its model.onnx is: .*load\(ort, \{ url \}\), \{ path \} or \{ bytes \}$/,
  );
  assert.is(results, '1');
});

test('pictures that are none are told apart', async () => {
  const { Pets } = await install('strict', { ...SAMPLE, preprocessing: STRICT }, pretender({ batch: 'N' }));
  const model = await Pets.load(ort);
  const good = { data: new Uint8Array(12), width: 2, height: 2 };
  const complaint = (picture: unknown) => rejection(model.classify(picture as Pets.Picture));
  assert.is(
    await complaint({ ...good, data: new Uint8Array(12), channels: 4 }),
    'picture 0: 12 bytes are not 2 x 2 pixels of 4 channels',
    'half an RGBA picture is as long as an RGB one',
  );
  for (const size of [
    { width: 1.5, height: 2 },
    { width: 3, height: Number.NaN },
  ])
    assert.match(
      await complaint({ ...good, ...size, data: new Uint8Array(9) }),
      'picture 0: 9 bytes are not',
    );
  assert.is(
    await complaint([good, { ...good, data: new Uint8Array(13) }]),
    'picture 1: 13 bytes are not 2 x 2 pixels of RGBA, RGB or gray',
  );
  assert.is(
    await complaint({ ...good, width: 0, height: 0 }),
    'picture 0: 12 bytes are not 0 x 0 pixels of RGBA, RGB or gray',
  );
  assert.is(
    await complaint({ data: new Uint8Array(24), width: 2, height: 3 }),
    'picture 0: 2 x 2 pixels expected, got 2 x 3; this model was compiled without --resize',
  );
  const expected = 'picture 0: { data, width, height } with 8-bit data expected';
  for (const none of [{ width: 2, height: 2 }, { ...good, data: flat(1) }, [flat(1)]])
    assert.is(await complaint(none), expected);
  assert.is(await complaint([1]), `${expected}, got 1`);
  assert.is((await model.classify([good, good])).length, 2);
  await model.release();
});

test('another model is refused', async () => {
  const { Pets } = await install('another', SAMPLE, pretender({ batch: 'N', baked: true }));
  assert.is(await rejection(Pets.load(ort)), 'this is not the model of Pets: it has no thresholds');
});

test('fixed batch takes exactly one sample', async () => {
  const manifest: Manifest = {
    ...SAMPLE,
    batch: 'fixed',
    inputs: [{ name: 'pixels', dataType: 'float', dims: [1, 3, 2, 2] }],
  };
  const { Pets } = await install('fixed', manifest, pretender({ batch: 1 }));
  const model = await Pets.load(ort);
  assert.equal(
    (await model.classify(flat(0.68))).map((r) => r.exit),
    [1],
  );
  const message = 'input "pixels": float32 [1, 3, 2, 2] takes 12 elements, got 24';
  assert.is(await rejection(model.classify(flat(0.1, 0.2))), message);
  const picture = { data: new Uint8Array(12), width: 2, height: 2 };
  assert.is((await model.classify(picture)).length, 1);
  const two = [picture, picture] as never;
  assert.is(await rejection(model.classify(two)), '1 expected, got 2');
  await model.release();
});

test('of a chain a result says which network answered, and counts what earlier ones cost', async () => {
  const { Pets } = await install('chain', CHAIN, pretender({ batch: 'N' }));
  const model = await Pets.load(ort);
  const told = async (thresholds: readonly [number, number]) =>
    (await model.classify(flat(0.9, 0.5, 0.1), { thresholds })).map((r) => [
      r.exitId,
      Reflect.get(r, 'network'),
      r.relativeCost,
    ]);
  // kitten 200 of 1000 MACs; then pets to 500 and a head of 20; then pets to its end.
  assert.equal(await told([0.7, 0.3]), [['exit_1', 'first_1', 0.2], ['exit_2', 'original', 0.72], ['full', 'original', 1.22]]); // biome-ignore format: a table
  // kitten is closed: it is not run, and costs nothing.
  assert.equal(await told([1, 0.3]), [['exit_2', 'original', 0.52], ['exit_2', 'original', 0.52], ['full', 'original', 1.02]]); // biome-ignore format: a table
  assert.equal(await told([0.3, 1]), [['exit_1', 'first_1', 0.2], ['exit_1', 'first_1', 0.2], ['full', 'original', 1.2]]); // biome-ignore format: a table
  await model.release();
});

test('baked thresholds need no choice', async () => {
  const manifest = { ...SAMPLE, outputs: { ...SAMPLE.outputs, thresholds: null } };
  const { Pets } = await install('baked', manifest, pretender({ batch: 'N', baked: true }));
  const model = await Pets.load(ort);
  assert.equal(
    (await model.classify(flat(0.68, 0.9))).map((r) => r.exit),
    [1, 0],
  );
  assert.equal(Object.keys(model.operatingPoints), ['balanced']);
  assert.equal(model.statistics.counts, [1, 1, 0]);
  assert.not.ok('governor' in model);
  await model.release();
});

test('several inputs, and float16 in and out', async () => {
  const manifest: Manifest = {
    ...SAMPLE,
    inputs: [...SAMPLE.inputs, { name: 'bias', dataType: 'float16', dims: ['N', 3] }],
    outputs: { ...SAMPLE.outputs, dataType: 'float16' },
  };
  const { Pets } = await install('half', manifest, pretender({ batch: 'N', half: true }));
  const model = await Pets.load(ort);
  const classify = (bias: unknown) => model.classify({ pixels: flat(0, 0), bias } as never);
  const values = [1.5, -2, 2 ** -20, -65504, 65504, 0];
  const bits = toHalf(Float32Array.from(values));
  const numbers = Reflect.get(globalThis, 'Float16Array') as Float32ArrayConstructor | undefined;
  const given = [bits, new ort.Tensor('float16', bits, [2, 3]), ...(numbers ? [numbers.from(values)] : [])];
  for (const bias of given) {
    const results = await classify(bias);
    assert.equal(
      results.flatMap((r) => [...r.scores]),
      values,
    );
    assert.equal(
      results.map((r) => r.index),
      [0, 1],
    );
  }
  for (const value of [Number.POSITIVE_INFINITY, Number.NaN]) {
    const bad = [1, 1, 1, 1, value, 1];
    const said = `input "bias": element 4 is ${value}`;
    for (const bias of [toHalf(Float32Array.from(bad)), ...(numbers ? [numbers.from(bad)] : [])])
      assert.is(await rejection(classify(bias)), said);
  }
  const overflow = { pixels: flat(6e4, 0), bias: toHalf(new Float32Array(6)) };
  assert.match(await rejection(model.classify(overflow as never)), 'sample 0: its scores overflow');
  const message = 'the inputs hold different numbers of samples: pixels, bias have 2, 1';
  assert.is(await rejection(classify(new Uint16Array(3))), message);
  await model.release();
});

const LAYOUTS = ['NCHW', 'NHWC'] as const;

/** Pictures of several sizes and kinds as files, and as an app has them. */
async function drawn(folder: string, sizes: readonly (readonly [width: number, height: number])[]) {
  const pictures: Pets.Picture[] = [];
  for (const [i, [width, height]] of sizes.entries()) {
    for (const channels of [1, 3, 4] as const) {
      const data = pixels(width * height * channels, 10 * i + channels);
      await putImage(join(folder, 'k', `${i}-${channels}.png`), data, [height, width, channels]);
      pictures.push({ data: channels === 4 ? new Uint8ClampedArray(data) : data, width, height });
    }
  }
  return pictures;
}

for (const resize of [undefined, 'stretch', 'cover', 'contain'] as const) {
  test(`pictures become what the compiler made of them, bit by bit: ${resize ?? 'same size'}`, async () => {
    const folder = freshFolder();
    const same = [
      [7, 5],
      [7, 5],
    ] as const;
    const other = [
      [7, 5],
      [3, 4],
      [20, 9],
      [9, 31],
      [1, 1],
      [64, 2],
    ] as const;
    const pictures = await drawn(folder, resize ? other : same);
    for (const channels of ['rgb', 'bgr', 'gray'] as const) {
      for (const layout of resize === 'stretch' || resize === 'contain' ? [LAYOUTS[0]] : LAYOUTS) {
        const count = channels === 'gray' ? 1 : 3;
        const dims = layout === 'NCHW' ? [count, 5, 7] : [5, 7, count];
        const given = { preset: channels === 'gray' ? 'mnist' : 'imagenet', channels, layout } as const;
        const data = await openAt(folder, input(...dims), { ...given, ...(resize && { resize }) });
        const { preprocess } = await install(
          `${resize}-${layout}-${channels}`,
          {
            ...SAMPLE,
            inputs: [{ name: 'pixels', dataType: 'float', dims: ['N', ...dims] }],
            preprocessing: data.preprocessing,
          },
          new Uint8Array(),
        );
        const expected = await data.read([...pictures.keys()]);
        assert.is(expected.length, pictures.length * count * 35);
        assert.equal(preprocess(pictures), expected, `${layout} ${channels}`);
        assert.equal(preprocess(pictures[4]!), await data.read([4]), 'one picture');
        await data.close();
      }
    }
  });
}

test('pictures are classified as their preprocessed values are', async () => {
  const { Pets, preprocess } = await pets;
  const model = await Pets.load(ort);
  const list = [1, 2, 3].map((seed) => ({ data: pixels(4 * 6 * seed, seed), width: 6, height: seed }));
  assert.equal(await model.classify(list), await model.classify(preprocess(list)));
  assert.equal(await model.classify(list[1]!), await model.classify(preprocess(list).subarray(12, 24)));
  await model.release();
});

test('statistics count every answer, and say when exits are no longer those that were measured', async () => {
  const { Pets } = await pets;
  const model = await Pets.load(ort);
  await model.classify(flat(0.2, 0.68, 0.9, 0.3), { at: 'balanced' });
  await model.classify(flat(0.2), { thresholds: [0.1, 0.1] });
  assert.equal(model.statistics.counts, [2, 1, 2]);
  const spent = 2 * 0.353 + SAMPLE.exits[1]!.relativeCost + 2 * 1.04;
  assert.ok(Math.abs(model.statistics.meanRelativeCost - spent / 5) < 1e-12);
  await model.classify(flat(...Array(990).fill(0.9)), { budget: 0.6 });
  assert.is(model.statistics.drift, undefined);
  await model.classify(flat(...Array(10).fill(0.9)));
  const drift = model.statistics.drift!;
  assert.equal(drift.observed, [1000, 0, 0]);
  assert.ok(drift.alarm && drift.pValue < 1e-9);
  model.statistics.reset();
  assert.is(model.statistics.samples, 0);
  await model.release();
});

test('a governor keeps the average cost at its target', async () => {
  const { Pets } = await pets;
  const model = await Pets.load(ort);
  const governor = model.governor({ targetRelativeCost: 0.65, slowest: 'balanced', window: 200 });
  assert.is(governor.at, 'fast');
  const next = noise(8000, 3).map((value) => (value + 1) / 2);
  let sum = 0;
  const visited = new Set<string>();
  for (let from = 0; from < next.length; from += 16) {
    visited.add(governor.at);
    const results = await governor.classify(flat(...next.slice(from, from + 16)));
    for (const { relativeCost } of results) sum += relativeCost;
  }
  assert.ok(Math.abs(sum / next.length / 0.65 - 1) < 0.05, `${sum / next.length}`);
  assert.ok(Math.abs(governor.average / 0.65 - 1) < 0.2);
  assert.equal([...visited].sort(), ['balanced', 'fast']);
  assert.is(model.statistics.samples, next.length);

  const hurried = model.governor({ targetLatencyMs: 1e-6, window: 16 });
  for (let call = 0; call < 8; call++) await hurried.classify(flat(0.5));
  assert.is(hurried.at, 'fast');
  assert.ok(hurried.average > 1e-6);
  assert.throws(() => model.governor({ targetRelativeCost: -1 }), RangeError);
  await model.release();
});

test('the example of the README runs in a project that has the package', async () => {
  await pets;
  const project = join(root, 'project');
  const modules = join(project, 'node_modules');
  mkdirSync(modules, { recursive: true });
  symlinkSync(join(root, 'pets'), join(modules, 'pets'));
  symlinkSync(
    fileURLToPath(new URL('../../node_modules/onnxruntime-node', import.meta.url)),
    join(modules, 'onnxruntime-node'),
  );
  const example = emitPackage(SAMPLE)
    .get('README.md')!
    .match(/In Node[\s\S]*?```js\n([\s\S]*?)```/)![1]!;
  writeFileSync(join(project, 'example.mjs'), example);
  const { stdout } = await promisify(execFile)(process.execPath, ['example.mjs'], {
    cwd: project,
    env: { ...process.env, FORCE_COLOR: '0' },
  });
  assert.match(stdout, /^(cat|dog|cow's calf) 0\.\d+ full 1\.04\n$/);
});

test.run();
