import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { metadataOf, withMetadata } from '../../src/emit/metadata.ts';
import { Session } from '../../src/ort/session.ts';
import { parseModel, serializeModel } from '../../src/parser/index.ts';
import { tinyResidual } from '../models.ts';
import { CHAIN, SAMPLE } from './sample.ts';

const test = suite('emit: metadata');

const readBack = (bytes: Uint8Array) =>
  new Map(parseModel(bytes).metadataProps.map(({ key, value }) => [key, value]));

test('a file says what its manifest says, beside what it said before', async () => {
  const own = { key: 'author', value: 'somebody' };
  const model = { ...tinyResidual({ seed: 1 }), metadataProps: [own] };
  for (const manifest of [SAMPLE, CHAIN]) {
    const bytes = Buffer.concat(withMetadata(serializeModel(model), manifest));
    const found = readBack(bytes);
    assert.is(found.get('author'), 'somebody');
    const value = (key: string) => JSON.parse(found.get(`offramp.${key}`)!);
    for (const [n, { name, thresholds, accuracy }] of manifest.operatingPoints.entries()) {
      const told = value('operating_points')[n];
      assert.equal([told.name, told.thresholds, told.accuracy], [name, thresholds, accuracy]);
    }
    assert.is(value('default_point'), manifest.defaultPoint);
    assert.equal(value('preprocessing'), manifest.preprocessing);
    assert.equal(
      value('exits').map(({ id }: { id: string }) => id),
      manifest.exits.map(({ id }) => id),
    );
    assert.equal(found.has('offramp.networks'), manifest.networks !== undefined);
    assert.equal(parseModel(bytes).graph.nodes.length, model.graph.nodes.length);
    await (await Session.open(bytes)).release();
  }
});

test('classes are told where they have names', () => {
  const { labels: _, ...unnamed } = SAMPLE;
  assert.equal(JSON.parse(metadataOf({ ...SAMPLE, labels: ['cat', 'dög'] }).get('offramp.classes')!), [
    'cat',
    'dög',
  ]);
  assert.not.ok(metadataOf(unnamed).has('offramp.classes'));
});

test.run();
