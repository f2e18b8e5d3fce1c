import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { writing } from '../../src/cache/files.ts';
import { self } from '../../src/cache/process.ts';
import { evict, holdRoom } from '../../src/cache/space.ts';
import { PLAIN_VIEW } from '../../src/data/index.ts';
import { ONNXRUNTIME_VERSION } from '../../src/ort/session.ts';
import { differencesOf, keyOf } from '../../src/train/feature-identity.ts';
import { CachedSource, type FeatureSource } from '../../src/train/feature-source.ts';
import {
  cropViews,
  type FeatureOptions,
  MIRRORED,
  openFeatures,
  planFeatures,
} from '../../src/train/features.ts';
import { rejectsWith } from '../expect.ts';
import { syntheticData, syntheticHeads, syntheticModel, temporaryFolder } from './synthetic.ts';

const test = suite('train: features');
const SIZE = 700;
const VIEWS = [PLAIN_VIEW, MIRRORED];

const optionsFor = (cacheFolder: string | undefined, more: Partial<FeatureOptions> = {}): FeatureOptions => ({
  typed: syntheticModel(),
  modelHash: 'model',
  heads: syntheticHeads(),
  dataset: syntheticData(SIZE),
  cacheFolder,
  views: VIEWS,
  session: { threads: 1 },
  ...more,
});

async function withFeatures<T>(
  options: FeatureOptions,
  use: (source: FeatureSource) => Promise<T>,
): Promise<T> {
  const source = await openFeatures(options);
  try {
    return await use(source);
  } finally {
    await source.close();
  }
}

const PICKS = [3, 4, 5, 699, 0, 256, 255];
const SEEN = [0, 0, 1, 1, 0, 1, 1];

/** Everything that reading gives, copied. */
async function snapshot(source: FeatureSource) {
  const { features, logits } = await source.read(PICKS, SEEN);
  const all = [...Object.values(features), logits];
  return all.map((t) => ({ type: t.type, dims: t.dims, data: [...(t.data as Float32Array)] }));
}

const bytesIn = (folder: string) =>
  Object.fromEntries(
    readdirSync(join(folder, 'features'))
      .sort()
      .map((name) => [name, readFileSync(join(folder, 'features', name)).toString('base64')]),
  );

test('the cache gives what the backbone gives, as float16 and as float32', async () => {
  for (const half of [true, false]) {
    const cached = await withFeatures(optionsFor(temporaryFolder(), { half }), async (source) => {
      assert.is(source.storage, 'cached');
      assert.is(source.views.length, 2);
      return snapshot(source);
    });
    const fresh = await withFeatures(optionsFor(undefined, { half }), async (source) => {
      assert.is(source.storage, 'recomputed');
      return snapshot(source);
    });
    assert.equal(
      cached.map((t) => t.type),
      half ? ['float16', 'float16', 'float32'] : Array(3).fill('float32'),
    );
    assert.equal(
      cached.map((t) => t.dims),
      [
        [7, 8, 8, 8],
        [7, 16, 4, 4],
        [7, 4],
      ],
    );
    cached.forEach((t, i) => {
      t.data.forEach((v, at) => {
        const other = fresh[i]!.data[at]!;
        assert.ok(Math.abs(v - other) <= (t.type === 'float16' ? 1 : 1e-5), `${t.type} ${v} ${other}`);
      });
    });
  }
});

test('a second run reads what the first wrote', async () => {
  const folder = temporaryFolder();
  const first = optionsFor(folder);
  const before = await withFeatures(first, snapshot);
  const second = optionsFor(folder);
  assert.equal(await withFeatures(second, snapshot), before);
  assert.is((second.dataset as unknown as { reads: number }).reads, 0);
});

test('an interrupted run is taken up at its last chunk, and its bytes are those of an uninterrupted one', async () => {
  const [whole, broken] = [temporaryFolder(), temporaryFolder()];
  await withFeatures(optionsFor(whole), snapshot);
  const stop = new AbortController();
  const onProgress = (done: number) => done >= SIZE + 512 && stop.abort();
  try {
    await withFeatures(optionsFor(broken, { signal: stop.signal, onProgress }), snapshot);
    assert.unreachable();
  } catch (error) {
    assert.is((error as Error).name, 'AbortError');
  }
  const again = optionsFor(broken);
  await withFeatures(again, snapshot);
  assert.is((again.dataset as unknown as { reads: number }).reads, SIZE - 512);
  assert.equal(bytesIn(broken), bytesIn(whole));
});

test('damaged, cut and unmarked files are made anew, from where they are damaged', async () => {
  const folder = temporaryFolder();
  await withFeatures(optionsFor(folder), snapshot);
  const good = bytesIn(folder);
  const files = Object.keys(good).filter((name) => !name.includes('.'));
  const path = (i: number) => join(folder, 'features', files[i]!);
  const flipped = readFileSync(path(0));
  flipped[flipped.length >> 1]! ^= 1;
  writeFileSync(path(0), flipped);
  truncateSync(path(1), 1000);
  writeFileSync(`${path(2)}.json`, '{"recordBytes": 3');
  await withFeatures(optionsFor(folder), snapshot);
  assert.equal(bytesIn(folder), good);
});

