import {
  appendFileSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { storeRecords } from '../../src/data/records.ts';
import { fails, freshFolder, input, openAt, pixels, put, putIdx, putImage } from './fixtures.ts';

const test = suite('data: cache of records');

async function images(count = 3): Promise<string> {
  const folder = freshFolder();
  for (let i = 0; i < count; i++) await putImage(join(folder, 'k', `${i}.png`), pixels(48, i + 1), [4, 4, 3]);
  return folder;
}

/** Opens `path` and says how many samples were decoded for it, and the data's hash. */
async function opened(path: string, cache: string, resize?: 'stretch') {
  let decoded = 0;
  const count = (done: number) => {
    decoded = done;
  };
  const data = await openAt(path, input(3, 4, 4), resize ? { resize } : {}, { cache, onProgress: count });
  await data.close();
  return { decoded, hash: data.hash };
}

test('decodes once, and anew when a file or an option changes', async () => {
  const [folder, cache] = [await images(), freshFolder()];
  const first = await opened(folder, cache);
  assert.is(first.decoded, 3);
  assert.equal(await opened(folder, cache), { decoded: 0, hash: first.hash });
  assert.equal(await opened(folder, cache, 'stretch'), { decoded: 3, hash: first.hash });

  utimesSync(join(folder, 'k', '1.png'), 1e9, 1e9);
  assert.equal(await opened(folder, cache), { decoded: 3, hash: first.hash });
  await putImage(join(folder, 'k', '1.png'), pixels(48, 99), [4, 4, 3]);
  const changed = await opened(folder, cache);
  assert.is(changed.decoded, 3);
  assert.is.not(changed.hash, first.hash);
});

test('the hash is the data, not its place or format', async () => {
  const cache = freshFolder();
  const folder = await images();
  const { hash } = await opened(folder, cache);
  const moved = join(freshFolder(), 'moved');
  renameSync(folder, moved);
  assert.equal(await opened(moved, cache), { decoded: 3, hash });
});

test('a damaged folder is made anew, whatever the damage', async () => {
  const [folder, cache] = [await images(), freshFolder()];
  const { hash } = await opened(folder, cache);
  const [key] = readdirSync(join(cache, 'records'));
  const home = join(cache, 'records', key!);
  for (const name of ['records.bin', 'labels.bin', 'meta.json']) {
    const path = join(home, name);
    const good = readFileSync(path);
    const flipped = Buffer.from(good);
    flipped[good.length >> 1]! ^= 1;
    const damages: [string, () => void][] = [
      ['flipped', () => writeFileSync(path, flipped)],
      ['cut', () => truncateSync(path, good.length >> 1)],
      ['emptied', () => truncateSync(path)],
      ['extended', () => appendFileSync(path, '\0\0\0\0')],
      ['removed', () => rmSync(path)],
    ];
    for (const [what, damage] of damages) {
      damage();
      assert.equal(await opened(folder, cache), { decoded: 3, hash }, `${name} ${what}`);
      assert.ok(readFileSync(path).equals(good), `${name} ${what}`);
      assert.equal(await opened(folder, cache), { decoded: 0, hash });
    }
  }
  const meta = readFileSync(join(home, 'meta.json'), 'utf8');
  writeFileSync(join(home, 'meta.json'), meta.replace('"k"', '"j"'));
  assert.equal(await opened(folder, cache), { decoded: 3, hash }, 'a class name');
});

test('two at once', async () => {
  const [folder, cache] = [await images(), freshFolder()];
  const both = await Promise.all([opened(folder, cache), opened(folder, cache)]);
  assert.is(both[0].hash, both[1].hash);
  assert.is(readdirSync(join(cache, 'records')).length, 1);
});

test('stopping leaves nothing behind', async () => {
  const [folder, cache] = [await images(200), freshFolder()];
  const stop = new AbortController();
  const seen: number[] = [];
  const onProgress = (done: number, total: number) => {
    assert.is(total, 200);
    seen.push(done);
    stop.abort();
  };
  let reason: unknown;
  await openAt(folder, input(3, 4, 4), {}, { cache, signal: stop.signal, onProgress }).catch(
    (error: unknown) => {
      reason = error;
    },
  );
  assert.is((reason as Error).name, 'AbortError');
  assert.is(seen.length, 1);
  assert.equal(readdirSync(join(cache, 'records')), []);
});

test('a full disk is an error of its own and leaves nothing behind', async () => {
  const cache = freshFolder();
  const records = join(cache, 'records');
  const source = {
    format: 'made-up',
    path: '/nowhere',
    files: [],
    decode: undefined,
    count: async () => 1,
    dims: [4],
    dtype: 'uint8' as const,
    classNames: undefined,
    async *blocks() {
      symlinkSync('/dev/full', join(records, readdirSync(records)[0]!, 'labels.bin'));
      yield { records: new Uint8Array(4), labels: [0], skipped: [] };
    },
  };
  if (process.platform === 'linux') await fails(() => storeRecords(source, cache), 'disk-full', '`cache`');
  await fails(() => storeRecords({ ...source, count: async () => 2 ** 50 }, cache), 'disk-full', 'MiB');
  assert.equal(readdirSync(records), []);
});

test('a cache that cannot be written', async () => {
  const blocked = put(join(freshFolder(), 'file'), 'in the way');
  const path = putIdx(freshFolder(), [1, 2, 2], pixels(4), new Uint8Array(1));
  await fails(() => openAt(path, input(2, 2), {}, { cache: blocked }), 'cache-unwritable', blocked);
});

test.run();
