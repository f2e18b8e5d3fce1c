import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { makeModel } from '../../src/graph/builder.ts';
import { floatTensor } from '../../src/graph/tensor.ts';
import type { DataType, Graph } from '../../src/graph/types.ts';
import { inspectFile } from '../../src/model/inspect.ts';
import { observeFacts } from '../../src/model/observe-facts.ts';
import { withSession } from '../../src/ort/session.ts';
import { feedsOf } from '../../src/ort/tensors.ts';
import { serializeModel } from '../../src/parser/index.ts';
import { buildStudent, familiesFor } from '../../src/students/build-student.ts';
import type { Family, StudentReads } from '../../src/students/student.ts';
import { studentModel } from '../../src/students/student-model.ts';
import { hasCode } from '../expect.ts';
import { largestGap, outputsOf } from '../networks/readers.ts';
import { inputOf, lived, ofTokens, readsOf, samplesOf, textOf } from './readers.ts';

const test = suite('students: build');

const embedding = {
  input: 'input_ids',
  vocabulary: 256,
  table: floatTensor(
    'e',
    [256, 24],
    Float32Array.from({ length: 256 * 24 }, (_, i) => Math.sin(i)),
  ),
};
const CIFAR = readsOf([inputOf([3, 32, 32])], { preset: 'imagenet' });

const KINDS: readonly (readonly [what: string, reads: StudentReads, families: string])[] = [
  ['pictures', CIFAR, 'wide narrow separable patches'],
  ['pictures, channels last', readsOf([inputOf([32, 32, 3], 'uint8')]), 'wide narrow separable patches'],
  ['pictures of float16', readsOf([inputOf([1, 28, 28], 'float16')], { preset: 'unit' }), 'wide narrow separable patches'],
  ['pictures without a channel axis', readsOf([inputOf([28, 28])], { preset: 'mnist' }), 'wide narrow separable patches'],
  ['pictures of any numbers', readsOf([inputOf([8, 19, 23])]), 'wide narrow separable patches'],
  ['the same, channels last', readsOf([inputOf([19, 23, 8])]), 'wide narrow separable patches'],
  ['small pictures', readsOf([inputOf([3, 8, 8])]), 'wide narrow separable patches'],
  ['the smallest pictures', readsOf([inputOf([1, 4, 4], 'int8')]), 'wide narrow separable patches'],
  ['pictures of 3 × 3', readsOf([inputOf([3, 3, 3])], { layout: 'NCHW' }), 'mlp'],
  ['narrow pictures', readsOf([inputOf([3, 2, 33])]), 'wide narrow separable patches'],
  ['spectrograms', readsOf([inputOf([49, 10])]), 'wide narrow separable patches'],
  ['volumes', readsOf([inputOf([1, 9, 12, 10])]), 'wide narrow separable patches'],
  ['signals', readsOf([inputOf([3, 200])]), 'wide narrow separable patches'],
  ['signals, channels last', readsOf([inputOf([200, 9])], { layout: 'flat' }), 'wide narrow separable patches'],
  ['long signals of one row', readsOf([inputOf([1, 3000], 'int8')]), 'wide narrow separable patches'],
  ['vectors', readsOf([inputOf([40])]), 'mlp'],
  ['whole numbers', readsOf([inputOf([40], 'int32')]), 'mlp'],
  ['single numbers', readsOf([inputOf([], 'double'), inputOf([1], 'float', 'y'), inputOf([], 'bool', 'z')]), 'mlp'],
  ['texts', readsOf(textOf(12)), 'bag conv'],
  ['texts of int32', readsOf(textOf(12, 'int32')), 'bag conv'],
  ['texts without a mask', { ...readsOf([inputOf([12], 'int64', 'input_ids')]), embedding: ofTokens(50) }, 'bag conv'],
  ['texts with the original\'s embedding', { ...readsOf(textOf(12)), embedding }, 'bag conv'],
  ['a picture, a text and numbers', readsOf([inputOf([3, 16, 16]), ...textOf(6), inputOf([4], 'float', 'y')]), 'wide narrow separable patches bag conv mlp'],
]; // biome-ignore format: a table

