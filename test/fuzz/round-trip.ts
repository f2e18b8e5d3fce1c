/** Random models as data: what is read and written again says the same, byte for byte where nobody touched it. */
import { isDeepStrictEqual } from 'node:util';
import * as fc from 'fast-check';
import * as assert from 'uvu/assert';
import { printModel } from '../../src/graph/print.ts';
import { elementBytes } from '../../src/graph/tensor.ts';
import {
  type Attribute,
  DATA_TYPES,
  type DataType,
  type Graph,
  type Model,
  type Node,
  type Tensor,
  type ValueInfo,
} from '../../src/graph/types.ts';
import { parseModel, serializeModel } from '../../src/parser/index.ts';
import { anew } from './by-hand.ts';
import {
  type Field,
  type Message,
  messagesIn,
  nested,
  number,
  readTree,
  text,
  writeTree,
} from './message-tree.ts';

const names = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 6 }),
  fc.constantFrom('', 'x', '__proto__', 'constructor', '0', '\ufeff', 'a\nb', 'é'),
);
const integers = fc.oneof(
  fc.integer(),
  fc.maxSafeInteger(),
  fc.constantFrom(0, -1, 2 ** 53, -(2 ** 63), 2 ** 63),
);
const sizes = fc.oneof(fc.nat(), fc.constantFrom(2 ** 31, 2 ** 53, 2 ** 63));
const floats = fc.float({ noNaN: true });
const dims = fc.array(fc.nat({ max: 4 }), { maxLength: 3 });

const tensors: fc.Arbitrary<Tensor> = fc
  .record({
    name: names,
    dataType: fc.constantFrom(...DATA_TYPES.slice(1)),
    dims,
    fill: fc.uint8Array({ minLength: 1, maxLength: 9 }),
  })
  .map(({ name, dataType, dims: shape, fill }) => {
    const count = shape.reduce((n, d) => n * d, 1);
    const bytes = (size: number) => Uint8Array.from({ length: size }, (_, i) => fill[i % fill.length]!);
    if (dataType !== 'string')
      return { name, dataType, dims: shape, bytes: bytes(Math.ceil(count * elementBytes(dataType)!)) };
    return {
      name,
      dataType,
      dims: shape,
      bytes: bytes(0),
      strings: Array.from({ length: count }, () => fill),
    };
  });
const outside: fc.Arbitrary<Tensor> = fc.record({
  name: names,
  dataType: fc.constant<DataType>('float'),
  dims,
  bytes: fc.constant(new Uint8Array(0)),
  external: fc.record({
    location: fc.string({ minLength: 1 }),
    offset: fc.nat(),
    length: fc.option(fc.nat(), { nil: undefined }),
  }),
});

const dim = fc.oneof(sizes, fc.string({ minLength: 1, maxLength: 3 }), fc.constant(undefined));
const types = fc.record({
  dataType: fc.constantFrom(...DATA_TYPES.slice(1)),
  dims: fc.option(fc.array(dim, { maxLength: 4 }), { nil: undefined }),
});
const values: fc.Arbitrary<ValueInfo> = fc.record({
  name: names,
  type: fc.option(types, { nil: undefined }),
});
const few = <T>(of: fc.Arbitrary<T>, maxLength = 3) => fc.array(of, { maxLength });

const { graph: graphs } = fc.letrec<{ graph: Graph; node: Node; attribute: Attribute }>((tie) => ({
  attribute: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.record({ type: fc.constantFrom('INT' as const), value: integers }),
    fc.record({ type: fc.constantFrom('FLOAT' as const), value: floats }),
    fc.record({ type: fc.constantFrom('STRING' as const), value: names }),
    fc.record({ type: fc.constantFrom('INTS' as const), value: few(integers) }),
    fc.record({ type: fc.constantFrom('FLOATS' as const), value: few(floats) }),
    fc.record({ type: fc.constantFrom('STRINGS' as const), value: few(names) }),
    fc.record({ type: fc.constantFrom('TENSOR' as const), value: fc.oneof(tensors, outside) }),
    fc.record({ type: fc.constantFrom('TENSORS' as const), value: few(tensors) }),
    fc.record({ type: fc.constantFrom('GRAPH' as const), value: tie('graph') }),
    fc.record({ type: fc.constantFrom('GRAPHS' as const), value: few(tie('graph'), 2) }),
  ) as fc.Arbitrary<Attribute>,
  node: fc.record({
    opType: names,
    domain: names,
    name: names,
    inputs: few(names),
    outputs: few(names),
    attributes: fc.dictionary(names, tie('attribute'), { maxKeys: 3 }),
  }),
  graph: fc.record({
    name: names,
    nodes: few(tie('node'), 4),
    initializers: few(fc.oneof(tensors, outside)),
    sparseInitializers: fc.constant([]),
    inputs: few(values),
    outputs: few(values),
    valueInfo: few(values),
  }),
}));

