import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, symlinkSync, truncateSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import sharp from 'sharp';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { fails, freshFolder, hugePng, input, openAt, pixels, put, putImage } from './fixtures.ts';
import { peakOfScript } from './peak.ts';

const test = suite('data: images that are none, or too much');
const SPEC = input(3, 4, 6);

/** One good image in class `cat`. */
async function oneGood(): Promise<string> {
  const folder = freshFolder();
  await putImage(join(folder, 'cat', 'good.png'), pixels(72), [4, 6, 3]);
  return folder;
}

/** All of `folder`'s images but the good one are refused, and left out with their reason. */
async function isRefused(folder: string, name: string, reason: string): Promise<void> {
  await fails(() => openAt(folder, SPEC), 'unreadable-image', name, reason, '`skipBad: true`');
  const data = await openAt(folder, SPEC, {}, { skipBad: true });
  assert.is(data.size, 1);
  assert.is(data.skipped.length, 1);
  assert.ok(data.skipped[0]!.file.endsWith(name) && data.skipped[0]!.reason.includes(reason));
  await data.close();
}

test('a link to nothing is an unreadable image; one to a file is that file, one to a folder a folder', async () => {
  const folder = await oneGood();
  symlinkSync(join(folder, 'gone.png'), join(folder, 'cat', 'link.png'));
  await isRefused(folder, 'link.png', 'a link to a file that is not there');

  const fine = await oneGood();
  symlinkSync(join(fine, 'cat', 'good.png'), join(fine, 'cat', 'link.png'));
  const data = await openAt(fine, SPEC);
  assert.is(data.size, 2);
  await data.close();

  mkdirSync(join(fine, 'other'));
  symlinkSync(join(fine, 'other'), join(fine, 'cat', 'folder'));
  await fails(() => openAt(fine, SPEC), 'unknown-data-format', 'a folder inside a class folder');
});

const noPipes = process.platform === 'win32';

test('a named pipe, which nobody writes to, and a device, which never ends, are unreadable images', async () => {
  if (noPipes) return;
  const piped = await oneGood();
  execFileSync('mkfifo', [join(piped, 'cat', 'pipe.png')]);
  await isRefused(piped, 'pipe.png', 'no regular file');
  const device = await oneGood();
  symlinkSync('/dev/zero', join(device, 'cat', 'zero.png'));
  await isRefused(device, 'zero.png', 'no regular file');
});

test('a socket is an unreadable image', async () => {
  if (noPipes) return;
  const folder = await oneGood();
  const server = createServer();
  await new Promise<void>((listening) => {
    server.listen(join(folder, 'cat', 's.png'), listening);
  });
  await isRefused(folder, 's.png', 'no regular file');
  await new Promise((closed) => server.close(closed));
});

test('a file of terabytes is refused by its size', async () => {
  const folder = await oneGood();
  const file = put(join(folder, 'cat', 'large.png'), hugePng(6, 4));
  truncateSync(file, 2 ** 40);
  await isRefused(folder, 'large.png', 'larger than');
});

test('only PNG, JPEG and WebP are read, whatever a file is called', async () => {
  const raw = { width: 6, height: 4, channels: 3 } as const;
  const image = sharp(pixels(72), { raw });
  const svg =
    '<svg xmlns="http://www.w3.org/2000/svg" width="6" height="4"><rect width="6" height="4"/></svg>';
  const others = {
    svg: Buffer.from(svg),
    gif: await image.clone().gif().toBuffer(),
    tiff: await image.clone().tiff().toBuffer(),
    avif: await image.clone().avif().toBuffer(),
    ppm: Buffer.concat([Buffer.from('P6 6 4 255\n'), pixels(72)]),
    nothing: Buffer.alloc(0),
  };
  for (const [kind, bytes] of Object.entries(others))
    for (const name of [`a.${kind}`, 'a.png']) {
      const folder = await oneGood();
      put(join(folder, 'cat', name), bytes);
      await isRefused(folder, name, 'no PNG, JPEG or WebP');
    }
  const folder = freshFolder();
  put(join(folder, 'cat', '1.txt'), await image.clone().jpeg().toBuffer());
  put(join(folder, 'cat', '2'), await image.clone().webp().toBuffer());
  await putImage(join(folder, 'cat', '3[page=1].png'), pixels(72), [4, 6, 3]);
  const data = await openAt(folder, SPEC);
  assert.equal([...(await data.readRecords([2]))], [...pixels(72)]);
  await data.close();
});

test('a small file of too many pixels is refused before they are decoded', async () => {
  const folder = await oneGood();
  const bomb = hugePng(30_000, 30_000);
  assert.ok(bomb.length < 2 ** 20);
  put(join(folder, 'cat', 'bomb.png'), bomb);
  await isRefused(folder, 'bomb.png', 'pixel limit');
  put(join(folder, 'cat', 'bomb.png'), hugePng(16_000, 16_000));
  await isRefused(folder, 'bomb.png', 'pixel limit');
});