const N = 3;

for (const [what, reads, families] of KINDS) {
  test(`${what}: ${families}`, async () => {
    assert.is(familiesFor(reads).join(' '), families);
    const rows = samplesOf(reads.inputs, N);
    for (const family of familiesFor(reads)) {
      const student = buildStudent(reads, { family, width: 1, depth: 2 }, 7);
      const model = studentModel({ graph: lived(student.graph), exits: [] });
      const read = model.graph.inputs.map(({ name }) => name);
      assert.ok(read.length > 0 && read.every((name) => reads.inputs.some((input) => input.name === name)));
      const norms = (graph: Graph) =>
        graph.nodes.filter((node) => node.opType === 'BatchNormalization').length;
      assert.ok(norms(model.graph) < norms(student.graph), family);
      const [kept] = await outputsOf(lived(student.graph), reads.inputs, rows, N);
      const [folded] = await outputsOf(model.graph, reads.inputs, rows, N);
      assert.equal(folded!.dims, [N, 5]);
      assert.ok(new Set(folded!.values).size > N, `${family}: samples differ`);
      const most = Math.max(...Array.from(kept!.values, Math.abs));
      assert.ok(largestGap(folded!.values, kept!.values) <= 1e-4 * Math.max(1, most), family);
    }
  });
}

for (const opset of [11, 12, 13, 17, 22]) {
  test(`opset ${opset}: a classifier of any number of samples, as Offramp sees it`, async () => {
    for (const reads of [CIFAR, readsOf([inputOf([40])]), { ...readsOf(textOf(12)), embedding }]) {
      for (const family of familiesFor(reads)) {
        const { graph } = buildStudent(reads, { family, width: 1, depth: 1 }, 7);
        const typed = await observeFacts(studentModel({ graph, exits: [] }, opset));
        assert.is(typed.classes, 5);
        assert.is(typed.logits, 'logits');
        assert.is(typed.batch, 'dynamic');
        assert.is(typed.activation, 'none');
        assert.equal(
          typed.sampleInputs,
          reads.inputs.map(({ name }) => name),
        );
      }
    }
  });
}

test('its file is inspected as any other: exits can go behind its stages', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'offramp-student-'));
  const file = join(folder, 'student.onnx');
  const { graph, macs } = buildStudent(CIFAR, { family: 'wide', width: 1, depth: 1 }, 7);
  writeFileSync(file, serializeModel(studentModel({ graph, exits: [] })));
  const { plan, typed } = await inspectFile({ model: file });
  assert.is(plan.totalMacs, macs);
  assert.is(typed.batch, 'dynamic');
  assert.ok(plan.taps.some(({ dims }) => `${dims}` === '16,16,16'));
  rmSync(folder, { recursive: true });
});

/** What the first convolution reads of pictures whose pixels have mean 115 and deviation 64. */
async function front(reads: StudentReads): Promise<{ mean: number; deviation: number; nodes: string }> {
  const { graph } = buildStudent(reads, { family: 'wide', width: 1, depth: 1 }, 1);
  const at = graph.nodes.findIndex(({ opType }) => opType === 'Conv');
  const value = graph.nodes[at]!.inputs[0]!;
  const { scale, mean, std } = reads.preprocessing;
  const half = 64 * Math.sqrt(3);
  const rows = samplesOf(reads.inputs, 20).map((v) => (((v - 127.5) / 127.5) * half + 115) / scale);
  const pixels = rows.map((v) => (v - mean[0]!) / std[0]!);
  const cut = {
    ...graph,
    nodes: graph.nodes.slice(0, at),
    outputs: [{ name: value, type: { dataType: 'float' as const, dims: ['N', 3, 32, 32] } }],
  };
  const isInput = graph.inputs.some(({ name }) => name === value);
  const values = isInput
    ? Float64Array.from(pixels)
    : (await outputsOf(cut, reads.inputs, pixels, 20))[0]!.values;
  const average = values.reduce((sum, v) => sum + v, 0) / values.length;
  const square = values.reduce((sum, v) => sum + (v - average) ** 2, 0) / values.length;
  const nodes = graph.nodes
    .slice(0, at)
    .map(({ opType }) => opType)
    .join(' ');
  return { mean: average, deviation: Math.sqrt(square), nodes };
}

