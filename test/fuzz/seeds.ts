/** Small models that are whole, for mutants to be made of. */
import { serializeModel } from '../../src/parser/index.ts';
import { branchyNet } from '../models.ts';
import { bytesOf, float32, int, len, message, node, packed, value } from '../parser/proto.ts';

/** The same on every machine, or the same seed would make other mutants; the smallest first. */
export function seedModels(): Uint8Array[] {
  const all = [classifier, everything, branches, withFunctions, serializeModel(branchyNet())];
  return all.sort((a, b) => a.length - b.length);
}

const dims = (...sizes: (number | string)[]) =>
  len(2, ...sizes.map((d) => len(1, typeof d === 'number' ? int(1, d) : len(2, d))));
const typed = (name: string, elements: number, ...sizes: (number | string)[]) =>
  message(len(1, name), len(2, len(1, int(1, elements), dims(...sizes))));
const floats = (name: string, ...sizes: number[]) => {
  const count = sizes.reduce((n, d) => n * d, 1);
  const values = Float32Array.from({ length: count }, (_, i) => Math.sin(i + 1));
  return message(...sizes.map((d) => int(1, d)), int(2, 1), len(8, name), len(9, bytesOf(values)));
};
const attribute = (name: string, type: number, ...fields: Uint8Array[]) =>
  len(5, len(1, name), ...fields, int(20, type));
const opset = (domain: string, version: number) => len(8, len(1, domain), int(2, version));
const [INPUT, OUTPUT, INITIALIZER, NODE] = [11, 12, 5, 1];

/** Two layers on [N, 4]: few bytes, nearly all of them structure. */
const classifier = message(
  int(1, 8),
  len(
    7,
    len(2, 'small'),
    len(NODE, node('Gemm', ['x', 'w'], ['h'], attribute('transB', 2, int(3, 1)))),
    len(NODE, node('Relu', ['h'], ['r'])),
    len(NODE, node('MatMul', ['r', 'v'], ['y'])),
    len(INITIALIZER, floats('w', 3, 4)),
    len(INITIALIZER, floats('v', 3, 3)),
    len(INPUT, typed('x', 1, 'N', 4)),
    len(OUTPUT, typed('y', 1, 'N', 3)),
    len(13, typed('h', 1, 'N', 3)),
  ),
  opset('', 17),
);

/** Every way there is to say something: what it computes does not matter. */
const everything = message(
  int(1, 10),
  len(2, 'producer'),
  len(3, '1.0'),
  len(6, 'a doc'),
  len(
    7,
    len(2, 'all'),
    len(
      NODE,
      node(
        'Strange',
        ['x', '', 'w'],
        ['y', ''],
        len(3, 'name'),
        len(6, 'doc'),
        attribute('f', 1, float32(2, 1.5)),
        attribute('i', 2, int(3, -7)),
        attribute('s', 3, len(4, 'text')),
        attribute('t', 4, len(5, floats('', 2))),
        attribute('fs', 6, packed(7), float32(7, 1), float32(7, 2)),
        attribute('is', 7, packed(8, 1, -1, 2n ** 40n)),
        attribute('ss', 8, len(9, 'a'), len(9, 'b')),
        attribute('ts', 9, len(10, floats('', 1)), len(10, floats('', 1))),
        attribute('gs', 10, len(11, len(2, 'empty')), len(11, len(2, 'empty'))),
        attribute('sparse', 11, len(22, len(1, floats('', 1)), len(2, int(1, 1), int(2, 7), packed(7, 3)), int(3, 9))),
        attribute('type', 13, len(14, len(4, len(1, len(1, int(1, 1)))))),
        len(8, 'overload'),
        len(9, len(1, 'key'), len(2, 'value')),
      ),
    ),
    len(INITIALIZER, floats('w', 2, 3)),
    len(INITIALIZER, int(1, 3), int(2, 7), len(8, 'shape'), packed(7, 1, -1, 2)),
    len(INITIALIZER, packed(1, 2, 1), int(2, 5), len(8, 'halves'), packed(5, -1, 300)),
    len(INITIALIZER, int(1, 2), int(2, 8), len(8, 'words'), len(6, 'a'), len(6, 'b')),
    len(INITIALIZER, int(1, 1), int(2, 11), len(8, 'double'), len(10, bytesOf(Float64Array.of(2)))),
    len(INITIALIZER, int(1, 1), int(2, 13), len(8, 'long'), packed(11, 2n ** 64n - 1n)),
    len(INITIALIZER, int(1, 3), int(2, 22), len(8, 'four bits'), len(9, Uint8Array.of(0x21, 3))),
    len(INITIALIZER, int(1, 1), int(2, 777), len(8, 'of the future'), len(9, Uint8Array.of(8, 9))),
    len(INITIALIZER, int(1, 4), int(2, 1), len(8, 'beside'), len(13, len(1, 'location'), len(2, 'w.bin')), len(13, len(1, 'offset'), len(2, '16')), len(13, len(1, 'length'), len(2, '16')), int(14, 1)),
    len(15, len(1, floats('thin', 2)), len(2, int(1, 2), int(2, 7), packed(7, 1, 5)), int(3, 3), int(3, 3)),
    len(INPUT, typed('x', 1, 'N', 3, 2)),
    len(INPUT, message(len(1, 'sequence'), len(2, len(4, len(1, len(1, int(1, 1))))))),
    len(OUTPUT, typed('y', 1, 'N', 3)),
    len(OUTPUT, value('words')),
    len(14, len(1, 'quantization')),
  ),
  opset('', 21),
  opset('custom', 1),
  len(14, len(1, 'key'), len(2, 'value')),
  len(25, len(1, 'F'), len(4, 'a'), len(5, 'b'), len(7, node('Relu', ['a'], ['b'])), opset('', 21), len(10, 'custom')),
  len(99, 'from the future'),
); // biome-ignore format: a table

