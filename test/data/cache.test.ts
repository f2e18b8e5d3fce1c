import { readdirSync, renameSync, symlinkSync, truncateSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { storeRecords } from '../../src/data/records.ts';
import { fails, freshFolder, input, openAt, picture, pixels, put, putIdx } from './fixtures.ts';

const test = suite('data: cache of records');

async function pictures(count = 3): Promise<string> {
  const folder = freshFolder();
  for (let i = 0; i < count; i++) await picture(join(folder, 'k', `${i}.png`), pixels(48, i + 1), [4, 4, 3]);
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
  const [folder, cache] = [await pictures(), freshFolder()];
  const first = await opened(folder, cache);
  assert.is(first.decoded, 3);
  assert.equal(await opened(folder, cache), { decoded: 0, hash: first.hash });
  assert.equal(await opened(folder, cache, 'stretch'), { decoded: 3, hash: first.hash });

  utimesSync(join(folder, 'k', '1.png'), 1e9, 1e9);
  assert.equal(await opened(folder, cache), { decoded: 3, hash: first.hash });
  await picture(join(folder, 'k', '1.png'), pixels(48, 99), [4, 4, 3]);
  const changed = await opened(folder, cache);
  assert.is(changed.decoded, 3);
  assert.is.not(changed.hash, first.hash);
});

test('the hash is the data, not its place or format', async () => {
  const cache = freshFolder();
  const folder = await pictures();
  const { hash } = await opened(folder, cache);
  const moved = join(freshFolder(), 'moved');
  renameSync(folder, moved);
  assert.equal(await opened(moved, cache), { decoded: 3, hash });
});

test('a damaged folder is made anew', async () => {
  const [folder, cache] = [await pictures(), freshFolder()];
  const { hash } = await opened(folder, cache);
  const [key] = readdirSync(join(cache, 'records'));
  truncateSync(join(cache, 'records', key!, 'records.bin'), 10);
  assert.equal(await opened(folder, cache), { decoded: 3, hash });
});

test('two at once', async () => {
  const [folder, cache] = [await pictures(), freshFolder()];
  const both = await Promise.all([opened(folder, cache), opened(folder, cache)]);
  assert.is(both[0].hash, both[1].hash);
  assert.is(readdirSync(join(cache, 'records')).length, 1);
});

test('stopping leaves nothing behind', async () => {
  const [folder, cache] = [await pictures(200), freshFolder()];
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

test('a full disk is said and leaves nothing behind', async () => {
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
  if (process.platform === 'linux') await fails(() => storeRecords(source, cache), 'disk-full', '--cache');
  await fails(() => storeRecords({ ...source, count: async () => 2 ** 50 }, cache), 'disk-full', 'MiB');
  assert.equal(readdirSync(records), []);
});

test('a cache that cannot be written', async () => {
  const blocked = put(join(freshFolder(), 'file'), 'in the way');
  const path = putIdx(freshFolder(), [1, 2, 2], pixels(4), new Uint8Array(1));
  await fails(() => openAt(path, input(2, 2), {}, { cache: blocked }), 'cache-unwritable', blocked);
});

test.run();
