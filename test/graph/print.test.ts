/** Graphs as text. The goldens lie inline, to be read. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { float, GraphBuilder, makeModel } from '../../src/graph/builder.ts';
import { printGraph, printModel } from '../../src/graph/print.ts';
import { floatTensor, int64Tensor } from '../../src/graph/tensor.ts';
import type { DataType } from '../../src/graph/types.ts';

const test = suite('graph: print');

function branch(name: string, opType: string) {
  const b = new GraphBuilder();
  b.op(opType, ['sum'], {}, name);
  b.output(name, 'float', ['N', 3]);
  return b.build(`${name}_branch`);
}

function example() {
  const b = new GraphBuilder();
  const x = b.input('x', 'float', ['N', 3, 'a b']);
  const y = b.input('/in/1', 'float', []);
  const w = b.initializer(
    floatTensor(
      'w',
      [3, 3],
      Float32Array.from({ length: 9 }, (_, i) => i),
    ),
  );
  b.initializer(int64Tensor('shape', [2], [-1, 3]));
  b.op('Conv', [x, w, ''], { pads: [1, 1], alpha: float(1 / 3), mode: 'a "b"' }, 'conv');
  b.op('Add', ['conv', y], {}, 'sum');
  b.op('If', ['c'], { then_branch: branch('yes', 'Relu'), else_branch: branch('no', 'Neg') }, 'out');
  b.output('out', 'float', ['N', 3]);
  return b.build('example');
}

test('a graph', () => {
  assert.is(
    printGraph(example()),
    `example (float[N,3,"a b"] x, float "/in/1") => (float[N,3] out) <
  float[3,3] w = <sha256:eb5e38fa>,
  int64[2] shape = {-1,3}
> {
  conv = Conv <pads: ints = [1, 1], alpha: float = 0.333333, mode: string = "a \\"b\\""> (x, w, "")
  sum = Add (conv, "/in/1")
  out = If (c) <then_branch: graph = yes_branch () => (float[N,3] yes) {
    yes = Relu (sum)
  }, else_branch: graph = no_branch () => (float[N,3] no) {
    no = Neg (sum)
  }>
}
`,
  );
});

test('a model', () => {
  const b = new GraphBuilder();
  b.op('Relu', [b.input('x', 'float', [1])], {}, 'y');
  b.output('y', 'float', [1]);
  const graph = b.build('g');
  const nodes = [{ ...graph.nodes[0]!, name: 'a label', domain: 'com.example' }];
  const model = { ...makeModel({ ...graph, nodes }), metadataProps: [{ key: 'k', value: 'v' }] };
  assert.is(
    printModel(model),
    `<
  ir_version: 8,
  opset_import: ["" : 17],
  producer_name: "offramp",
  metadata_props: ["k" : "v"]
>
g (float[1] x) => (float[1] y) {
  ["a label"] y = com.example.Relu (x)
}
`,
  );
});

test('tensors and types', () => {
  const tensor = (dataType: DataType, dims: number[], bytes: Uint8Array, more = {}) => ({
    name: 't',
    dataType,
    dims,
    bytes,
    ...more,
  });
  const none = new Uint8Array(0);
  const bytesOf = (array: ArrayBufferView) => new Uint8Array(array.buffer);
  const extremes = BigInt64Array.of(2n ** 63n - 1n, -(2n ** 63n));
  const cases: readonly [object, string][] = [
    [tensor('int64', [2], bytesOf(extremes)), 'int64[2] t = {9223372036854775807,-9223372036854775808}'],
    [tensor('float', [], bytesOf(Float32Array.of(1234567.5))), 'float t = {1234570}'],
    [tensor('float', [2], bytesOf(Float32Array.of(1e-9, Number.NaN))), 'float[2] t = {1e-9,NaN}'],
    [tensor('bool', [2], Uint8Array.of(1, 0)), 'bool[2] t = {1,0}'],
    [tensor('float16', [1], Uint8Array.of(0, 0x3c)), 'float16[1] t = <sha256:505114fe>'],
    [tensor('string', [1], none, { strings: [Buffer.from('é"')] }), 'string[1] t = {"é\\""}'],
    [
      tensor('float', [9], none, { external: { location: 'w.bin', offset: 4, length: undefined } }),
      'float[9] t = ["location" : "w.bin", "offset" : "4"]',
    ],
  ];
  for (const [initializer, expected] of cases) {
    const graph = { ...new GraphBuilder().build('g'), initializers: [initializer as never] };
    assert.is(printGraph(graph).split('\n')[1]!.trim(), expected);
  }
  const unknown = { name: 'v', type: undefined };
  const unranked = { name: 'u', type: { dataType: 'float' as const, dims: undefined } };
  const open = { name: 'o', type: { dataType: 'float' as const, dims: [undefined, 2] } };
  const graph = { ...new GraphBuilder().build('g'), inputs: [unknown, unranked, open] };
  assert.is(printGraph(graph), 'g (v, float[] u, float[?,2] o) => () {\n}\n');
});

test.run();
