import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GraphBuilder } from '../../src/graph/builder.ts';
import { floatTensor } from '../../src/graph/tensor.ts';
import type { DataType } from '../../src/graph/types.ts';
import { adaptNetwork } from '../../src/networks/adapt-network.ts';
import { adapterFor, describeAdapter, type Reader } from '../../src/networks/adapter.ts';
import { refuseOtherTokenizer, vocabularyOf } from '../../src/networks/same-tokenizer.ts';
import { withSession } from '../../src/ort/session.ts';
import { feedsOf, floatsOf } from '../../src/ort/tensors.ts';
import { hasCode } from '../expect.ts';
import { tinyEncoder } from '../models.ts';
import { largestGap, ofInputs, outputsOf } from './readers.ts';

const test = suite('networks: adapter of texts');

const [IDS, MASK, TYPES] = ['input_ids', 'attention_mask', 'token_type_ids'];

const textReader = (length: number, names: readonly string[], dataType: DataType = 'int64'): Reader =>
  ofInputs(names.map((name) => ({ name, dims: [length], dataType })));

/** Pairs of texts: [CLS] 1 … [SEP] 2, the second's types 1; ids 0 behind their end. Lengths of both, without those three. */
const PAIRS = [
  [1, 0],
  [1, 1],
  [2, 1],
  [3, 1],
  [3, 2],
  [2, 3],
  [4, 3],
  [0, 0],
] as const;

/** What a tokenizer makes of `pair` at `length`, long enough. */
function encoded([a, b]: readonly [number, number], length: number): Record<string, number[]> {
  const ids = [
    1,
    ...Array.from({ length: a }, (_, i) => 10 + i),
    2,
    ...Array.from({ length: b }, (_, i) => 20 + i),
    2,
  ];
  const fill = (values: readonly number[]) => [...values, ...Array(length - values.length).fill(0)];
  return {
    [IDS!]: fill(ids),
    [MASK!]: fill(ids.map(() => 1)),
    [TYPES!]: fill(ids.map((_, i) => (i > a + 1 ? 1 : 0))),
  };
}

/** By hand: `pair` as it is at `length`, cut with its last token kept. */
function expected(
  pair: readonly [number, number],
  length: number,
  names: readonly string[],
): Record<string, number[]> {
  const whole = encoded(pair, 20);
  const count = pair[0] + pair[1] + 3;
  const cut = (values: readonly number[]) =>
    count <= length ? values.slice(0, length) : [...values.slice(0, length - 1), values[count - 1]!];
  return Object.fromEntries(names.map((name) => [name, cut(whole[name]!)]));
}

for (const [given, wanted, from, to] of [
  [[IDS, MASK, TYPES], [IDS, MASK, TYPES], 10, 7],
  [[IDS, MASK, TYPES], [TYPES, IDS], 10, 6],
  [[IDS, TYPES], [IDS, MASK, TYPES], 10, 5],
  [[IDS], [IDS, MASK], 10, 10],
  [[IDS, MASK, TYPES], [IDS, MASK, TYPES], 10, 13],
  [[IDS, MASK], [MASK, IDS], 10, 1],
] as [string[], string[], number, number][])
  for (const [type, other] of [
    ['int64', 'int64'],
    ['int64', 'int32'],
    ['int32', 'int64'],
  ] as const)
    for (const opset of [11, 13, 17])
      test(`${given.length} inputs of ${from} ${type} → ${wanted} of ${to} ${other}, opset ${opset}`, async () => {
        const [original, network] = [textReader(from, given, type), textReader(to, wanted, other)];
        const graph = adapterFor(original, network);
        for (const pairs of [PAIRS, ...PAIRS.map((pair) => [pair])]) {
          const rows = pairs.flatMap((pair) => given.flatMap((name) => encoded(pair, from)[name]!));
          const outputs = await outputsOf(
            graph,
            original.inputs,
            Float32Array.from(rows),
            pairs.length,
            opset,
          );
          wanted.forEach((name, i) => {
            const truth = pairs.flatMap((pair) => expected(pair, to, wanted)[name]!);
            assert.equal([...outputs[i]!.values], truth, name);
            assert.is(outputs[i]!.type, other);
            assert.equal(outputs[i]!.dims, [pairs.length, to]);
          });
        }
      });

