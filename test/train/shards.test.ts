import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { PLAIN_VIEW } from '../../src/data/index.ts';
import { type FeatureOptions, MIRRORED, openFeatures } from '../../src/train/features.ts';
import { mergeShards, openMerged, rangeOf, writeShard } from '../../src/train/shards.ts';
import { rejectsWith } from '../expect.ts';
import { syntheticData, syntheticHeads, syntheticModel, temporaryFolder } from './synthetic.ts';

const test = suite('train: shards');
const SIZE = 1100;
const COUNT = 3;
const data = syntheticData(SIZE);
/** Three shards, complete, of the same. */
const made = temporaryFolder();

const optionsFor = (more: Partial<FeatureOptions> = {}): FeatureOptions => ({
  typed: syntheticModel(),
  modelHash: 'model',
  heads: syntheticHeads(),
  dataset: data,
  views: [PLAIN_VIEW, MIRRORED],
  session: { threads: 1 },
  ...more,
});

/** How many samples the backbone was shown meanwhile. */
async function readsIn(run: () => Promise<unknown>): Promise<number> {
  const before = data.reads;
  await run();
  return data.reads - before;
}
const shard = (index: number, count = COUNT) => ({ index, count });
const home = (folder: string, index: number) => join(folder, `shard-${index}-of-${COUNT}`);
const recordsIn = (folder: string) => readdirSync(folder).filter((name) => !name.includes('.'));
const bytesIn = (folder: string) =>
  Object.fromEntries(
    readdirSync(folder)
      .filter((name) => !name.endsWith('.hold'))
      .sort()
      .map((name) => [name, readFileSync(join(folder, name)).toString('base64')]),
  );

/** A copy of the three shards to do damage to. */
function copied(): string {
  const folder = temporaryFolder();
  cpSync(made, folder, { recursive: true });
  return folder;
}

test.before(async () => {
  for (const index of [3, 1, 2]) await writeShard(optionsFor(), shard(index), made);
});

test('shards are whole chunks, and together all samples', () => {
  for (const size of [1, 255, 256, 257, 1100, 50_000])
    for (const count of [1, 2, 3, 4, 7, 300]) {
      const ranges = Array.from({ length: count }, (_, i) => rangeOf(shard(i + 1, count), size));
      let next = 0;
      for (const range of ranges) {
        assert.is(range.first, next);
        assert.ok(range.first % 256 === 0 || range.size === 0);
        next += range.size;
      }
      assert.is(next, size);
      const sizes = ranges.map((range) => Math.ceil(range.size / 256));
      assert.ok(Math.max(...sizes) - Math.min(...sizes) <= 1, 'as even as they come');
    }
});

test('merged shards are, to the byte, one shard merged and the files of the cache', async () => {
  const [one, cache] = [temporaryFolder(), temporaryFolder()];
  const several = copied();
  await writeShard(optionsFor(), shard(1, 1), one);
  await mergeShards(one);
  const merged = await mergeShards(several);
  assert.equal([merged.folder, merged.shards], [join(several, 'merged'), COUNT]);
  assert.equal(bytesIn(join(several, 'merged')), bytesIn(join(one, 'merged')));
  const source = await openFeatures(optionsFor({ cacheFolder: cache }));
  const { 'features.json': _, ...records } = bytesIn(join(several, 'merged'));
  assert.equal(bytesIn(join(cache, 'features')), records);

  const opened = await openMerged(several, optionsFor());
  const picks = [3, 4, 1099, 256, 255, 512];
  const views = [0, 0, 1, 1, 0, 1];
  const copy = async (from: typeof source) => {
    const { features, logits } = await from.read(picks, views);
    return [...Object.values(features), logits].map((t) => [...(t.data as Float32Array)]);
  };
  assert.equal(await copy(opened), await copy(source));
  assert.equal([opened.storage, opened.views.length, opened.size], ['cached', 2, SIZE]);
  await Promise.all([opened.close(), source.close()]);
});

test('a finished shard is not made again; more shards than chunks are fine', async () => {
  assert.is(await readsIn(() => writeShard(optionsFor(), shard(2), copied())), 0);
  const folder = temporaryFolder();
  for (let index = 1; index <= 7; index++) await writeShard(optionsFor(), shard(index, 7), folder);
  await mergeShards(folder);
  assert.is(Object.keys(bytesIn(join(folder, 'merged'))).length, 2 * 3 * 2 + 1);
});