for (const [what, dataType, options, nodes] of [
  ['usual ones', 'float', { scale: 255, mean: [0.45], std: [0.25] }, ''],
  ['in [-1, 1]', 'float', { scale: 127.5, mean: [1] }, ''],
  ['in [0, 1]', 'float', { preset: 'unit' }, 'Mul Add'],
  ['of float16', 'float16', { preset: 'unit' }, 'Cast Mul Add'],
  ['raw, mean taken off', 'float', { mean: [110] }, 'Mul Add'],
  ['uint8', 'uint8', {}, 'Cast Mul Add'],
  ['upside down', 'float', { scale: -255 }, 'Mul Add'],
  ['of unknown range', 'float', {}, 'BatchNormalization'],
] as const satisfies readonly (readonly [string, DataType, object, string])[]) {
  test(`pixels ${what}: ${nodes || 'as they are'}`, async () => {
    const found = await front(readsOf([inputOf([3, 32, 32], dataType)], options));
    assert.is(found.nodes, nodes);
    if (nodes === 'BatchNormalization') return;
    assert.ok(Math.abs(found.mean) < 0.5, `mean ${found.mean}`);
    assert.ok(found.deviation > 0.45 && found.deviation < 1.5, `deviation ${found.deviation}`);
    if (nodes) assert.ok(Math.abs(found.mean) < 0.05 && Math.abs(found.deviation - 1) < 0.05);
  });
}

test('a picture in other layouts gives the same answer', async () => {
  const logits = async (dims: readonly number[], rows: Float32Array) => {
    const reads = readsOf([inputOf(dims)], { preset: 'unit' });
    const { graph } = buildStudent(reads, { family: 'wide', width: 1, depth: 1 }, 5);
    return (await outputsOf(graph, reads.inputs, rows, 1))[0]!.values;
  };
  const rows = samplesOf([inputOf([3, 12, 16])], 1).map((v) => v / 255);
  const last = rows.map((_, i) => rows[(i % 3) * 192 + Math.floor(i / 3)]!);
  assert.ok(largestGap(await logits([3, 12, 16], rows), await logits([12, 16, 3], last)) < 1e-5);
  const gray = rows.subarray(0, 192);
  assert.ok(largestGap(await logits([1, 12, 16], gray), await logits([12, 16], gray)) < 1e-6);
  const others = await logits([3, 12, 16], last);
  assert.ok(largestGap(others, await logits([12, 16, 3], last)) > 1e-4);
});

test('tokens that the mask leaves out say nothing; without a mask those of id 0', async () => {
  const length = 8;
  for (const family of ['bag', 'conv'] as const)
    for (const inputs of [textOf(length), [inputOf([length], 'int64', 'input_ids')]]) {
      const reads = { ...readsOf(inputs), embedding };
      const { graph } = buildStudent(reads, { family, width: 1, depth: 2 }, 5);
      const rowOf = (ids: readonly number[], counted: number) =>
        inputs.length === 2
          ? [...ids, ...ids.map((_, i) => Number(i < counted))]
          : ids.map((id, i) => (i < counted ? id : 0));
      const ids = [5, 9, 3, 17, 20, 7, 1, 2];
      const other = [5, 9, 3, 17, 20, 90, 91, 92];
      const rows = Float32Array.from([rowOf(ids, 5), rowOf(other, 5), rowOf(other, 8), rowOf(ids, 0)].flat());
      const { values } = (await outputsOf(graph, reads.inputs, rows, 4))[0]!;
      const row = (k: number) => values.subarray(5 * k, 5 * k + 5);
      assert.ok(largestGap(row(0), row(1)) < 1e-6, family);
      assert.ok(largestGap(row(0), row(2)) > 1e-4, family);
      assert.ok(row(3).every(Number.isFinite), 'a text without tokens');
    }
});