/** Ifs in one another that read what lies around them, and a Loop. */
const branches = (() => {
  const bool = (name: string) => len(INITIALIZER, int(2, 9), len(8, name), packed(5, 1));
  const branch = (name: string, inner: Uint8Array, out: string) => [
    len(2, name),
    len(NODE, inner),
    len(OUTPUT, value(out)),
  ];
  const either = (name: string, read: string, out: string) =>
    node(
      'If',
      ['c'],
      [out],
      attribute(
        'then_branch',
        5,
        len(6, ...branch(`${name}/then`, node('Relu', [read], [`${out}1`]), `${out}1`)),
      ),
      attribute(
        'else_branch',
        5,
        len(6, ...branch(`${name}/else`, node('Neg', [read], [`${out}2`]), `${out}2`)),
      ),
    );
  return message(
    int(1, 8),
    len(
      7,
      len(2, 'nested'),
      len(NODE, either('one', 'x', 'h')),
      len(
        NODE,
        node(
          'If',
          ['c'],
          ['y'],
          attribute('then_branch', 5, len(6, ...branch('two', either('three', 'h', 'g'), 'g'))),
          attribute('else_branch', 5, len(6, ...branch('four', node('MatMul', ['h', 'w'], ['k']), 'k'))),
        ),
      ),
      bool('c'),
      len(INITIALIZER, floats('w', 3, 3)),
      len(INPUT, typed('x', 1, 'N', 3)),
      len(OUTPUT, typed('y', 1, 'N', 3)),
    ),
    opset('', 17),
  ); // biome-ignore format: nested calls
})();

/** Local functions, one of which calls the other. */
const withFunctions = (() => {
  const call = (name: string, from: string, to: string) => message(node(name, [from], [to]), len(7, 'local'));
  const body = (name: string, ...nodes: Uint8Array[]) =>
    len(
      25,
      len(1, name),
      len(4, 'a'),
      len(5, 'b'),
      ...nodes.map((n) => len(7, n)),
      opset('', 17),
      opset('local', 1),
      len(10, 'local'),
    );
  return message(
    int(1, 8),
    len(
      7,
      len(2, 'calls'),
      len(NODE, call('Twice', 'x', 'h')),
      len(NODE, node('MatMul', ['h', 'w'], ['y'])),
      len(INITIALIZER, floats('w', 4, 3)),
      len(INPUT, typed('x', 1, 'N', 4)),
      len(OUTPUT, typed('y', 1, 'N', 3)),
    ),
    opset('', 17),
    opset('local', 1),
    body('Twice', call('Once', 'a', 't'), call('Once', 't', 'b')),
    body('Once', node('Constant', [], ['k'], attribute('value', 4, len(5, floats('k', 1)))), node('Add', ['a', 'k'], ['b'])),
  ); // biome-ignore format: nested calls
})();