test('a damaged shard is made again from where it is damaged', async () => {
  const folder = copied();
  const path = join(home(folder, 3), recordsIn(home(folder, 3))[0]!);
  const { size } = rangeOf(shard(3), SIZE);
  flip(path, 0.9);
  const reads = await readsIn(() => writeShard(optionsFor(), shard(3), folder));
  assert.is(reads, size - 256, 'all but the first chunk, of one view');
  assert.equal(bytesIn(home(folder, 3)), bytesIn(home(made, 3)));
});

test('missing, unfinished, damaged and foreign shards are all named, and nothing is written', async () => {
  const folder = copied();
  rmSync(home(folder, 1), { recursive: true });
  const [name] = recordsIn(home(folder, 2));
  flip(join(home(folder, 2), name!), 0.1);
  const { message, hint } = await rejectsWith('shards-unusable', () => mergeShards(folder));
  assert.match(message, /shard 1\/3 is missing/);
  assert.match(message, new RegExp(`shard 2/3 is damaged \\(${name}: 0 of 512 samples are whole\\)`));
  assert.not.match(message, /shard 3/);
  assert.match(hint, /offramp features/);
  assert.not.ok(readdirSync(folder).includes('merged'));

  const unfinished = copied();
  const path = join(home(unfinished, 3), recordsIn(home(unfinished, 3))[2]!);
  const mark = JSON.parse(readFileSync(`${path}.json`, 'utf8'));
  writeFileSync(`${path}.json`, JSON.stringify({ ...mark, chunks: mark.chunks.slice(0, 1) }));
  truncateSync(path, 256 * mark.recordBytes + 5);
  assert.match(
    (await rejectsWith('shards-unusable', () => mergeShards(unfinished))).message,
    /shard 3\/3 is unfinished \(\w+: 256 of 332 samples are whole\)/,
  );

  const foreign = copied();
  rmSync(home(foreign, 2), { recursive: true });
  await writeShard(optionsFor({ modelHash: 'other', views: [PLAIN_VIEW] }), shard(2), foreign);
  assert.match(
    (await rejectsWith('shards-unusable', () => mergeShards(foreign))).message,
    /shard 2\/3 is not of what shard 1\/3 is of: model other instead of model model; 1 view instead of 2 views/,
  );
  await rejectsWith('features-differ', () => writeShard(optionsFor(), shard(2), foreign));

  writeFileSync(join(home(foreign, 2), 'features.json'), '{"model":');
  assert.match(
    (await rejectsWith('shards-unusable', () => mergeShards(foreign))).message,
    /damaged \(features\.json\)/,
  );
  mkdirSync(join(foreign, 'shard-1-of-5'));
  await rejectsWith('shards-mixed', () => mergeShards(foreign));
  await rejectsWith('no-shards', () => mergeShards(temporaryFolder()));
});

test('merging again mends what was merged', async () => {
  const folder = copied();
  await mergeShards(folder);
  const whole = bytesIn(join(folder, 'merged'));
  const path = join(folder, 'merged', recordsIn(join(folder, 'merged'))[1]!);
  flip(path, 0.7);
  assert.match(
    (await rejectsWith('features-damaged', () => openMerged(folder, optionsFor()))).message,
    /merged/,
  );
  await mergeShards(folder);
  assert.equal(bytesIn(join(folder, 'merged')), whole);
});

test('features of something else are refused by name', async () => {
  const folder = copied();
  await rejectsWith('features-not-merged', () => openMerged(folder, optionsFor()));
  await mergeShards(folder);
  const cases: [Partial<FeatureOptions>, RegExp][] = [
    [{ modelHash: 'another' }, /: model model instead of model another$/],
    [{ dataset: syntheticData(SIZE, 2) }, /: data \S+.* instead of data/],
    [{ views: [PLAIN_VIEW] }, /: 2 views instead of 1 view$/],
    [{ half: false }, /: exits at/],
    [{ heads: syntheticHeads('pool') }, /: exits at/],
    [{ heads: syntheticHeads().slice(0, 1) }, /: exits at/],
    [{ session: { threads: 1, provider: 'cuda' } }, /: provider cpu instead of provider cuda$/],
    [
      {
        dataset: { ...data, preprocessing: { ...data.preprocessing, scale: 255 } },
      },
      /: preprocessing \{"scale":1.* instead of preprocessing \{"scale":255/,
    ],
  ];
  for (const [more, expected] of cases)
    assert.match(
      (await rejectsWith('features-differ', () => openMerged(folder, optionsFor(more)))).message,
      expected,
    );
});

/** Another bit at this share of the file. */
function flip(path: string, share: number): void {
  const bytes = readFileSync(path);
  bytes[Math.floor(share * bytes.length)]! ^= 1;
  writeFileSync(path, bytes);
}

test.run();
