/** Files that ask for more than they should have: every limit holds, and says which it is. */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { OfframpError } from '../../src/errors/index.ts';
import { checkGraph } from '../../src/graph/check.ts';
import { loadModel, parseModel } from '../../src/parser/index.ts';
import { bytesOf, int, len, message, model, node, value } from './proto.ts';

const test = suite('parser: limits');

let root = '';
let folder = '';

test.before(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'offramp-')));
  folder = join(root, 'model');
  mkdirSync(join(folder, 'weights'), { recursive: true });
  for (const file of ['outside.bin', 'model/w.bin', 'model/weights/deep.bin'])
    writeFileSync(join(root, file), new Uint8Array(64));
  symlinkSync(join(root, 'outside.bin'), join(folder, 'link.bin'));
  symlinkSync(root, join(folder, 'up'));
  symlinkSync('/dev/zero', join(folder, 'endless'));
  symlinkSync('loop', join(folder, 'loop'));
  symlinkSync('weights/deep.bin', join(folder, 'inside.bin'));
});

test.after(() => rmSync(root, { recursive: true }));

/** The error that a file of `bytes` is refused with; undefined when it loads. */
async function refusal(bytes: Uint8Array): Promise<OfframpError | undefined> {
  const path = join(folder, 'm.onnx');
  writeFileSync(path, bytes);
  try {
    await loadModel(path);
    return undefined;
  } catch (error) {
    assert.instance(error, OfframpError, String(error));
    assert.ok((error as OfframpError).hint.length > 10, 'a remedy');
    return error as OfframpError;
  }
}

const io = [len(11, value('x')), len(12, value('y'))];
const relu = (from: string, to: string) => len(1, node('Relu', [from], [to]));
/** x → Relu → y, and what is given. */
const around = (...fields: Uint8Array[]) => model(relu('x', 'y'), ...io, ...fields);
const attribute = (name: string, type: number, ...fields: Uint8Array[]) =>
  len(5, len(1, name), ...fields, int(20, type));
const cat = (parts: readonly Uint8Array[]) => Uint8Array.from(Buffer.concat(parts));
const repeated = (bytes: number[], times: number) =>
  Uint8Array.from({ length: bytes.length * times }, (_, i) => bytes[i % bytes.length]!);

/** A graph with an If whose branch is a graph with an If …, `depth` graphs in all. */
function nested(depth: number): Uint8Array {
  let graph = message(len(1, node('Relu', ['x'], ['z0'])), len(12, value('z0')));
  for (let i = 1; i < depth - 1; i++) {
    const inner = node('If', ['x'], [`z${i}`], attribute('then_branch', 5, len(6, graph)));
    graph = message(len(1, inner), len(12, value(`z${i}`)));
  }
  return model(len(1, node('If', ['x'], ['y'], attribute('then_branch', 5, len(6, graph)))), ...io);
}

/** Function i does what `calls` says: names of functions, one behind the other. */
function functions(bodies: Readonly<Record<string, readonly string[]>>, last = 'Relu'): Uint8Array {
  const call = (name: string, from: string, to: string) =>
    message(node(name, [from], [to]), len(7, name === last ? '' : 'f'));
  const body = ([name, calls]: readonly [string, readonly string[]]) => {
    const nodes = calls.map((callee, i) => len(7, call(callee, `t${i}`, `t${i + 1}`)));
    return len(25, len(1, name), len(4, 't0'), len(5, `t${calls.length}`), ...nodes, len(10, 'f'));
  };
  return cat([model(len(1, call('F0', 'x', 'y')), ...io), ...Object.entries(bodies).map(body)]);
}
const chain = (length: number) =>
  Object.fromEntries(Array.from({ length }, (_, i) => [`F${i}`, [i < length - 1 ? `F${i + 1}` : 'Relu']]));
/** Each calls the next one twice. */
const doubling = (length: number) =>
  Object.fromEntries(
    Array.from({ length }, (_, i) => [`F${i}`, Array<string>(2).fill(i < length - 1 ? `F${i + 1}` : 'Relu')]),
  );

const entry = (key: string, text: string) => len(13, len(1, key), len(2, text));
/** A float[4] whose data lie elsewhere. */
const external = (...fields: Uint8Array[]) => message(int(1, 4), int(2, 1), len(8, 'w'), ...fields);
const at = (location: string) => external(entry('location', location), int(14, 1));
const constant = (tensor: Uint8Array) => node('Constant', [], ['c'], attribute('value', 4, len(5, tensor)));
const sparse = (tensor: Uint8Array, ...dims: number[]) =>
  message(len(1, tensor), len(2, int(1, 0), int(2, 7)), ...dims.map((d) => int(3, d)));