test('types that the original has not are 0', async () => {
  const graph = adapterFor(textReader(6, [IDS!]), textReader(4, [IDS!, TYPES!]));
  const outputs = await outputsOf(graph, textReader(6, [IDS!]).inputs, Float32Array.of(1, 7, 8, 9, 2, 0), 1);
  assert.equal(
    outputs.map(({ values }) => [...values]),
    [
      [1, 7, 8, 2],
      [0, 0, 0, 0],
    ],
  );
});

test('in plain words', () => {
  const told = (original: Reader, network: Reader) => describeAdapter(original, network);
  assert.equal(told(textReader(8, [IDS!, MASK!, TYPES!]), textReader(8, [IDS!])), []);
  assert.equal(told(textReader(8, [IDS!]), textReader(4, [IDS!, MASK!], 'int32')), [
    '8 → 4 tokens',
    'int32',
    'attention_mask',
  ]);
  assert.equal(told(textReader(8, [IDS!]), textReader(8, [IDS!, TYPES!])), ['token_type_ids']);
});

test('an input that is no part of a text needs a partner of its own', () => {
  const refuses = (original: Reader, network: Reader) =>
    assert.throws(() => adapterFor(original, network), hasCode('first-input-missing'));
  refuses(textReader(8, [IDS!]), textReader(8, [IDS!, 'position_ids']));
  refuses(textReader(8, [IDS!, TYPES!]), textReader(8, [IDS!, 'position_ids']));
  const graph = adapterFor(textReader(8, ['a', IDS!]), textReader(8, [IDS!, 'b']));
  assert.equal(
    graph.outputs.map((v) => v.name),
    [IDS, 'a'],
  );
});

test('an encoder of 8 tokens behind an original of 12', async () => {
  const model = tinyEncoder(17, 'words');
  const [original, network] = [textReader(12, [IDS!, MASK!]), textReader(8, [IDS!, MASK!])];
  const adapted = adaptNetwork(model, original, network, 'first_1');
  const rowsAt = (make: (pair: readonly [number, number]) => Record<string, number[]>) =>
    Float32Array.from(PAIRS.flatMap((pair) => [IDS, MASK].flatMap((name) => make(pair)[name!]!)));
  const scoresOf = async (which: typeof model, reader: Reader, rows: Float32Array, output: string) => {
    const feeds = feedsOf(reader.inputs, rows, PAIRS.length);
    return floatsOf((await withSession(which, { threads: 1 }, (s) => s.run(feeds, [output])))[output]!);
  };
  const cut = rowsAt((pair) => expected(pair, 8, [IDS!, MASK!]));
  const truth = await scoresOf(model, network, cut, 'scores');
  const made = await scoresOf(
    adapted,
    original,
    rowsAt((pair) => encoded(pair, 12)),
    'first_1/scores',
  );
  assert.ok(largestGap(made, truth) <= 1e-5 * Math.max(...truth.map(Math.abs)));
});

/** Looks `ids` up in an embedding of `rows`; `through` writes what lies between. */
function embedding(
  rows: number,
  ids = IDS!,
  through: (b: GraphBuilder, ids: string) => string = (_, x) => x,
) {
  const b = new GraphBuilder();
  const words = b.initializer(floatTensor('words', [rows, 2], new Float32Array(rows * 2)));
  const looked = b.op('Gather', [words, through(b, b.input(ids, 'int64', ['N', 4]))], { axis: 0 }, 'y');
  b.output(looked, 'float', ['N', 4, 2]);
  return { file: `${rows}.onnx`, graph: b.build('embedding') };
}

test('another tokenizer is one of another size', () => {
  assert.is(vocabularyOf(tinyEncoder(17, 'words').graph), 64);
  assert.is(vocabularyOf(embedding(9, IDS, (b, x) => b.op('Cast', [x], { to: 6 })).graph), 9);
  assert.is(vocabularyOf(embedding(9, 'other').graph), undefined);
  const mask = (b: GraphBuilder, x: string) => b.op('Add', [x, x]);
  assert.is(vocabularyOf(embedding(9, IDS, mask).graph), undefined);
  refuseOtherTokenizer(embedding(9), embedding(9));
  refuseOtherTokenizer(embedding(9), embedding(10, 'other'));
  const refused = () => refuseOtherTokenizer(embedding(28996), embedding(30522));
  assert.throws(refused, hasCode('first-tokenizer-unlike'));
  assert.throws(refused, /30522\.onnx.*28996\.onnx.*30522 rows, the original's 28996/);
});

test.run();