test('a mark is checked against the bytes', async () => {
  const folder = temporaryFolder();
  await withFeatures(optionsFor(folder), snapshot);
  const good = bytesIn(folder);
  const marks = Object.keys(good).filter((name) => name.endsWith('.json'));
  const mark = JSON.parse(readFileSync(join(folder, 'features', marks[0]!), 'utf8'));
  const odd = [
    { ...mark, chunks: undefined, chunky: mark.chunks },
    { ...mark, chunks: 5 },
    { ...mark, chunks: [...mark.chunks, mark.chunks[0]] },
    { ...mark, chunks: [mark.chunks[1], mark.chunks[0]] },
    { ...mark, size: 1 },
    null,
    'text',
  ];
  for (const wrong of odd) {
    writeFileSync(join(folder, 'features', marks[0]!), JSON.stringify(wrong));
    await withFeatures(optionsFor(folder), snapshot);
    for (const [name, bytes] of Object.entries(bytesIn(folder)))
      if (!marks.includes(name)) assert.ok(bytes === good[name], name);
  }
});

test('another model, view or element type has another place', async () => {
  const folder = temporaryFolder();
  const count = () => readdirSync(join(folder, 'features')).filter((n) => !n.includes('.')).length;
  await withFeatures(optionsFor(folder, { views: [PLAIN_VIEW] }), snapshotFirst);
  assert.is(count(), 3);
  await withFeatures(optionsFor(folder, { views: [PLAIN_VIEW], half: false }), snapshotFirst);
  assert.is(count(), 5);
  await withFeatures(optionsFor(folder, { views: [PLAIN_VIEW], modelHash: 'other' }), snapshotFirst);
  assert.is(count(), 8);
  await withFeatures(optionsFor(folder), snapshot);
  assert.is(count(), 11);
});

test('two that want the same cache at once wait for each other; what a dead process locked is free', async () => {
  const folder = temporaryFolder();
  const [one, two] = await Promise.all([1, 2].map(() => withFeatures(optionsFor(folder), snapshot)));
  assert.equal(one, two);
  assert.equal(await withFeatures(optionsFor(undefined), snapshot), one);
  const names = readdirSync(join(folder, 'features'));
  assert.not.ok(names.some((name) => name.endsWith('.lock')));
  const dead = JSON.stringify({ ...(await self()), pid: spawnSync(process.execPath, ['-e', '']).pid });
  for (const name of names.filter((n) => !n.includes('.'))) {
    writeFileSync(join(folder, 'features', `${name}.lock`), dead);
  }
  assert.equal(await withFeatures(optionsFor(folder), snapshot), one);
});

const snapshotFirst = (source: FeatureSource) => source.read([0]);

test('a limit first costs views, then the cache, and old features go first', async () => {
  const folder = temporaryFolder();
  const perView = SIZE * (2 * (512 + 256) + 16);
  const limited = (views: number) => ({ cacheLimitBytes: perView * views });
  const storage = (more: Partial<FeatureOptions>) =>
    withFeatures(optionsFor(folder, more), async (s) => [s.storage, s.views.length]);
  assert.equal(await storage(limited(2)), ['cached', 2]);
  assert.equal(await storage(limited(1.9)), ['cached', 1]);
  // Files of one age go in any order, until there is room: one of the second view's three, or two.
  const left = Object.keys(bytesIn(folder)).length / 2;
  assert.ok(left >= 3 + 1 && left <= 3 + 2, `${left}`);
  assert.equal(await storage({ ...limited(0.9), freshViews: cropViews() }), ['recomputed', 162]);
  const spared = await storage({ ...limited(1), modelHash: 'other', views: [PLAIN_VIEW] });
  assert.equal(spared, ['cached', 1]);
  assert.is(Object.keys(bytesIn(folder)).length, 2 * 3);
});

test('what is free on the disk changes nothing: features are cached, or the run is refused', async () => {
  const size = 2 ** 50;
  const vast = { ...syntheticData(4), size };
  const error = await rejectsWith('disk-full', () =>
    openFeatures(optionsFor(temporaryFolder(), { dataset: vast, cacheLimitBytes: Number.POSITIVE_INFINITY })),
  );
  assert.match(error.hint, /`cacheLimit: \d+000000`/);

  const folder = join(temporaryFolder(), 'features');
  mkdirSync(folder);
  const put = (name: string, bytes: number) => writeFileSync(join(folder, name), new Uint8Array(bytes));
  const room = (needed: number, free: number) =>
    holdRoom(folder, [join(folder, 'own')], { needed, limit: 1e9, free: async () => free }, {});
  put('own', 400);
  put('other', 1000);
  await (await room(1000, 600))();
  assert.ok(existsSync(join(folder, 'other')), 'nothing has to go while there is room');
  const { message } = await rejectsWith('disk-full', () => room(1000, 599));
  assert.match(message, folder);
  assert.not.ok(existsSync(join(folder, 'other')), 'what others left makes way');
  assert.equal(readdirSync(folder), ['own'], 'and no hold is left');
});