const input = (...sizes: number[]) =>
  len(11, len(1, 'v'), len(2, len(1, int(1, 1), len(2, ...sizes.map((d) => len(1, int(1, d)))))));

const table: readonly [what: string, bytes: Uint8Array, code: string | undefined][] = [
  ['32 graphs in one another', nested(32), undefined],
  ['33 graphs in one another', nested(33), 'nested-too-deeply'],
  ['functions 100 deep', functions(chain(100)), undefined],
  ['functions 101 deep', functions(chain(101)), 'functions-too-deep'],
  ['functions 10,000 deep, the deepest first', functions(Object.fromEntries(Object.entries(chain(10_000)).reverse())), 'functions-too-deep'],
  ['a function that calls itself', functions({ F0: ['F0'] }), 'functions-too-deep'],
  ['functions that call each other', functions({ F0: ['F1'], F1: ['F0'] }), 'functions-too-deep'],
  ['functions that stand for 65,536 nodes', functions(doubling(16)), undefined],
  ['functions that stand for 67 million nodes', functions(doubling(26)), 'functions-too-large'],
  ['a function defined twice', cat([functions({ F0: ['Relu'] }), len(25, len(1, 'F0'), len(10, 'f'))]), 'invalid-graph'],
  ['two overloads of a function', cat([functions({ F0: ['Relu'] }), len(25, len(1, 'F0'), len(10, 'f'), len(13, 'other'))]), undefined],

  ['a length of 2^32 - 1', around(Uint8Array.of(0x2a, 0xff, 0xff, 0xff, 0xff, 0x0f)), 'malformed-file'],
  ['dims of 2^62', around(len(5, int(1, 2n ** 62n), int(2, 1), len(8, 'w'), len(9, new Uint8Array(4)))), 'malformed-tensor'],
  ['dims whose product wraps round to 4', around(len(5, int(1, 2n ** 33n + 2n), int(1, 2n ** 31n), int(2, 1), len(8, 'w'), len(9, new Uint8Array(16)))), 'malformed-tensor'],
  ['a negative dim', around(len(5, int(1, -4), int(2, 1), len(8, 'w'), len(9, new Uint8Array(16)))), 'malformed-tensor'],
  ['a sparse tensor that is 4 TiB when dense', around(len(15, sparse(message(int(1, 0), int(2, 1), len(8, 's')), 2 ** 20, 2 ** 20))), 'malformed-tensor'],
  ['a sparse constant that is 4 TiB when dense', around(len(1, node('Constant', [], ['c'], attribute('sparse_value', 11, len(22, sparse(message(int(1, 0), int(2, 1)), 2 ** 20, 2 ** 20)))))), 'malformed-tensor'],
  ['a sample of 512 MiB', around(input(1, 2 ** 27)), undefined],
  ['a sample of more', around(input(1, 2 ** 27 + 1)), 'input-too-large'],
  ['a sample of 4 TiB', around(input(1, 2 ** 20, 2 ** 20)), 'input-too-large'],
  ['a million fields', around(repeated([0x78, 0], 2 ** 20)), 'too-many-fields'],
  ['a million nodes', around(repeated([0x0a, 0], 2 ** 20)), 'too-many-fields'],
  ['a million dims', around(cat([Uint8Array.of(0x2a, 0x84, 0x80, 0x40, 0x0a, 0x80, 0x80, 0x40), repeated([1], 2 ** 20)])), 'too-many-fields'],

  ['a cycle', model(relu('b', 'a'), relu('a', 'b'), relu('b', 'y'), ...io), 'invalid-graph'],
  ['a node that reads itself', model(relu('y', 'y'), ...io), 'invalid-graph'],
  ['a value made twice', model(relu('x', 'y'), relu('x', 'y'), ...io), 'invalid-graph'],
  ['an input given twice', around(len(11, value('x'))), 'invalid-graph'],
  ['an attribute given twice', model(len(1, node('Op', ['x'], ['y'], attribute('a', 2, int(3, 1)), attribute('a', 2, int(3, 2)))), ...io), 'malformed-file'],

  ['data beside the model', around(len(5, at('w.bin'))), undefined],
  ['data in a folder beside it', around(len(5, at('weights/deep.bin'))), undefined],
  ['a link to beside the model', around(len(5, at('inside.bin'))), undefined],
  ['data in the folder above', around(len(5, at('../outside.bin'))), 'external-data-outside'],
  ['data up and down again', around(len(5, at('weights/../../model/w.bin'))), 'external-data-outside'],
  ['data anywhere', around(len(5, at('/etc/passwd'))), 'external-data-outside'],
  ['data on a drive', around(len(5, at('C:\\w.bin'))), 'external-data-outside'],
  ['data on a server', around(len(5, at('\\\\server\\w.bin'))), 'external-data-outside'],
  ['a link to outside', around(len(5, at('link.bin'))), 'external-data-outside'],
  ['a folder that is a link to outside', around(len(5, at('up/outside.bin'))), 'external-data-outside'],
  ['a link to a device', around(len(5, at('endless'))), 'external-data-missing'],
  ['a link to itself', around(len(5, at('loop'))), 'external-data-missing'],
  ['a NUL in the path', around(len(5, at('w.bin\0'))), 'external-data-missing'],
  ['an offset behind the end', around(len(5, external(entry('location', 'w.bin'), entry('offset', '65'), int(14, 1)))), 'external-data-too-short'],
  ['an offset of 2^63 - 1', around(len(5, external(entry('location', 'w.bin'), entry('offset', '9223372036854775807'), int(14, 1)))), 'malformed-tensor'],
  ['a length behind the end', around(len(5, external(entry('location', 'w.bin'), entry('offset', '56'), entry('length', '16'), int(14, 1)))), 'external-data-too-short'],
  ['a location for us and one for another reader', around(len(5, external(entry('location', 'w.bin'), entry('location', '../outside.bin'), int(14, 1)))), 'malformed-tensor'],
  ['a data_location that other readers ignore', around(len(5, external(len(9, new Uint8Array(16)), entry('location', '../outside.bin'), int(14, 1), int(14, 2)))), 'malformed-tensor'],
  ['data outside, of a constant', around(len(1, constant(at('../outside.bin')))), 'external-data-outside'],
  ['data outside, of a sparse initializer', around(len(15, sparse(at('../outside.bin'), 4))), 'malformed-tensor'],
  ['data outside, of a constant in a function', cat([around(), len(25, len(1, 'F'), len(7, constant(at('../outside.bin'))))]), 'external-data-outside'],
  ['data outside, of a default of a function', cat([around(), len(25, len(1, 'F'), len(11, len(1, 'a'), len(5, at('../outside.bin')), int(20, 4)))]), 'external-data-outside'],
  ['a graph behind a type that other readers ignore', around(len(1, node('If', ['x'], ['z'], attribute('then_branch', 99, len(6, len(2, 'g')), int(20, 5))))), 'malformed-file'],
]; // biome-ignore format: a table

