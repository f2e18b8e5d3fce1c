/** Students of what is no picture, through whole compiles: vectors, signals, and texts in all the ways that models take them. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { calibrate } from '../../src/commands/calibrate.ts';
import { type CompileOptions, compile } from '../../src/commands/compile.ts';
import { evaluate } from '../../src/commands/evaluate.ts';
import { planCompile } from '../../src/commands/plan.ts';
import { makeModel } from '../../src/graph/builder.ts';
import { elementCount, numberTensor, toNumbers } from '../../src/graph/tensor.ts';
import { DATA_TYPES, type Model, type Tensor } from '../../src/graph/types.ts';
import { Tensor as Fed, withSession } from '../../src/ort/session.ts';
import { loadModel, serializeModel } from '../../src/parser/index.ts';
import { NetBuilder, noise } from '../models.ts';
import { assertSamePackage, manifestIn } from '../timeless.ts';
import { writeWithExternalData } from '../tiny-project.ts';

const test = suite('compile: students of other inputs');
const folder = mkdtempSync(join(tmpdir(), 'offramp-kinds-'));
const at = (name: string) => join(folder, name);
test.after(() => rmSync(folder, { recursive: true, force: true }));

const CLASSES = 3;
/** Of words that are few, but whose embedding is large enough to be kept once. */
const [LENGTH, WORDS, WIDTH] = [10, 70, 32];

interface Kind {
  readonly name: string;
  readonly write: (b: NetBuilder) => string;
  readonly inputs: Readonly<Record<string, readonly number[]>>;
  readonly dataType?: 'int64' | 'int32';
  readonly family?: CompileOptions['studentFamily'];
  /** Of axes that the file leaves open. */
  readonly dims?: CompileOptions['dims'];
  /** What the student takes of the original as it is. */
  readonly isShared?: boolean;
}

const hidden = (b: NetBuilder, x: string, name: string, from: number, to: number) =>
  b.op('Relu', [b.op('Gemm', [x, b.weight(`${name}.weight`, [to, from], 1.5)], { transB: 1 })], {}, name);

/** Three hidden layers wide enough that a student is a small part of them. */
function classified(b: NetBuilder, x: string, from: number): string {
  const units = 128;
  const last = hidden(
    b,
    hidden(b, hidden(b, x, 'fc1', from, units), 'fc2', units, units),
    'fc3',
    units,
    units,
  );
  return b.op('Gemm', [last, b.weight('fc4.weight', [CLASSES, units], 8)], { transB: 1 }, 'scores');
}

function convolved(b: NetBuilder): string {
  const conv = (x: string, name: string, from: number, strides: number[]) =>
    b.op('Relu', [
      b.op('Conv', [x, b.weight(name, [64, from, 3], 1.5)], { kernel_shape: [3], pads: [1, 1], strides }),
    ]);
  const x = conv(conv(b.input('signal', 'float', ['N', 2, 64]), 'conv1', 2, [2]), 'conv2', 64, [2]);
  return classified(b, b.op('Flatten', [b.op('GlobalAveragePool', [x])]), 64);
}

interface Words {
  readonly type?: 'int64' | 'int32';
  readonly hasMask?: boolean;
  readonly hasTypes?: boolean;
  readonly isQuantised?: boolean;
  readonly length?: number | string;
}

/** The sum of the embedded words that the mask counts, or, without one, of those that are not 0. */
function read(b: NetBuilder, of: Words): string {
  const { type = 'int64', hasMask = true, hasTypes = false, length = LENGTH } = of;
  const input = (name: string) => b.input(name, type, ['N', length]);
  const ids = input('input_ids');
  let x = b.op('Gather', [of.isQuantised ? codes(b) : b.weight('words', [WORDS, WIDTH], 4), ids]);
  if (hasTypes)
    x = b.op('Add', [x, b.op('Gather', [b.weight('types', [2, WIDTH]), input('token_type_ids')])]);
  const isWord = b.op('Cast', [hasMask ? input('attention_mask') : ids], { to: DATA_TYPES.indexOf('bool') });
  const counts = b.op('Unsqueeze', [b.op('Cast', [isWord], { to: 1 }), b.int64([1])]);
  return classified(b, b.op('Reshape', [b.op('MatMul', [counts, x]), b.int64([-1, WIDTH])]), WIDTH);
}

