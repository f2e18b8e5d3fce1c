import { existsSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { evict, holdRoom, spaceFor } from '../../src/cache/space.ts';
import { freshFolder } from '../data/fixtures.ts';
import { rejectsWith } from '../expect.ts';

const test = suite('cache: space');
const LIMITLESS = { needed: 0, limit: Number.POSITIVE_INFINITY };

/** A folder of files a, b, c… of so many bytes, last used in this order, each with its `.json`. */
function filled(...sizes: readonly number[]): { folder: string; at: (name: string) => string } {
  const folder = freshFolder();
  const at = (name: string) => join(folder, name);
  for (const [i, size] of sizes.entries()) {
    const path = at('abcdef'[i]!);
    writeFileSync(path, new Uint8Array(size));
    writeFileSync(`${path}.json`, '{}');
    utimesSync(path, i + 1, i + 1);
  }
  return { folder, at };
}
const namesIn = (folder: string) =>
  readdirSync(folder)
    .filter((name) => !name.includes('.'))
    .sort()
    .join('');

test('those not used for longest go first, with what lies beside them, until the rest fits', async () => {
  const { folder, at } = filled(10, 10, 10, 10);
  await evict(folder, new Set(), 25);
  assert.is(namesIn(folder), 'cd');
  assert.equal([existsSync(at('a.json')), existsSync(at('c.json'))], [false, true]);
  await evict(folder, new Set([at('c')]), 0);
  assert.is(namesIn(folder), 'c');
});

test('what is held is not evicted until it is released, and counts', async () => {
  const { folder, at } = filled(10, 10, 10);
  const release = await holdRoom(folder, [at('a')], LIMITLESS, {});
  await evict(folder, new Set(), 20);
  assert.is(namesIn(folder), 'ac');
  await release();
  await evict(folder, new Set(), 10);
  assert.is(namesIn(folder), 'c');
  assert.equal(
    readdirSync(folder).filter((name) => name.endsWith('.hold')),
    [],
  );
});

test('a hold makes room within the limit, and on a full disk', async () => {
  const limited = filled(10, 10, 10);
  await (await holdRoom(limited.folder, [limited.at('f')], { needed: 15, limit: 30 }, {}))();
  assert.is(namesIn(limited.folder), 'c');
  const full = filled(10, 10, 10);
  const free = async () => 30 - 10 * namesIn(full.folder).length;
  await (await holdRoom(full.folder, [full.at('f')], { ...LIMITLESS, needed: 20, free }, {}))();
  assert.is(namesIn(full.folder), '');
});

test('where the disk has no room whatever goes, nothing stays held', async () => {
  const { folder, at } = filled(10);
  const room = { ...LIMITLESS, needed: 100, free: async () => 50 };
  await rejectsWith('disk-full', () => holdRoom(folder, [at('f')], room, {}));
  assert.equal(readdirSync(folder), []);
});

test("another machine's hold counts while it is touched, whatever the clock was when it was", async () => {
  for (const silent of [new Date(1971, 1), new Date(2100, 1)]) {
    const { folder, at } = filled(10);
    writeFileSync(at('x.hold'), '{"pid":1,"host":"another.machine"}\na');
    await evict(folder, new Set(), 0);
    assert.is(namesIn(folder), 'a');
    utimesSync(at('x.hold'), silent, silent);
    await evict(folder, new Set(), 0);
    assert.equal(readdirSync(folder), []);
  }
});

test('space is the limit, or half of what is free on the disk', async () => {
  const { folder, at } = filled(10);
  assert.is(await spaceFor(folder, [at('a')], 1000), 1000);
  const { bavail, bsize } = await statfs(folder);
  const half = (bavail * bsize) / 2;
  const space = await spaceFor(folder, [], Number.POSITIVE_INFINITY);
  assert.ok(Math.abs(space / half - 1) < 0.05, `${space} instead of ${half}`);
});

test.run();