test('large images are decoded one after another, whatever the number of processors', async () => {
  if (process.platform !== 'linux') return;
  const IMAGES = 12;
  const [one, many] = [freshFolder(), freshFolder()];
  const large = hugePng(6_000, 6_000);
  put(join(one, 'cat', '0.png'), large);
  for (let i = 0; i < IMAGES; i++) put(join(many, 'cat', `${i}.png`), large);
  const peakOf = (folder: string) =>
    peakOfScript(
      `
      import os from 'node:os';
      import { syncBuiltinESMExports } from 'node:module';
      os.availableParallelism = () => ${IMAGES};
      syncBuiltinESMExports();
      const { input, openAt } = await import('./test/data/fixtures.ts');
      await openAt('${folder}', input(3, 8, 8), { resize: 'stretch' });`,
      { UV_THREADPOOL_SIZE: String(IMAGES) },
    );
  const [alone, together] = [await peakOf(one), await peakOf(many)];
  const decoded = (6_000 * 6_000 * 3) / 2 ** 20;
  // Decoded images that nobody holds stay until the garbage collector comes: two or three were seen.
  assert.ok(
    together < alone + (IMAGES / 2) * decoded,
    `${together} MiB for ${IMAGES}, ${alone} for one, of ${decoded} decoded`,
  );
});

/**
 * CMYK without a profile, written by Pillow 12.3 with `Image.new('CMYK', (3, 1))` of (68, 32, 130, 60), (255, 253, 247, 3) and (0, 128, 20, 200), made
 * eight times as large, quality 95, no subsampling; and the same file without its Adobe marker. The numbers are those of Pillow's `convert('RGB')` and
 * `convert('L')`.
 */
const CMYK = {
  adobe:
    '/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwACAQEBAQECAQEBAgICAgIEAwICAgIFBAQDBAYFBgYGBQYGBgcJCAYHCQcGBggLCAkKCgoKCgYICwwLCgwJCgoK/8AAFAgACAAYBEMRAE0RAFkRAEsRAP/EABcAAQEBAQAAAAAAAAAAAAAAAAoJCAT/xAAUEAEAAAAAAAAAAAAAAAAAAAAA/9oADgRDAE0AWQBLAAA/AN2K+ONQwRMItCtuQ/xfQ4wOt//Z',
  plain:
    '/9j/2wBDAAIBAQEBAQIBAQECAgICAgQDAgICAgUEBAMEBgUGBgYFBgYGBwkIBgcJBwYGCAsICQoKCgoKBggLDAsKDAkKCgr/wAAUCAAIABgEQxEATREAWREASxEA/8QAFwABAQEBAAAAAAAAAAAAAAAACgkIBP/EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAOBEMATQBZAEsAAD8A3Yr441DBEwi0K25D/F9DjA63/9k=',
};
const RGB = [[143, 171, 96], [0, 2, 8], [55, 27, 51]]; // biome-ignore format: three pixels
const GREY = [154, 2, 38];

test('CMYK becomes RGB and grey as Pillow converts it', async () => {
  for (const [name, text] of Object.entries(CMYK)) {
    const folder = freshFolder();
    put(join(folder, 'cat', `${name}.jpg`), Buffer.from(text, 'base64'));
    const colour = await openAt(folder, input(8, 24, 3));
    const rows = Array.from({ length: 8 }, () => RGB.flatMap((pixel) => Array(8).fill(pixel).flat())).flat();
    assert.equal([...(await colour.readRecords([0]))], rows, name);
    const grey = await openAt(folder, input(8, 24));
    assert.equal(
      [...(await grey.readRecords([0]))].slice(0, 24).filter((_, i) => i % 8 === 0),
      GREY,
    );
    for (const data of [colour, grey]) await data.close();
  }
});

test("sharp's settings are as before once images are read, side by side too", async () => {
  sharp.cache({ memory: 33, files: 7, items: 11 });
  sharp.concurrency(3);
  const settings = () => {
    const { memory, files, items } = sharp.cache();
    return [memory.max, files.max, items.max, sharp.concurrency()];
  };
  const folder = await oneGood();
  const other = await oneGood();
  const [a, b] = await Promise.all([openAt(folder, SPEC), openAt(other, SPEC)]);
  assert.equal(settings(), [33, 7, 11, 3]);
  put(join(folder, 'cat', 'bad.png'), 'bad');
  await fails(() => openAt(folder, SPEC), 'unreadable-image');
  assert.equal(settings(), [33, 7, 11, 3], 'after a failure');
  for (const data of [a, b]) await data.close();
  rmSync(folder, { recursive: true });
});

test.run();