const codes = (b: NetBuilder): string => {
  const numbers = Array.from(noise(WORDS * WIDTH, 9), (v) => Math.round(127 * v));
  const table = b.initializer({ ...numberTensor('words', 'int8', [WORDS, WIDTH], numbers)!, name: 'words' });
  return b.op('DequantizeLinear', [table, b.float(0.02)]);
};

const IDS = { input_ids: [LENGTH] };
const TEXT = { ...IDS, attention_mask: [LENGTH] };
const KINDS: readonly Kind[] = [
  { name: 'vectors', write: (b) => classified(b, b.input('x', 'float', ['N', 20]), 20), inputs: { x: [20] }, family: 'mlp' },
  { name: 'signals', write: convolved, inputs: { signal: [2, 64] }, family: 'wide' },
  { name: 'texts', write: (b) => read(b, {}), inputs: TEXT, isShared: true },
  { name: 'texts, convolved', write: (b) => read(b, {}), inputs: TEXT, family: 'conv', isShared: true },
  { name: 'texts of int32 without a mask', write: (b) => read(b, { type: 'int32', hasMask: false }), dataType: 'int32', inputs: IDS, isShared: true },
  { name: 'texts with types', write: (b) => read(b, { hasTypes: true }), inputs: { ...TEXT, token_type_ids: [LENGTH] }, isShared: true },
  { name: 'texts whose embedding is quantised', write: (b) => read(b, { isQuantised: true }), inputs: TEXT },
  { name: 'texts of any length', write: (b) => read(b, { length: 'length' }), inputs: TEXT, dims: { length: LENGTH }, isShared: true },
]; // biome-ignore format: a table

function modelOf({ write }: Kind): Model {
  const b = new NetBuilder(5);
  b.output(write(b), 'float', ['N', CLASSES]);
  return makeModel(b.build('kind'));
}

type Sample = Readonly<Record<string, readonly number[]>>;

/** Words, of which a mask counts the first; else numbers. */
function samples({ inputs }: Kind, count: number, seed: number): Sample[] {
  const random = noise(count * 200, seed);
  let next = 0;
  const below = (most: number) => Math.floor(((random[next++]! + 1) / 2) * most) % most;
  return Array.from({ length: count }, () => {
    const words = 3 + below(LENGTH - 2);
    const one = (name: string, i: number) => {
      if (name === 'attention_mask') return Number(i < words);
      if (name === 'token_type_ids') return Number(i > words / 2);
      return i < words ? 1 + below(WORDS - 1) : 0;
    };
    const valuesOf = (name: string, dims: readonly number[]) =>
      Array.from({ length: elementCount(dims) }, (_, i) =>
        'input_ids' in inputs ? one(name, i) : random[next++]!,
      );
    return Object.fromEntries(Object.entries(inputs).map(([name, dims]) => [name, valuesOf(name, dims)]));
  });
}

function feedsOf({ inputs, dataType }: Kind, some: readonly Sample[]) {
  const isText = 'input_ids' in inputs;
  return Object.fromEntries(
    Object.entries(inputs).map(([name, dims]) => {
      const values = some.flatMap((sample) => sample[name]!);
      const shape = [some.length, ...dims];
      if (!isText) return [name, new Fed('float32', Float32Array.from(values), shape)];
      if (dataType === 'int32') return [name, new Fed('int32', Int32Array.from(values), shape)];
      return [name, new Fed('int64', BigInt64Array.from(values, BigInt), shape)];
    }),
  );
}

