import { readFileSync } from 'node:fs';
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

/** docs/metadata.md: what it says of each key, and its example. */
function documented(): Map<string, { readonly words: string; readonly example: unknown }> {
  const page = readFileSync(new URL('../../docs/metadata.md', import.meta.url), 'utf8');
  const sections = page.split(/^## /m).slice(1);
  return new Map(
    sections.map((section) => {
      const [, key, words, example] = /^`([\w.]+)`\n([\s\S]*?)```json\n([\s\S]*?)```\n*$/.exec(section)!;
      return [key!, { words: words!, example: JSON.parse(example!) as unknown }];
    }),
  );
}

test('docs/metadata.md has every key, and as examples what the sample chain says', () => {
  const told = [...metadataOf(CHAIN)].map(([key, value]) => [key, JSON.parse(value)] as const);
  const examples = [...documented()].map(([key, { example }]) => [key, example] as const);
  assert.equal(examples, told);
});

test('docs/metadata.md names every field, and every word that a field may be', () => {
  const schema = JSON.parse(
    readFileSync(new URL('../../schema/manifest.schema.json', import.meta.url), 'utf8'),
  ) as { properties: Record<string, { enum?: string[]; properties?: Record<string, { enum?: string[] }> }> };
  const { preprocessing, activation, measuredOn } = schema.properties;
  const words: Record<string, readonly string[]> = {
    'offramp.preprocessing': Object.entries(preprocessing!.properties!).flatMap(([field, own]) => [
      field,
      ...(own.enum ?? []),
    ]),
    'offramp.activation': activation!.enum!,
    'offramp.measured_on': measuredOn!.enum!,
  };
  for (const [key, { words: text, example }] of documented()) {
    const fields = (Array.isArray(example) ? example : [example])
      .filter((value) => typeof value === 'object' && value !== null)
      .flatMap((value) => Object.keys(value));
    const asked = [...new Set([...fields, ...(words[key] ?? [])])].filter((word) => word !== 'name');
    const missing = asked.filter((word) => !text.includes(`\`${word}\``));
    assert.equal(missing, [], key);
  }
});

test.run();
