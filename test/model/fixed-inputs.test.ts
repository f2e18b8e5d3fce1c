/** What options fix about a model's inputs: sizes of their dimensions, values that become constants, and inputs without a batch. */
import { cpSync, writeFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { calibrate } from '../../src/commands/calibrate.ts';
import { compare } from '../../src/commands/compare.ts';
import { compile } from '../../src/commands/compile.ts';
import { inspect } from '../../src/commands/inspect.ts';
import { planCompile } from '../../src/commands/plan.ts';
import { GraphBuilder, makeModel } from '../../src/graph/builder.ts';
import { elementCount, floatTensor } from '../../src/graph/tensor.ts';
import type { DataType, Dim, Model } from '../../src/graph/types.ts';
import { inspectFile } from '../../src/model/inspect.ts';
import { observeFacts } from '../../src/model/observe-facts.ts';
import { withSession } from '../../src/ort/session.ts';
import { serializeModel } from '../../src/parser/index.ts';
import { runCli } from '../cli-in-process.ts';
import { rejectsWith } from '../expect.ts';
import { noise } from '../models.ts';
import { assertSamePackage, manifestIn } from '../timeless.ts';
import { tinyProject } from '../tiny-project.ts';

const test = suite('fixed inputs');
const { folder, at, remove } = tinyProject('inputs');

/** Three layers of 8, divided by an input `temperature` of `dataType` and `dims`. */
function tempered(dataType: DataType = 'float', dims: readonly Dim[] = []): Model {
  const b = new GraphBuilder();
  let x = b.input('x', 'float', ['N', 8]);
  const temperature = b.input('temperature', dataType, dims);
  for (const i of [1, 2, 3]) {
    const weight = b.initializer(floatTensor(`w${i}`, [8, 8], noise(64, i)));
    x = b.op('MatMul', [x, weight], {}, `layer${i}`);
    if (i < 3) x = b.op('Relu', [x]);
  }
  const divisor = dataType === 'float' ? temperature : b.op('Cast', [temperature], { to: 1 });
  b.output(b.op('Div', [x, divisor], {}, 'scores'), 'float', ['N', 8]);
  return makeModel(b.build('tempered'));
}

const save = (model: Model, name = 'net.onnx') => {
  writeFileSync(at(name), serializeModel(model));
  return at(name);
};

test.after(remove);

test('an input that is not for each sample is named by inspect, and refused before any work', async () => {
  const model = save(tempered());
  const ran = await runCli(folder, ['inspect', model]);
  assert.is(ran.status, 0, ran.stderr);
  assert.match(
    ran.stdout,
    'input temperature (float []) is not an input for each sample: --set temperature=VALUE',
  );
  const options = { model, train: 'random:64', out: at('out'), cache: at('cache') };
  for (const run of [compile, planCompile]) {
    const error = await rejectsWith('input-not-per-sample', () => run(options));
    assert.match(error.hint, '`set: { temperature: VALUE }`');
  }
});

test('--set makes it a constant: the emitted model lacks it, the manifest has it, and calibrate repeats it', async () => {
  const model = save(tempered());
  const options = {
    model,
    train: 'random:64',
    cache: at('cache'),
    threads: 1,
    epochs: 1,
    report: false,
    timing: false,
    set: { temperature: 4 },
  };
  const { manifest } = await compile({ ...options, out: at('set') });
  assert.equal(manifest.source.set, { temperature: 4 });
  assert.equal(
    manifest.inputs.map(({ name }) => name),
    ['x'],
  );
  await withSession(at('set/model.onnx'), {}, async ({ inputMetadata }) =>
    assert.equal(
      inputMetadata.map(({ name }) => name),
      ['x', 'thresholds'],
    ),
  );
  // The plain side is read as it was compiled; with other options it is another model.
  const asCompiled = await compare({
    a: at('set'),
    b: model,
    test: 'random:40',
    at: ['exact'],
    cache: at('cache'),
  });
  assert.is(asCompiled.agreement, 1);
  await rejectsWith('input-not-per-sample', () =>
    compare({ a: model, b: model, test: 'random:40', cache: at('cache') }),
  );
  const alone = { a: model, b: model, test: 'random:40', set: { temperature: 2 }, cache: at('cache') };
  assert.is((await compare(alone)).agreement, 1);
  cpSync(at('set'), at('again'), { recursive: true });
  await calibrate({
    folder: at('again'),
    model,
    train: 'random:64',
    cache: at('cache'),
    report: false,
    timing: false,
  });
  assertSamePackage(at('again'), at('set'));
  assert.equal(manifestIn(at('again')).source.set, { temperature: 4 });
  // What is kept of a model is kept apart for other values.
  const [four, two] = await Promise.all(
    [4, 2].map((temperature) => inspectFile({ model, set: { temperature } })),
  );
  assert.is.not(four!.hash, two!.hash);
});

test('one value fills the shape, several are its elements; what does not fit is refused', async () => {
  const model = save(tempered('float', [8]), 'vector.onnx');
  const valuesOf = async (set: Record<string, number | number[]>) => {
    const { typed } = await inspectFile({ model, set });
    const { bytes } = typed.model.graph.initializers.find((t) => t.name === 'temperature')!;
    return [...new Float32Array(Uint8Array.from(bytes).buffer)];
  };
  assert.equal(await valuesOf({ temperature: 3 }), Array(8).fill(3));
  const each = [1, 2, 3, 4, 5, 6, 7, 8.5];
  assert.equal(await valuesOf({ temperature: each }), each);
  const few = await rejectsWith('bad-input-value', () => valuesOf({ temperature: [1, 2] }));
  assert.match(few.message, '2 values, where 8 are needed');
  await rejectsWith('unknown-input', () => valuesOf({ temprature: 1 }));
  const whole = save(tempered('int64'), 'whole.onnx');
  await rejectsWith('bad-input-value', () => inspectFile({ model: whole, set: { temperature: 1.5 } }));
  assert.is(
    (await inspectFile({ model: whole, set: { temperature: 2 } })).typed.model.graph.inputs.length,
    1,
  );
});

test('--set on the command line: once for each input, names with an equals sign, numbers only', async () => {
  const model = save(tempered('float', [8]), 'vector.onnx');
  const list = await runCli(folder, ['inspect', model, '--set', 'temperature=1,2,3,4,5,6,7,8']);
  assert.is(list.status, 0, list.stderr);
  assert.match(list.stdout, 'Inputs made constants: temperature.');
  for (const word of ['temperature', '=1', 'temperature=', 'temperature=warm']) {
    const { status, stderr } = await runCli(folder, ['inspect', model, '--set', word]);
    assert.is(status, 2, word);
    assert.match(stderr, 'bad-option');
  }
});

/** `x` of `dims` → flattened, a matrix, and `scores` of `outputs`. */
function flattening(dims: readonly Dim[], sizes: readonly number[], outputs: readonly number[]): Model {
  const b = new GraphBuilder();
  const rows = outputs.length > 1 ? outputs[0]! : 1;
  const width = elementCount(sizes) / rows;
  const flat = b.op('Reshape', [b.input('x', 'float', dims), b.int64([rows === 1 ? -1 : rows, width])]);
  const weight = b.initializer(floatTensor('w', [width, 5], noise(5 * width, 2)));
  const scores = b.op('MatMul', [flat, weight]);
  b.output(b.op('Reshape', [scores, b.int64(outputs)], {}, 'scores'), 'float', outputs);
  return makeModel(b.build('flattening'));
}

test('a picture without a batch axis is no batch of its height', async () => {
  for (const outputs of [[5], [1, 5]]) {
    const error = await rejectsWith('no-batch-axis', () =>
      observeFacts(flattening([6, 4, 3], [6, 4, 3], outputs)),
    );
    assert.match(error.message, 'x [6, 4, 3] gives scores');
  }
  await rejectsWith('no-batch-axis', () => observeFacts(flattening([1, 4, 3], [1, 4, 3], [5])));
  const real = await rejectsWith('fixed-batch', () => observeFacts(flattening([6, 12], [6, 12], [6, 5])));
  assert.match(real.message, 'the batch size is fixed at 6');
  assert.is((await observeFacts(flattening([1, 6, 4, 3], [1, 6, 4, 3], [1, 5]))).batch, 'fixed');
});

test('sizes that are not in the model are asked for all at once, and what is asked for works', async () => {
  const b = new GraphBuilder();
  const ids = b.input('ids', 'float', ['N', 'sequence length']);
  const extra = b.input('extra', 'float', ['N', undefined]);
  const rest = b.input('rest', 'float', ['N', 'width']);
  b.output(b.op('Concat', [ids, extra, rest], { axis: 1 }, 'scores'), 'float', ['N', undefined]);
  const model = makeModel(b.build('open'));
  const error = await rejectsWith('unknown-input-dim', () => observeFacts(model));
  assert.match(error.message, 'axis 1 of ids (sequence length), axis 1 of extra, axis 1 of rest (width) are');
  assert.match(error.hint, "`dims: { 'ids.1': SIZE, 'extra.1': SIZE, width: SIZE }`");
  const path = save(model, 'open.onnx');
  const dims = { 'ids.1': 2, 'extra.1': 3, width: 4 };
  // It has no exits, but is understood.
  await rejectsWith('nothing-counted', () => inspectFile({ model: path, dims }));
  assert.is((await observeFacts(model, { dims })).classes, 9);
  await rejectsWith('bad-option', () => inspect({ model: path, dims: { ...dims, width: 1.5 } }));
  await rejectsWith('input-too-large', () => inspectFile({ model: path, dims: { ...dims, width: 1e12 } }));
  const typo = await rejectsWith('unknown-dim', () => inspectFile({ model: path, dims: { witdh: 4 } }));
  assert.match(typo.hint, 'width');
});

test('an axis that the model fixes gets no other size', async () => {
  const b = new GraphBuilder();
  const x = b.input('x', 'float', ['N', 8]);
  b.output(b.op('Identity', [x], {}, 'scores'), 'float', ['N', 8]);
  const path = save(makeModel(b.build('fixed')), 'fixed.onnx');
  const error = await rejectsWith('bad-option', () => inspectFile({ model: path, dims: { 'x.1': 9 } }));
  assert.match(`${error.message} ${error.hint}`, /x\.1=9.*axis 1 of x is 8 in the model/);
  // The size that it has, and one of the batch, are no matter.
  for (const dims of [{ 'x.1': 8 }, { N: 1 }, { 'x.0': 1 }])
    await rejectsWith('nothing-counted', () => inspectFile({ model: path, dims }));
});

test('an input that takes only certain values can be given one', async () => {
  const b = new GraphBuilder();
  const x = b.input('x', 'float', ['N', 8]);
  const rate = b.op('Sub', [b.input('rate', 'int64', []), b.int64(16000)]);
  const table = b.initializer(floatTensor('table', [2, 8], noise(16, 4)));
  const weight = b.initializer(floatTensor('w', [8, 8], noise(64, 5)));
  const shifted = b.op('Add', [b.op('MatMul', [x, weight], {}, 'layer'), b.op('Gather', [table, rate])]);
  b.output(b.op('MatMul', [shifted, weight], {}, 'scores'), 'float', ['N', 8]);
  const model = save(makeModel(b.build('rated')), 'rated.onnx');
  const error = await rejectsWith('trial-run-failed', () => inspectFile({ model }));
  assert.match(error.message, 'rate int64 []');
  assert.match(error.hint, '`set: { NAME: VALUE }`');
  assert.is((await inspectFile({ model, set: { rate: 16001 } })).typed.sampleInputs.length, 1);
});

test.run();