/** Writes the samples of every split, labelled by the original at `model`; returns what a compile of it needs. */
async function project(kind: Kind, model: string, out: string): Promise<CompileOptions> {
  const fileOf = (split: string) => at(`${out}-${split}.jsonl`);
  await withSession(model, { threads: 1 }, async (session) => {
    for (const [split, count] of Object.entries({ train: 300, calibration: 120, test: 80 })) {
      const drawn = samples(kind, count, count);
      const scores = (await session.run(feedsOf(kind, drawn))).scores!.data as Float32Array;
      const lines = drawn.map((sample, n) => {
        const row = [...scores.subarray(CLASSES * n, CLASSES * (n + 1))];
        return JSON.stringify({ ...sample, label: row.indexOf(Math.max(...row)) });
      });
      writeFileSync(fileOf(split), lines.join('\n'));
    }
  });
  return {
    model,
    train: fileOf('train'),
    calibration: fileOf('calibration'),
    test: fileOf('test'),
    student: [0.6],
    ...(kind.family && { studentFamily: kind.family }),
    ...(kind.dims && { dims: kind.dims }),
    steps: 12,
    keepAll: true,
    out: at(out),
    cache: at('cache'),
    threads: 1,
    report: false,
    timing: false,
  };
}

/** Tensors of [WORDS, WIDTH] in the main graph of the compiled model. */
const tablesIn = async (out: string): Promise<readonly Tensor[]> =>
  (await loadModel(at(`${out}/model.onnx`))).model.graph.initializers.filter(
    ({ dims }) => `${dims}` === `${[WORDS, WIDTH]}`,
  );

for (const [i, kind] of KINDS.entries())
  test(`${kind.name}: grown, placed in front, evaluated and calibrated again`, async () => {
    const out = `out${i}`;
    const model = at(`${out}.onnx`);
    writeFileSync(model, serializeModel(modelOf(kind)));
    const options = await project(kind, model, out);
    await planCompile(options);
    await compile(options);
    const manifest = manifestIn(at(out));
    const { family, training } = manifest.networks![0]!.grown!;
    assert.is(family, kind.family ?? 'bag');
    assert.is(training!.stoppedAt, 12);
    assert.equal(
      manifest.exits.map(({ head, network }) => [head, network]),
      [['end', 0]],
    );
    const inFile = (await loadModel(at(`${out}/student_1.onnx`))).model.graph;
    assert.is(
      inFile.initializers.some(({ name }) => name.endsWith('embedding/table')),
      kind.isShared ?? false,
    );
    if (kind.isShared) assert.is((await tablesIn(out)).length, 1, 'the embedding is there once');

    const drawn = samples(kind, 20, 7);
    const feeds = feedsOf(kind, drawn);
    const own = Object.fromEntries(inFile.inputs.map(({ name }) => [name, feeds[name]!]));
    const alone = await withSession(at(`${out}/student_1.onnx`), { threads: 1 }, (s) => s.run(own));
    const open = new Fed('float32', Float32Array.of(-1), [1]);
    const emitted = await withSession(at(`${out}/model.onnx`), { threads: 1 }, (s) =>
      s.run({ ...feeds, thresholds: open }),
    );
    const scores = emitted.scores!.data as Float32Array;
    (alone.logits!.data as Float32Array).forEach((v, k) => {
      assert.ok(Math.abs(v - scores[k]!) < 1e-5 * Math.max(1, Math.abs(v)), `${v} ${scores[k]}`);
    });

    const { test: reported, calibration, cache, threads } = options;
    const again = { folder: at(out), cache: cache!, threads: threads! };
    const { sameData, largestDifference } = await evaluate({ ...again, test: reported! });
    assert.ok(sameData && largestDifference < 1e-9, `${largestDifference}`);
    const data = { calibration: calibration!, test: reported! };
    await calibrate({ ...again, model, ...data, out: at(`${out}-again`), report: false, timing: false });
    assertSamePackage(at(`${out}-again`), at(out));
  });

test('an embedding in a file beside the model is read from there', async () => {
  const kind = KINDS.find(({ name }) => name === 'texts')!;
  const plain = modelOf(kind);
  const model = at('beside.onnx');
  writeWithExternalData(plain, model);
  await compile(await project(kind, model, 'beside'));
  const { initializers } = (await loadModel(at('beside/student_1.onnx'))).model.graph;
  const table = initializers.find(({ name }) => name.endsWith('embedding/table'))!;
  const words = plain.graph.initializers.find(({ name }) => name === 'words')!;
  assert.equal(toNumbers(table), toNumbers(words));
});

test.run();