test('what another process uses is not evicted; what it left when it died is', async () => {
  const folder = join(temporaryFolder(), 'features');
  mkdirSync(folder);
  const path = (name: string) => join(folder, name);
  for (const name of ['used', 'idle', 'own']) writeFileSync(path(name), new Uint8Array(1000));
  writeFileSync(path('used.json'), '{}');
  const holder = fileURLToPath(new URL('../cache/hold-room.ts', import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', holder, folder, path('used')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  await once(child.stdout, 'data');
  const room = { needed: 1000, limit: 1500 };
  const release = await holdRoom(folder, [path('own')], room, {});
  assert.equal([existsSync(path('used')), existsSync(path('used.json'))], [true, true]);
  assert.not.ok(existsSync(path('idle')));
  child.kill('SIGKILL');
  await ended;
  assert.is(readdirSync(folder).filter((name) => name.endsWith('.hold')).length, 2);
  await (await holdRoom(folder, [path('next')], room, {}))();
  assert.equal([existsSync(path('used')), existsSync(path('own'))], [false, true], 'our own hold counts too');
  await release();
  assert.equal(readdirSync(folder), ['own']);
});

test('a hold of another machine counts while it is touched', async () => {
  const folder = temporaryFolder();
  const path = (name: string) => join(folder, name);
  const hold = path('1.hold');
  writeFileSync(path('used'), new Uint8Array(1000));
  writeFileSync(hold, '1 1 elsewhere\nused');
  await evict(folder, new Set(), 0);
  assert.ok(existsSync(path('used')));
  utimesSync(hold, 1e9, 1e9);
  await evict(folder, new Set(), 0);
  assert.equal(readdirSync(folder), []);
});

test('open features keep their place until they are closed', async () => {
  const folder = temporaryFolder();
  const perView = SIZE * (2 * (512 + 256) + 16);
  const first = await openFeatures(optionsFor(folder, { views: [PLAIN_VIEW], cacheLimitBytes: perView }));
  const other = optionsFor(folder, { views: [PLAIN_VIEW], cacheLimitBytes: perView, modelHash: 'other' });
  await withFeatures(other, snapshotFirst);
  const count = () => readdirSync(join(folder, 'features')).filter((name) => !name.includes('.')).length;
  assert.is(count(), 6, 'beyond the limit for a while');
  await first.close();
  await withFeatures(other, snapshotFirst);
  assert.is(count(), 3);
});

test('a missing file of features has a code', async () => {
  const folder = temporaryFolder();
  const source = (await openFeatures(optionsFor(folder))) as CachedSource;
  const { paths } = source.filesOf(['exit_1']);
  rmSync(paths[0]![0]!);
  await rejectsWith('cache-damaged', async () => new CachedSource(source.filesOf(['exit_1'])));
  await source.close();
});

test('another ONNX Runtime has another place', () => {
  const { identity } = planFeatures(optionsFor(undefined));
  assert.is(identity.onnxruntime, ONNXRUNTIME_VERSION);
  const [feature] = identity.features;
  const later = { ...identity, onnxruntime: '1.31.0' };
  assert.is.not(keyOf(identity, feature!, PLAIN_VIEW), keyOf(later, feature!, PLAIN_VIEW));
  assert.equal(differencesOf(later, identity), [
    `ONNX Runtime 1.31.0 instead of ONNX Runtime ${ONNXRUNTIME_VERSION}`,
  ]);
});

test('pooled heads keep pooled features', async () => {
  const options = optionsFor(temporaryFolder(), { heads: syntheticHeads('pool') });
  await withFeatures(options, async (source) => {
    assert.equal((await source.read([0])).features.exit_1!.dims, [1, 8, 1, 1]);
  });
});

test('features beyond float16 saturate', async () => {
  const dataset = syntheticData(4);
  const read = dataset.read;
  const bright = { ...dataset, read: async (i: ArrayLike<number>) => (await read(i)).map((v) => v * 1e6) };
  await withFeatures(optionsFor(undefined, { dataset: bright }), async (source) => {
    const { data } = (await source.read([0, 1])).features.exit_1!;
    const bits = new Uint16Array((data as Uint16Array).buffer);
    assert.is(Math.max(...bits), 0x7bff);
  });
});

test('a full disk and an unwritable folder have codes', async () => {
  const failing = (code: string) => () => Promise.reject(Object.assign(new Error(code), { code }));
  for (const [code, expected] of [
    ['ENOSPC', 'disk-full'],
    ['EACCES', 'cache-unwritable'],
  ] as const) {
    const error = await writing('/cache/file', failing(code)).catch((e: unknown) => e);
    assert.is((error as { code: string }).code, expected);
  }
});

test.run();
