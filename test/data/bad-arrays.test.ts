import { readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { OfframpError } from '../../src/errors/index.ts';
import { fails, freshFolder, idx, input, type Lies, npy, openAt, pixels, put, zip } from './fixtures.ts';

const test = suite('data: arrays that lie');
const X = npy('|u1', [4, 6], pixels(24));
const Y = npy('|u1', [4], Uint8Array.from([0, 2, 1, 2]));

const opening = (bytes: Uint8Array) => {
  const file = put(join(freshFolder(), 'a.npz'), bytes);
  return () => openAt(file, input(6));
};

/** Of the samples at `path`: their hash, or the code of the error; anything else that is thrown fails the test. */
async function hashOrCode(path: string): Promise<string> {
  try {
    const data = await openAt(path, input(6));
    await data.close();
    return data.hash;
  } catch (error) {
    if (error instanceof OfframpError) return error.code;
    throw error;
  }
}

test('an npz with each bit flipped gives the same samples or a coded error', async () => {
  const whole = zip({ 'x.npy': X, 'y.npy': Y }, { 'y.npy': { wide: 2 } });
  const truth = await hashOrCode(put(join(freshFolder(), 'a.npz'), whole));
  const seen = new Map<string, number>();
  for (let bit = 0; bit < 8 * whole.length; bit += 7) {
    const bytes = Buffer.from(whole);
    bytes[bit >> 3]! ^= 1 << (bit & 7);
    const got = await hashOrCode(put(join(freshFolder(), 'a.npz'), bytes));
    assert.ok(got === truth || !/^[0-9a-f]{64}$/.test(got), `bit ${bit}: other samples`);
    seen.set(got, (seen.get(got) ?? 0) + 1);
  }
  assert.ok(seen.get('bad-data-file')! > 50 && seen.get(truth)! > 5);
});

test('an npz cut short anywhere is a coded error', async () => {
  const whole = zip({ 'x.npy': X, 'y.npy': Y });
  for (let length = 0; length < whole.length; length += 7)
    await fails(opening(whole.subarray(0, length)), 'bad-data-file', 'a.npz');
});

test('the CRC-32 of what was unpacked is compared, and it stands at the end', async () => {
  await fails(
    opening(zip({ 'x.npy': X, 'y.npy': Y }, { 'x.npy': { crc: 1 } })),
    'bad-data-file',
    '(x)',
    'CRC-32',
  );
  await fails(
    opening(zip({ 'x.npy': X, 'y.npy': Y }, { 'y.npy': { crc: 1 } })),
    'bad-data-file',
    '(y)',
    'CRC-32',
  );
  const packed = gzipSync(idx([4, 2, 3], pixels(24)));
  packed[packed.length - 8]! ^= 1;
  const folder = freshFolder();
  put(join(folder, 'a-labels-idx1-ubyte'), idx([4], Uint8Array.from([0, 2, 1, 2])));
  await fails(
    () => openAt(put(join(folder, 'a-images-idx3-ubyte.gz'), packed), input(2, 3)),
    'bad-data-file',
  );
});

test('sizes that cannot be are refused before room is made for them', async () => {
  const lies: [Lies, ...string[]][] = [
    [{ bytes: 2 ** 31 }, 'cannot have the size'],
    [{ compressedBytes: 2 ** 30 }, 'cannot have the size'],
    [{ compressedBytes: 0 }, 'unexpected end'],
    [{ bytes: X.length + 1 }, 'CRC-32'],
    [{ bytes: X.length - 1 }, 'x'],
    [{ wide: 2, bytes: 2 ** 52 }, 'cannot have the size'],
    [{ wide: 2, compressedBytes: Number.MAX_SAFE_INTEGER }, 'cannot have the size'],
    [{ wide: 1 }, 'directory is damaged'],
    [{ offset: 0xfffffff0 }, 'points outside'],
    [{ offset: 3 }, 'directory is damaged'],
  ];
  for (const [lie, mention] of lies)
    await fails(opening(zip({ 'x.npy': X, 'y.npy': Y }, { 'x.npy': lie })), 'bad-data-file', mention!);
  const beyond = zip({ 'x.npy': X, 'y.npy': Y }, { 'x.npy': { wide: 2 } });
  const field = beyond.indexOf(Buffer.from([1, 0, 16, 0]));
  beyond.fill(255, field + 4, field + 20);
  await fails(opening(beyond), 'bad-data-file', 'directory is damaged');
});

test('shapes that are none, and more elements than a file can hold', async () => {
  const shapes: [number[], string][] = [
    [[-4, 6], 'shape'],
    [[4, -6], 'shape'],
    [[4.5, 6], 'shape'],
    [[Number.NaN, 6], 'shape'],
    [[2 ** 40, 6], 'it ends too early'],
    [[1e20, 6], 'it ends too early'],
    [[5, 6], 'it ends too early'],
    [[3, 6], 'goes on behind its last element'],
  ];
  for (const [shape, mention] of shapes) {
    const header = shape.map((d) => d.toLocaleString('en', { useGrouping: false })) as unknown as number[];
    const x = npy('|u1', header, pixels(24));
    const y = npy(
      '|u1',
      [shape[0] === 3 ? 3 : 4],
      Uint8Array.from([0, 2, 1, 2].slice(0, shape[0] === 3 ? 3 : 4)),
    );
    await fails(opening(zip({ 'x.npy': x, 'y.npy': y })), 'bad-data-file', mention);
    const folder = freshFolder();
    put(join(folder, 'x.npy'), x);
    put(join(folder, 'y.npy'), y);
    await fails(() => openAt(folder, input(6)), 'bad-data-file', mention);
  }
  const folder = freshFolder();
  put(join(folder, 'a-labels-idx1-ubyte'), idx([4], Uint8Array.from([0, 2, 1, 2])));
  for (const [name, pack] of [
    ['', (b: Uint8Array) => b],
    ['.gz', gzipSync],
  ] as const) {
    const file = put(join(folder, `a-images-idx3-ubyte${name}`), pack(idx([2 ** 31, 2, 3], pixels(24))));
    await fails(() => openAt(file, input(2, 3)), 'bad-data-file', 'it ends too early');
  }
});

test('a header of gigabytes is not read', async () => {
  const start = Buffer.from('\x93NUMPY\x02\x00\x00\x00\x00\x00', 'latin1');
  start.writeUInt32LE(0xffffff00, 8);
  await fails(
    opening(zip({ 'x.npy': Buffer.concat([start, Buffer.alloc(1000)]), 'y.npy': Y })),
    'bad-data-file',
    'header',
    '10000',
  );
});

test('files that are refused are closed', async () => {
  if (process.platform !== 'linux') return;
  // Only what this file reads or makes of it: others come and go.
  const openFiles = () =>
    readdirSync('/proc/self/fd').flatMap((fd) => {
      try {
        const path = readlinkSync(`/proc/self/fd/${fd}`);
        return /offramp|\.npz/.test(path) ? [path] : [];
      } catch {
        return [];
      }
    });
  const bad: [Buffer, string][] = [
    [zip({ 'x.npy': X, 'y.npy': Y }, { 'x.npy': { crc: 1 } }), 'bad-data-file'],
    [zip({ 'x.npy': npy('|u1', [5, 6], pixels(24)), 'y.npy': Y }), 'bad-data-file'],
    [zip({ 'x.npy': X, 'y.npy': npy('<f4', [4], new Float32Array(4).fill(0.5)) }), 'bad-labels'],
  ];
  const before = new Set(openFiles());
  for (const [bytes, code] of bad) for (let i = 0; i < 5; i++) await fails(opening(bytes), code);
  await new Promise((later) => setTimeout(later, 50));
  assert.equal(
    openFiles().filter((path) => !before.has(path)),
    [],
  );
});

test.run();
