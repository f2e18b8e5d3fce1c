/** Shapes as the hub documents them: https://github.com/huggingface/hub-docs/blob/main/modelcard.md?plain=1. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parse } from 'yaml';
import type { Manifest } from '../../src/emit/manifest.ts';
import { printFrontMatter } from '../../src/emit/model-card.ts';
import { emitPackage } from '../../src/emit/stub.ts';
import { CHAIN, SAMPLE, samplePoint } from './sample.ts';

const test = suite('emit: model card');

interface Card {
  readonly library_name: string;
  readonly pipeline_tag?: string;
  readonly tags: readonly string[];
  readonly 'model-index'?: readonly {
    readonly name: string;
    readonly results: readonly {
      readonly task: { readonly type: string };
      readonly dataset: { readonly type: string; readonly name: string; readonly split: string };
      readonly metrics: readonly { readonly type: string; readonly value: number; readonly name: string }[];
    }[];
  }[];
}

/** What huggingface_hub takes for the metadata of a README. */
const METADATA = /^---\n([\s\S]*?)\n---(\n|$)/;

/** The same to readers of YAML 1.1 and of 1.2. */
function cardOf(text: string): Card {
  const yaml = METADATA.exec(text)![1]!;
  const card = parse(yaml, { version: '1.2' });
  assert.equal(parse(yaml, { version: '1.1' }), card);
  return card;
}

const resultsOf = (manifest: Manifest) =>
  cardOf(printFrontMatter(manifest, 'pets'))['model-index']?.[0]?.results;
const metricsOf = (manifest: Manifest) => resultsOf(manifest)![0]!.metrics;

/** Fields that must be there are, and no others but those that are optional. */
function hasShape(card: Card): void {
  const isText = (value: unknown) => typeof value === 'string' && value !== '';
  assert.equal(Object.keys(card).filter((key) => !/^(library_name|pipeline_tag|tags|model-index)$/.test(key)), []);
  assert.ok(isText(card.library_name) && card.tags.every(isText));
  for (const { name, results, ...rest } of card['model-index']!) {
    assert.ok(isText(name) && results.length > 0);
    assert.equal(rest, {});
    for (const { task, dataset, metrics, ...more } of results) {
      assert.equal([Object.keys(task), Object.keys(dataset), more], [['type'], ['type', 'name', 'split'], {}]);
      assert.ok([task.type, dataset.type, dataset.name, dataset.split].every(isText));
      assert.ok(metrics.length > 0);
      for (const { type, value, name, ...others } of metrics) {
        assert.ok(isText(type) && isText(name) && Number.isFinite(value), JSON.stringify({ type, value, name }));
        assert.equal(others, {});
      }
      assert.is(new Set(metrics.map(({ name }) => name)).size, metrics.length, 'no name twice');
    }
  }
} // biome-ignore format: rows

test('a README opens with what the hub reads, and goes on with its title', () => {
  for (const manifest of [SAMPLE, CHAIN]) {
    const readme = emitPackage(manifest).get('README.md')!;
    hasShape(cardOf(readme));
    assert.match(readme, /\n---\n\n# pets\n/);
    assert.is(emitPackage(manifest).get('README.md'), readme);
  }
});

test('each point has the figures of the manifest', () => {
  const curve = samplePoint('cost-0.6', [0.5, 0.5], 0.6);
  const metrics = metricsOf({ ...SAMPLE, operatingPoints: [...SAMPLE.operatingPoints, curve] });
  assert.is(metrics.length, 9, 'of points with names');
  for (const { name, accuracy, agreement, relativeCost } of SAMPLE.operatingPoints) {
    const own = metrics.filter((metric) => metric.name.endsWith(` at ${name}`));
    assert.equal(
      own.map(({ type, value }) => [type, value]),
      [
        ['accuracy', accuracy],
        ['agreement', agreement],
        ['relative_cost', relativeCost],
      ],
    );
  }
  const { dataset } = resultsOf(SAMPLE)![0]!;
  assert.equal(dataset, { type: 'unknown', name: 'test data, 50 samples, hash cc33', split: 'test' });
});

test('what was not measured is not there', () => {
  const measured = (more: object): Manifest => ({
    ...SAMPLE,
    data: { test: { samples: 50, hash: 'cc33', ...more } },
  });
  const unlabelled = metricsOf(measured({ labels: 'original' }));
  assert.equal(
    unlabelled.map(({ type }) => type),
    Array(3).fill(['agreement', 'relative_cost']).flat(),
  );
  const random = cardOf(printFrontMatter(measured({ random: true }), 'pets'));
  assert.not.ok('model-index' in random);
  const baked = metricsOf({ ...SAMPLE, outputs: { ...SAMPLE.outputs, thresholds: null } });
  assert.ok(baked.every(({ name }) => name.endsWith(' at balanced')));
});

test('the task is told where it is known', () => {
  const tagOf = (manifest: Manifest) => cardOf(printFrontMatter(manifest, 'pets')).pipeline_tag;
  const numbers: Manifest = { ...SAMPLE, preprocessing: null };
  assert.is(tagOf(SAMPLE), 'image-classification');
  assert.is(tagOf({ ...numbers, tokenizer: { sha256: 'ab'.repeat(32) } }), 'text-classification');
  assert.is(tagOf(numbers), undefined);
  assert.is(resultsOf(numbers)![0]!.task.type, 'other');
});

test('names stay names, whatever they hold', () => {
  const odd = ['no', '1.0', '12:30', '2024-01-01', '~', 'a: b', '"a" \'b\' #c', '- x', '--- ', '&a *b', '!!x', '{', '%'];
  for (const name of odd) {
    const card = cardOf(printFrontMatter({ ...SAMPLE, operatingPoints: [samplePoint(name, [1, 1], 1)] }, name));
    hasShape(card);
    assert.is(card['model-index']![0]!.name, name);
    assert.is(card['model-index']![0]!.results[0]!.metrics[0]!.name, `accuracy at ${name}`);
  }
  for (const name of ['a\nb', 'a\r\n---\n# b', 'a\u0085---\u2028b\u2029', 'a\u0000\u001b\u007f'])
    assert.not.match(printFrontMatter(SAMPLE, name).replaceAll('\n', ''), /[\p{Cc}\u2028\u2029]/u);
  const card = cardOf(printFrontMatter(SAMPLE, 'a\n---\n# b'));
  assert.is(card['model-index']![0]!.name, 'a --- # b');
}); // biome-ignore format: rows

test.run();
