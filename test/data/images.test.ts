import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { fails, freshFolder, input, openAt, pixels, put, putImage } from './fixtures.ts';

const test = suite('data: image folders');
const IMAGENET = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };

/** Two classes, three images of 4 × 6, one hidden file. */
async function twoClasses(): Promise<{ folder: string; raw: Uint8Array[] }> {
  const folder = freshFolder();
  const raw = [1, 2, 3].map((seed) => pixels(4 * 6 * 3, seed));
  await putImage(join(folder, 'dog', 'a.png'), raw[2]!, [4, 6, 3]);
  await putImage(join(folder, 'cat', 'b10.webp'), raw[0]!, [4, 6, 3]);
  await putImage(join(folder, 'cat', 'b9.png'), raw[1]!, [4, 6, 3]);
  put(join(folder, 'cat', '.DS_Store'), 'hidden');
  put(join(folder, 'notes.txt'), 'beside the classes');
  mkdirSync(join(folder, '.hidden'));
  return { folder, raw };
}

test('order, labels and raw records', async () => {
  const { folder, raw } = await twoClasses();
  const data = await openAt(folder, input(3, 4, 6));
  assert.equal([...data.labels], [0, 0, 1]);
  assert.equal(data.classNames, ['cat', 'dog']);
  assert.equal(data.recordDims, [4, 6, 3]);
  assert.is(data.recordType, 'uint8');
  assert.equal([...(await data.readRecords([2, 0, 1]))], [...raw[2]!, ...raw[0]!, ...raw[1]!]);
  await data.close();
});

for (const layout of ['NCHW', 'NHWC'] as const) {
  for (const channels of ['rgb', 'bgr'] as const) {
    test(`${layout} ${channels}: exact values under views`, async () => {
      const { folder, raw } = await twoClasses();
      const spec = layout === 'NCHW' ? input(3, 4, 6) : input(4, 6, 3);
      const data = await openAt(folder, spec, { preset: 'imagenet', channels });
      const views = [
        { mirror: false, dx: 0, dy: 0 },
        { mirror: true, dx: 0, dy: 0 },
        { mirror: true, dx: 2, dy: -1 },
        { mirror: false, dx: -5, dy: 3 },
        { mirror: false, dx: 9, dy: 0 },
      ];
      const got = await data.read([0, 1, 2, 0, 1], views);
      const expected = new Float32Array(got.length);
      [0, 1, 2, 0, 1].forEach((sample, n) => {
        const { mirror, dx, dy } = views[n]!;
        for (let c = 0; c < 3; c++)
          for (let y = 0; y < 4; y++)
            for (let x = 0; x < 6; x++) {
              const colour = channels === 'bgr' ? 2 - c : c;
              const [sy, sx] = [y + dy, (mirror ? 5 - x : x) + dx];
              const inside = sy >= 0 && sy < 4 && sx >= 0 && sx < 6;
              const pixel = inside ? raw[sample]![(sy * 6 + sx) * 3 + colour]! : 0;
              const at = layout === 'NCHW' ? (c * 4 + y) * 6 + x : (y * 6 + x) * 3 + c;
              expected[n * 72 + at] = (pixel / 255 - IMAGENET.mean[colour]!) / IMAGENET.std[colour]!;
            }
      });
      assert.equal(got, expected);
      await data.close();
    });
  }
}

test('read fills the buffer it is given', async () => {
  const { folder } = await twoClasses();
  const data = await openAt(folder, input(3, 4, 6));
  const out = new Float32Array(3 * 72).fill(-1);
  assert.is(await data.read([1, 2], undefined, out), out);
  assert.equal(out.subarray(0, 144), await data.read([1, 2]));
  assert.ok(out.subarray(144).every((v) => v === -1));
  let thrown: unknown;
  await data.read([3]).catch((error: unknown) => {
    thrown = error;
  });
  assert.instance(thrown, RangeError);
  await data.close();
  await data.close();
  thrown = undefined;
  await data.read([0]).catch((error: unknown) => {
    thrown = error;
  });
  assert.ok(thrown);
});

test('grey, alpha and colour become the channels of the model', async () => {
  const folder = freshFolder();
  const rgb = Uint8Array.from([255, 0, 0, 0, 255, 0, 0, 0, 255, 10, 20, 30]);
  const rgba = Uint8Array.from([1, 2, 3, 0, 4, 5, 6, 128, 7, 8, 9, 255, 250, 251, 252, 3]);
  await putImage(join(folder, 'k', '1.png'), Uint8Array.from([0, 100, 200, 255]), [2, 2, 1]);
  await putImage(join(folder, 'k', '2.png'), rgba, [2, 2, 4]);
  await putImage(join(folder, 'k', '3.png'), rgb, [2, 2, 3]);

  const colour = await openAt(folder, input(3, 2, 2));
  assert.equal(
    [...(await colour.readRecords([0, 1]))],
    [0, 0, 0, 100, 100, 100, 200, 200, 200, 255, 255, 255, 1, 2, 3, 4, 5, 6, 7, 8, 9, 250, 251, 252],
  );
  const luma = (r: number, g: number, b: number) => Math.round(0.299 * r + 0.587 * g + 0.114 * b);
  for (const spec of [input(1, 2, 2), input(2, 2), input(2, 2, 1), input(4)]) {
    const grey = await openAt(folder, spec);
    assert.ok(grey.isImage);
    assert.equal([...(await grey.read([0]))], [0, 100, 200, 255]);
    assert.equal(
      [...(await grey.read([2]))],
      [luma(255, 0, 0), luma(0, 255, 0), luma(0, 0, 255), luma(10, 20, 30)],
    );
    await grey.close();
  }
  await colour.close();
});