for (const [what, bytes, code] of table) {
  test(`${what}: ${code ?? 'loads'}`, async () => {
    assert.is((await refusal(bytes))?.code, code);
  });
}

test('two names of one file are one file', async () => {
  const bytes = around(
    len(5, at('w.bin')),
    len(5, external(len(8, 'v'), entry('location', './w.bin'), int(14, 1))),
  );
  writeFileSync(join(folder, 'twice.onnx'), bytes);
  assert.equal((await loadModel(join(folder, 'twice.onnx'))).externalFiles, ['w.bin']);
});

test('the scope around a subgraph is asked, not copied: a file can hold a subgraph every ten bytes', () => {
  const { graph } = parseModel(around(len(1, node('Relu', ['outer'], ['z']))));
  checkGraph(graph, { has: (name) => name === 'outer' });
});

test('a message shows no control characters and has an end', () => {
  const names = ['\u001b]0;owned\u0007', 'A'.repeat(100_000), '\u0001'.repeat(5000)];
  for (const name of names) {
    try {
      parseModel(model(len(5, int(1, 3), int(2, 1), len(8, name), len(9, bytesOf(Float32Array.of(1))))));
      assert.unreachable();
    } catch (error) {
      const { message: told } = error as Error;
      assert.ok(told.startsWith('tensor ') && told.length <= 4000, told.slice(0, 100));
      assert.not.match(told, /\p{Cc}/u);
    }
  }
});

test('what a broken field is remembered with is the reason, for whoever looks for bugs', () => {
  try {
    parseModel(model(len(1, Uint8Array.of(0x0a, 0x7f))));
    assert.unreachable();
  } catch (error) {
    assert.is((error as OfframpError).code, 'malformed-file');
    assert.instance((error as OfframpError).cause, Error);
  }
});

test.run();
