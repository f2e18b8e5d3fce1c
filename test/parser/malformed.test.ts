/** Bytes from anywhere: only OfframpErrors come out, and quickly. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { OfframpError } from '../../src/errors/index.ts';
import { checkGraph } from '../../src/graph/check.ts';
import { printModel } from '../../src/graph/print.ts';
import { parseModel, serializeModel } from '../../src/parser/index.ts';
import { tinyResidual } from '../models.ts';
import { bytesOf, codeOf, int, len, message, model, node, smallest, value } from './proto.ts';

const test = suite('parser: malformed');

const text = (s: string) => Buffer.from(s);

/** A graph in an attribute of a node of a graph, `depth` deep. */
function nested(depth: number): Uint8Array {
  let graph: Uint8Array = message(len(2, 'g'));
  for (let i = 1; i < depth; i++) graph = message(len(1, len(5, len(1, 'a'), len(6, graph), int(20, 5))));
  return message(int(1, 8), len(7, graph));
}

/** Sequence of sequence of …, `depth` deep. */
function nestedType(depth: number): Uint8Array {
  let type: Uint8Array = len(1, int(1, 1));
  for (let i = 0; i < depth; i++) type = len(4, len(1, type));
  return model(len(11, len(1, 'x'), len(2, type)));
}

const table: readonly [what: string, bytes: Uint8Array, code: string][] = [
  ['an empty file', new Uint8Array(0), 'not-an-onnx-file'],
  ['zeros', new Uint8Array(1000), 'not-an-onnx-file'],
  ['text', text('Hello, I am a text file.\n'), 'not-an-onnx-file'],
  ['JSON', text('{"format": "keras"}'), 'not-an-onnx-file'],
  ['a Git LFS pointer', text('version https://git-lfs.github.com/spec/v1\noid sha256:00\n'), 'not-an-onnx-file'],
  ['a zip archive', text('PK\x03\x04 and so on'), 'not-an-onnx-file'],
  ['an ORT file', text('\x18\0\0\0ORTM and so on'), 'not-an-onnx-file'],
  ['a model without a graph', int(1, 8), 'not-an-onnx-file'],
  ['a graph that is a number', message(int(1, 8), int(7, 3)), 'not-an-onnx-file'],
  ['a model cut short', smallest.subarray(0, smallest.length - 3), 'truncated-file'],
  ['a length beyond the end', message(int(1, 8), Uint8Array.of(0x3a, 0xff, 0xff, 0xff, 0xff, 0x07)), 'truncated-file'],
  ['a length beyond the graph', model(Uint8Array.of(0x0a, 0x7f)), 'malformed-file'],
  ['a length beyond the node', model(len(1, Uint8Array.of(0x0a, 0x7f))), 'malformed-file'],
  ['a length beyond the attribute', model(len(1, len(5, Uint8Array.of(0x0a, 0x7f)))), 'malformed-file'],
  ['an endless varint', model(len(1, len(5, len(1, 'a'), new Uint8Array(20).fill(0xff)))), 'malformed-file'],
  ['a group', model(Uint8Array.of(0x0b, 0x0c)), 'malformed-file'],
  ['field number 0', model(Uint8Array.of(0x00, 0x00)), 'malformed-file'],
  ['33 graphs in one another', nested(33), 'nested-too-deeply'],
  ['3,000 graphs in one another', nested(3000), 'nested-too-deeply'],
]; // biome-ignore format: a table

for (const [what, bytes, code] of table) {
  test(`${what}: ${code}`, () => {
    assert.is(
      codeOf(() => parseModel(bytes)),
      code,
    );
  });
}

test('32 graphs in one another, and types 3,000 deep, are read', () => {
  assert.is(
    codeOf(() => parseModel(nested(32))),
    '',
  );
  const { graph } = parseModel(nestedType(3000));
  assert.is(graph.inputs[0]!.type, undefined);
});

test('an error says where', () => {
  const bytes = model(len(1, node('Identity', ['x'], ['y'])), len(1, len(5, Uint8Array.of(0x0a, 0x7f))));
  try {
    parseModel(bytes);
    assert.unreachable();
  } catch (error) {
    assert.ok(error instanceof OfframpError);
    assert.match(error.message, 'attribute 0');
    assert.equal(error.trail, ['node 1']);
  }
});

test('every prefix of a model is refused', () => {
  const body = serializeModel(tinyResidual()).subarray(0, 3000);
  for (let end = 0; end < body.length; end++) {
    const code = codeOf(() => parseModel(body.subarray(0, end)));
    assert.ok(['truncated-file', 'not-an-onnx-file'].includes(code), `${end}: ${code}`);
  }
});

test('a graph given in two fields is their concatenation', () => {
  const bytes = message(
    int(1, 8),
    len(7, len(1, node('Identity', ['x'], ['y'])), len(11, value('x'))),
    len(7, len(1, node('Relu', ['y'], ['z'])), len(12, value('z'))),
  );
  const { graph } = parseModel(bytes);
  assert.equal(
    graph.nodes.map((n) => n.opType),
    ['Identity', 'Relu'],
  );
  checkGraph(graph);
});

test('2,000 mutants: no crash, no hang, only OfframpErrors', () => {
  const tensor = len(5, int(1, 2), int(2, 1), len(8, 'w'), len(9, bytesOf(Float32Array.of(1, 2))));
  const body = message(int(1, 8), len(7, len(1, node('Relu', ['x'], ['y'])), tensor), len(25, len(1, 'f')));
  const branch = len(5, len(1, 'then_branch'), len(6, readGraph(body)), int(20, 5));
  const seed = model(
    len(1, node('If', ['c'], ['y'], branch)),
    len(1, node('Conv', ['x', 'w'], ['z'], len(5, len(1, 'pads'), int(8, 1), int(8, 2), int(20, 7)))),
    tensor, len(11, value('x')), len(12, value('y')), len(13, value('z')),
  ); // biome-ignore format: a row
  assert.is(
    codeOf(() => parseModel(seed)),
    '',
  );
  let state = 7;
  const random = (below: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  let accepted = 0;
  for (let i = 0; i < 2000; i++) {
    const bytes = Uint8Array.from(seed);
    for (let k = random(4); k >= 0; k--)
      bytes[random(bytes.length)] = random(3) ? random(256) : random(2) * 255;
    const mutant = random(5) ? bytes : bytes.subarray(0, random(bytes.length));
    try {
      const parsed = parseModel(mutant);
      accepted++;
      const { graph } = parsed;
      const rewritten = { ...parsed, graph: { ...graph, nodes: graph.nodes.map((n) => ({ ...n })) } };
      assert.is(parseModel(serializeModel(rewritten)).graph.nodes.length, graph.nodes.length);
      printModel(parsed);
      checkGraph(graph);
    } catch (error) {
      if (!(error instanceof OfframpError)) throw error;
    }
  }
  assert.ok(accepted > 200 && accepted < 1900, `${accepted} mutants were still models`);
});

/** The graph of a model made above. */
function readGraph(bytes: Uint8Array): Uint8Array {
  return bytes.subarray(4, 4 + bytes[3]!);
}

test.run();