test('another size needs resize', async () => {
  const { folder } = await twoClasses();
  await fails(
    () => openAt(folder, input(3, 8, 8)),
    'wrong-image-size',
    'b10.webp',
    '6×4',
    '8×8',
    '`resize: ',
  );
  for (const resize of ['stretch', 'cover', 'contain'] as const) {
    const data = await openAt(folder, input(3, 8, 8), { resize });
    const [first] = [await data.readRecords([0])];
    assert.is(first.length, 192);
    assert.is(
      first.subarray(0, 24).every((v) => v === 0),
      resize === 'contain',
    );
    await data.close();
  }
});

test('an unreadable image is named, or skipped and listed', async () => {
  const { folder, raw } = await twoClasses();
  put(join(folder, 'cat', 'b5.png'), 'not an image');
  await fails(() => openAt(folder, input(3, 4, 6)), 'unreadable-image', 'b5.png', '`skipBad: true`');
  const data = await openAt(folder, input(3, 4, 6), {}, { skipBad: true });
  assert.is(data.size, 3);
  assert.equal([...data.labels], [0, 0, 1]);
  assert.is(data.skipped.length, 1);
  assert.ok(data.skipped[0]!.file.endsWith('b5.png') && data.skipped[0]!.reason.length > 0);
  assert.equal(await data.readRecords([1]), raw[1]);
  await data.close();
  await fails(() => openAt(folder, input(3, 4, 6)), 'unreadable-image', 'b5.png');
});

test('class folders and the classes of the model', async () => {
  const { folder } = await twoClasses();
  await fails(() => openAt(folder, input(3, 4, 6), {}, { classes: 1 }), 'too-many-classes', '2', '1');
  const fits = await openAt(folder, input(3, 4, 6), {}, { classes: 2 });
  assert.is(fits.classNames?.length, 2);
  await fits.close();
});

test('folders of splits are not taken for classes', async () => {
  const { folder } = await twoClasses();
  const parent = freshFolder();
  for (const split of ['train', 'test']) cpSync(folder, join(parent, split), { recursive: true });
  await fails(
    () => openAt(parent, input(3, 4, 6)),
    'class-folders',
    'test, train',
    '`train: ',
    `${parent}/train`,
  );
  const named = freshFolder();
  for (const name of ['test', 'zebra']) cpSync(join(folder, 'cat'), join(named, name), { recursive: true });
  const data = await openAt(named, input(3, 4, 6), {}, { skipBad: true });
  assert.equal(data.classNames, ['test', 'zebra'], 'a class may be called test');
  await data.close();
});

test('a class folder that is missing shifts no labels: it is an error, unless all classes are named', async () => {
  const { folder } = await twoClasses();
  const open = (options: object) => openAt(folder, input(3, 4, 6), {}, options);
  await fails(() => open({ classes: 3 }), 'class-folders', '2 class folders', '3 classes', '`labels: ');
  await fails(() => open({ classes: 3, labels: ['bird', 'cat', 'eel'] }), 'unknown-label', 'dog');
  const named = await open({ classes: 3, labels: ['bird', 'cat', 'dog'] });
  assert.equal([...named.labels], [1, 1, 2]);
  assert.equal(named.classNames, ['bird', 'cat', 'dog']);
  await named.close();
});

test('names of --labels are compared composed and trimmed, and nothing is guessed', async () => {
  const { raw } = await twoClasses();
  const folder = freshFolder();
  for (const [i, name] of ['cafe\u0301', 'dog', 'eel'].entries())
    await putImage(join(folder, name, 'a.png'), raw[i]!, [4, 6, 3]);
  const open = (labels: string[]) =>
    openAt(folder, input(3, 4, 6), {}, { classes: 3, labels, labelsFrom: "`labels: 'names.txt'`" });
  const mapped = await open(['eel', ' dog ', 'caf\u00e9']);
  assert.equal([...mapped.labels], [2, 1, 0]);
  assert.equal(mapped.classNames, ['eel', ' dog ', 'caf\u00e9']);
  await mapped.close();
  const refused = (labels: string[], ...mentions: string[]) =>
    fails(() => open(labels), 'unknown-label', folder, "`labels: 'names.txt'`", ...mentions);
  await refused(['caf\u00e9', 'Dog', 'eel'], 'a class "dog"', '"Dog"', 'upper and lower case');
  await refused(['Kaffee', 'Hund', 'Aal'], 'none of its classes', '"Kaffee"', 'labels file');
  await fails(() => open(['dog', 'dog', 'caf\u00e9']), 'unknown-label', 'several classes called "dog"');
});

test('folders that are none', async () => {
  const { folder } = await twoClasses();
  await fails(() => openAt(join(folder, '..'), input(3, 4, 6)), 'unknown-data-format', 'class folder');
  await fails(() => openAt(join(folder, 'cat'), input(3, 4, 6)), 'unknown-data-format', 'x.npy');
  const empty = freshFolder();
  await fails(() => openAt(empty, input(3, 4, 6)), 'unknown-data-format', 'IDX');
  mkdirSync(join(empty, 'cat'));
  await fails(() => openAt(empty, input(3, 4, 6)), 'empty-dataset', empty);
  put(join(empty, 'cat', 'a.png'), 'x');
  await fails(() => openAt(empty, input(3, 4, 6), {}, { skipBad: true }), 'empty-dataset');
  await fails(() => openAt(folder, input(1960)), 'not-an-image-input', '[1960]');
  await fails(() => openAt(folder, input(64, 8, 8)), 'not-an-image-input', '[64, 8, 8]');
});

test.run();
