import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseModel, renameExternal, serializeModel } from '../../src/parser/index.ts';
import { hasCode } from '../expect.ts';
import { int, len, message, model, node, value } from './proto.ts';

const test = suite('parser: rename-external');

/** A float[4] tensor at byte 16 of a file, with a checksum that ONNX Runtime does not read and a documentation. */
const external = (name: string, location: string) =>
  message(
    int(1, 4),
    int(2, 1),
    len(8, name),
    len(12, 'as exported'),
    ...Object.entries({ location, offset: '16', length: '16', checksum: 'abc' }).map(([key, text]) =>
      len(13, len(1, key), len(2, text)),
    ),
    int(14, 1),
  );
const fields = [len(1, node('Add', ['x', 'w'], ['y'])), len(11, value('x')), len(12, value('y'))];
const named = (location: string) => (location === 'old.bin' ? 'new.bin' : undefined);

test('the location changes, offset, length and the rest stay', () => {
  const before = parseModel(
    model(...fields, len(5, external('w', 'old.bin')), len(5, int(1, 0), int(2, 1), len(8, 'v'))),
  );
  const renamed = renameExternal(before, named);
  assert.equal(renamed.graph.initializers[0]!.external, { location: 'new.bin', offset: 16, length: 16 });
  assert.is(renamed.graph.initializers[1], before.graph.initializers[1]);
  assert.is(renamed.graph.nodes, before.graph.nodes);
  const [w] = parseModel(serializeModel(renamed)).graph.initializers;
  assert.equal(w!.external, { location: 'new.bin', offset: 16, length: 16 });
  assert.ok(Buffer.from(serializeModel(renamed)).includes('as exported'));
  assert.not.ok(Buffer.from(serializeModel(renamed)).includes('old.bin'));
});

test('a location that nobody knows is refused', () => {
  const before = parseModel(model(...fields, len(5, external('w', 'other.bin'))));
  assert.throws(() => renameExternal(before, named), hasCode('external-data-missing'));
});

test('a location in a local function cannot change', () => {
  const constant = len(5, len(1, 'value'), len(5, external('c', 'old.bin')), int(20, 4));
  const body = len(7, node('Constant', [], ['o'], constant));
  const fn = len(25, len(1, 'f'), len(10, 'lib'), len(5, 'o'), body, len(9, len(1, ''), int(2, 16)));
  const before = parseModel(message(model(...fields, len(5, int(1, 0), int(2, 1), len(8, 'w'))), fn));
  assert.throws(() => renameExternal(before, named), hasCode('external-data-in-function'));
  assert.is(
    renameExternal(before, (location) => location),
    before,
  );
});

test.run();
