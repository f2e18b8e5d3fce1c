/** Nothing of a file is lost: what was not touched is written as it was found, and an edited element keeps the rest. */
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Node } from '../../src/graph/types.ts';
import { parseModel, serializeModel } from '../../src/parser/index.ts';
import { anew, graphFields, INITIALIZER, NODE, same, testIdentity, withGraph } from './identical.ts';
import { bytesOf, contains, float32, int, len, message, model, node, packed, value } from './proto.ts';

const test = suite('parser: identity');

testIdentity(test, fileURLToPath(new URL('../../examples/demo/base.onnx', import.meta.url)));

test('weights are views on the file', () => {
  const raw = bytesOf(Float32Array.of(1, 2, 3));
  const file = model(len(INITIALIZER, int(1, 3), int(2, 1), len(8, 'raw'), len(9, raw)));
  const { bytes } = parseModel(file).graph.initializers[0]!;
  assert.is(bytes.buffer, file.buffer);
  assert.equal([...new Float32Array(bytes.slice().buffer)], [1, 2, 3]);
});

test('an edited node keeps its attributes as they were, and the fields that we do not know', () => {
  const maximum = message(len(1, 'big'), int(3, 9223372036854775807n), len(13, 'a doc'), int(20, 2));
  const overload = len(8, 'an overload');
  const metadata = len(9, len(1, 'key'), len(2, 'value'));
  const doc = len(6, 'why');
  const file = model(len(NODE, node('Op', ['x'], ['y'], doc, len(5, maximum), overload, metadata)));
  const edited = withGraph(parseModel(file), (g) => ({ nodes: [{ ...g.nodes[0]!, inputs: ['z'] }] }));
  const written = graphFields(serializeModel(edited), NODE)[0]!;
  const expected = len(NODE, node('Op', ['z'], ['y'], len(5, maximum), doc, overload, metadata));
  assert.ok(same(written, expected));
});

test('an attribute under another name is renamed in its bytes', () => {
  const attribute = (name: string) =>
    message(len(1, name), int(3, 9223372036854775807n), len(13, 'doc'), int(20, 2));
  const file = model(len(NODE, node('Op', [], ['y'], len(5, attribute('old')))));
  const edited = withGraph(parseModel(file), (g) => ({
    nodes: [{ ...g.nodes[0]!, attributes: { new: g.nodes[0]!.attributes.old! } }],
  }));
  const written = graphFields(serializeModel(edited), NODE)[0]!;
  assert.ok(same(written, len(NODE, node('Op', [], ['y'], len(5, attribute('new'))))));
});

test('edited graphs, models, values and tensors keep the fields that we do not know', () => {
  const later = len(99, 'from the future');
  const sequence = len(2, len(4, len(1, len(1, int(1, 1)))));
  const file = message(
    model(
      len(
        INITIALIZER,
        int(1, 1),
        int(2, 3),
        len(8, 't'),
        len(9, Uint8Array.of(7)),
        len(16, 'tensor metadata'),
      ),
      len(INITIALIZER, int(1, 1), int(2, 777), len(8, 'new type'), len(9, Uint8Array.of(8, 9))),
      len(11, message(len(1, 's'), sequence, len(3, 'value doc'))),
      len(12, value('t')),
      len(14, 'quantization annotation'),
    ),
    later,
    len(25, len(1, 'function')),
  );
  const parsed = parseModel(file);
  assert.is(parsed.functionCount, 1);
  assert.is(parsed.graph.initializers[1]!.dataType, 'undefined');
  const edited = withGraph({ ...parsed, producerName: 'offramp' }, (g) => ({
    initializers: g.initializers.map((t) => ({ ...t, name: `${t.name}!` })),
    inputs: g.inputs.map((v) => ({ ...v, name: 'r' })),
  }));
  const written = serializeModel(edited);
  const [known, unknown] = graphFields(written, INITIALIZER);
  const unknownType = message(packed(1, 1), len(8, 'new type!'), int(2, 777), len(9, Uint8Array.of(8, 9)));
  assert.ok(same(unknown!, len(INITIALIZER, unknownType)));
  assert.ok(
    same(
      known!,
      len(
        INITIALIZER,
        packed(1, 1),
        int(2, 3),
        len(8, 't!'),
        len(9, Uint8Array.of(7)),
        len(16, 'tensor metadata'),
      ),
    ),
  );
  assert.ok(same(graphFields(written, 11)[0]!, len(11, len(1, 'r'), sequence, len(3, 'value doc'))));
  assert.ok(same(graphFields(written, 14)[0]!, len(14, 'quantization annotation')));
  assert.ok(contains(written, later));
});

test('every kind of attribute is read and written', () => {
  const graph = { ...parseModel(model(len(12, value('x')))).graph };
  const tensor = { name: '', dataType: 'uint8' as const, dims: [2], bytes: Uint8Array.of(1, 2) };
  const attributes: Node['attributes'] = {
    f: { type: 'FLOAT', value: 0.5 },
    i: { type: 'INT', value: -3 },
    max: { type: 'INT', value: 2 ** 63 },
    s: { type: 'STRING', value: 'é\ufeff' },
    t: { type: 'TENSOR', value: tensor },
    g: { type: 'GRAPH', value: graph },
    floats: { type: 'FLOATS', value: [1, 2.5] },
    ints: { type: 'INTS', value: [1, -(2 ** 63), 2 ** 53] },
    strings: { type: 'STRINGS', value: ['a', ''] },
    tensors: { type: 'TENSORS', value: [tensor, tensor] },
    graphs: { type: 'GRAPHS', value: [graph] },
    none: { type: 'INTS', value: [] },
    __proto__x: { type: 'INT', value: 0 },
  };
  const made = withGraph(parseModel(model()), () => ({
    nodes: [{ opType: 'Op', domain: 'test', name: 'n', inputs: ['', 'a'], outputs: ['', 'b'], attributes }],
  }));
  const again = parseModel(serializeModel(made));
  assert.equal(anew(again.graph.nodes), anew(made.graph.nodes));
  const max = graphFields(serializeModel(made), NODE)[0]!;
  assert.ok(contains(max, int(3, 9223372036854775807n)), 'INT64_MAX does not overflow');
});

test('an attribute without a type (IR version 2 and below) has that of its field', () => {
  const untyped = [
    ['FLOAT', float32(2, 1.5), 1.5],
    ['INT', int(3, 7), 7],
    ['STRING', len(4, 'text'), 'text'],
    ['INTS', packed(8, 1, 2), [1, 2]],
    ['STRINGS', len(9, 'a'), ['a']],
  ] as const;
  for (const [type, field, expected] of untyped) {
    const file = model(len(NODE, node('Op', [], ['y'], len(5, len(1, 'a'), field))));
    assert.equal(anew(parseModel(file).graph.nodes[0]!.attributes.a), { type, value: expected });
  }
});

test.run();