export const models: fc.Arbitrary<Model> = fc.record({
  irVersion: sizes,
  opsetImports: few(fc.record({ domain: names, version: sizes })),
  producerName: names,
  producerVersion: names,
  graph: graphs,
  metadataProps: few(fc.record({ key: names, value: names })),
  functionCount: fc.constant(0),
});

/** What encoders of other versions write: fields we do not know, doc strings, functions, in any order. */
export interface Extra {
  /** Which message of the file gets it, wrapping round. */
  readonly where: number;
  readonly what: 'doc' | 'future' | 'function' | 'shuffle';
  readonly at: number;
}
export const extras: fc.Arbitrary<Extra[]> = fc.array(
  fc.record({
    where: fc.nat({ max: 99 }),
    what: fc.constantFrom('doc', 'future', 'function', 'shuffle'),
    at: fc.nat({ max: 99 }),
  }),
  { maxLength: 6 },
) as fc.Arbitrary<Extra[]>;

/** doc_string of the messages that have one. */
const DOC: Partial<Record<Message['kind'], number>> = {
  Model: 6,
  Graph: 10,
  Node: 6,
  Tensor: 12,
  Value: 3,
  Attribute: 13,
};

/** `bytes` with `list` put into it. */
export function withExtras(bytes: Uint8Array, list: readonly Extra[]): Uint8Array {
  const tree = readTree(bytes);
  for (const { where, what, at } of list) {
    const all = messagesIn(tree);
    const message = all[where % all.length]!;
    const insert = (field: Field) => message.fields.splice(at % (message.fields.length + 1), 0, field);
    if (what === 'doc' && DOC[message.kind]) insert(text(DOC[message.kind]!, 'why\n'));
    if (what === 'future') insert(at % 2 ? text(200 + at, 'later') : number(200 + at, 2n ** 64n - 1n));
    if (what === 'function') tree.fields.push(nested(25, 'Function', text(1, `f${at}`), text(10, 'local')));
    if (what === 'shuffle')
      message.fields.push(...message.fields.splice(0, at % (message.fields.length + 1)));
  }
  return writeTree(tree);
}

/** A model made here is written, read and written again as the same bytes, and says the same. */
export function checkMade(model: Model): void {
  const bytes = serializeModel(model);
  const again = parseModel(bytes);
  expectSame(again, model);
  assert.ok(same(serializeModel(anew(again)), bytes), 'written twice, it differs');
}

/** A file from elsewhere is written as it was; with a new object at every level above them, so is every leaf. */
export function checkFile(bytes: Uint8Array): void {
  const model = parseModel(bytes);
  assert.ok(same(serializeModel(model), bytes), 'untouched, it differs');
  const { graph } = model;
  const touched = { ...model, graph: { ...graph, nodes: graph.nodes.map((node) => ({ ...node })) } };
  const written = serializeModel(touched);
  assert.equal(parts(written), parts(bytes), 'a part was lost or changed');
  expectSame(parseModel(written), model);
}

const same = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;

/** uvu's own comparison trips over a key `constructor`. */
function expectSame(got: Model, expected: Model): void {
  if (isDeepStrictEqual(anew(got), anew(expected))) return;
  assert.is(printModel(got), printModel(expected), 'it says something else');
  assert.unreachable('it differs in what is not printed');
}

const ATTRIBUTE = 5;

/** The fields of model, graph and nodes, each as bytes, in order within their number. */
function parts(bytes: Uint8Array): unknown {
  const leaves = (message: Message): unknown => {
    const byNumber = new Map<number, unknown[]>();
    for (const field of message.fields) {
      const { content } = field;
      const opened = !(content instanceof Uint8Array) && ['Graph', 'Node'].includes(content.kind);
      const shown = opened
        ? leaves(content as Message)
        : Buffer.from(writeTree({ kind: 'Entry', fields: [field] })).toString('hex');
      byNumber.set(field.number, [...(byNumber.get(field.number) ?? []), shown]);
    }
    // An object's keys that look like numbers come first, whatever the file has first.
    if (message.kind === 'Node') byNumber.get(ATTRIBUTE)?.sort();
    return [...byNumber].sort(([a], [b]) => a - b);
  };
  return leaves(readTree(bytes));
}