test('ids beyond the rows of an embedding of its own share them', async () => {
  const reads = { ...readsOf([inputOf([2], 'int64', 'input_ids')]), embedding: ofTokens(10) };
  const { graph } = buildStudent(reads, { family: 'bag', width: 1, depth: 1 }, 5);
  const { values } = (await outputsOf(graph, reads.inputs, Float32Array.from([3, 4, 13, 24]), 2))[0]!;
  assert.ok(largestGap(values.subarray(0, 5), values.subarray(5)) < 1e-6);
});

test('what a student does not read is not among its inputs', () => {
  const inputs = [...textOf(6), inputOf([6], 'int64', 'token_type_ids')];
  const { graph } = buildStudent(readsOf(inputs), { family: 'bag', width: 1, depth: 1 }, 5);
  assert.equal(
    graph.inputs.map(({ name }) => name),
    ['input_ids', 'attention_mask'],
  );
});

test('an input may be called as what students write', async () => {
  for (const name of ['logits', 'stem1', 'classifier', 'stage1', 'const']) {
    const reads = readsOf([inputOf([3, 8, 8], 'float', name)]);
    const { graph } = buildStudent(reads, { family: 'wide', width: 1, depth: 1 }, 5);
    const feeds = feedsOf(reads.inputs, samplesOf(reads.inputs, 2), 2);
    const run = await withSession(makeModel(graph), { threads: 1 }, (s) => s.run(feeds));
    assert.equal([...run[graph.outputs[0]!.name]!.dims], [2, 5]);
  }
});

test('same seed, same bytes', () => {
  const build = (seed: number) => buildStudent(CIFAR, { family: 'wide', width: 1, depth: 1 }, seed).graph;
  assert.equal(build(1), build(1));
  assert.not.equal(build(1), build(2));
});

test('inner exits cut the work evenly, each with a head on a value inside', async () => {
  const form = { family: 'wide', width: 2, depth: 1 } as const;
  const { exits, graph, macs } = buildStudent(CIFAR, form, 1, { exits: 2 });
  assert.equal(
    exits.map(({ dims }) => dims),
    [[32, 16, 16]],
  );
  assert.is(exits[0]!.prefixMacs, 256 * 27 * 32 + 2 * 256 * 9 * 32 * 32);
  assert.is(exits[0]!.headMacs, 32 * 5 + 32);
  const [features] = await outputsOf(
    {
      ...graph,
      outputs: exits.map(({ value, dims }) => ({
        name: value,
        type: { dataType: 'float', dims: ['N', ...dims] },
      })),
    },
    CIFAR.inputs,
    samplesOf(CIFAR.inputs, 1),
    1,
  );
  assert.equal(features!.dims, [1, 32, 16, 16]);
  const three = buildStudent(CIFAR, form, 1, { exits: 3 });
  assert.equal(
    three.exits.map(({ dims }) => dims),
    [
      [32, 16, 16],
      [64, 8, 8],
    ],
  );
  assert.is(three.macs, macs);
  const two = buildStudent(readsOf([inputOf([40])]), { family: 'mlp', width: 1, depth: 3 }, 1, { exits: 2 });
  assert.equal(
    two.exits.map(({ dims }) => dims),
    [[16]],
  );
});

test('refuses more exits than there are places, and a family that reads something else', () => {
  const wide = { family: 'wide', width: 1, depth: 1 } as const;
  assert.throws(() => buildStudent(CIFAR, wide, 1, { exits: 4 }), hasCode('no-inner-exit'));
  buildStudent(CIFAR, wide, 1, { exits: 3 });
  const wrong = (reads: StudentReads, family: Family) =>
    assert.throws(() => buildStudent(reads, { ...wide, family }, 1), hasCode('student-unlike'));
  wrong(CIFAR, 'bag');
  wrong(readsOf(textOf(6)), 'wide');
  wrong(readsOf([inputOf([3, 3, 3])], { layout: 'NCHW' }), 'wide');
});

test.run();
