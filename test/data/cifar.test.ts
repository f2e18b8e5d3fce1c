import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { fails, freshFolder, input, openAt, pixels, put, putImage } from './fixtures.ts';

const test = suite('data: CIFAR binary');
const PLANE = 1024;
const RECORD = 3 * PLANE;

/** Images of two classes, a record each: the label bytes, then the planes of `rgb`. */
function records(
  count: number,
  labelBytes: 1 | 2,
): { bytes: Uint8Array; rgb: Uint8Array[]; labels: number[] } {
  const rgb = Array.from({ length: count }, (_, i) => pixels(RECORD, i + 1));
  const labels = rgb.map((_, i) => i % 2);
  const bytes = rgb.map((interleaved, i) => {
    const planes = Uint8Array.from(
      { length: RECORD },
      (_, p) => interleaved[3 * (p % PLANE) + Math.floor(p / PLANE)]!,
    );
    return Buffer.concat([Uint8Array.from([7, labels[i]!]).subarray(2 - labelBytes), planes]);
  });
  return { bytes: Buffer.concat(bytes), rgb, labels };
}

test('the same records as the same images in an image folder', async () => {
  const { bytes, rgb, labels } = records(5, 1);
  const file = put(join(freshFolder(), 'test_batch.bin'), bytes);
  const folder = freshFolder();
  for (const [i, raw] of rgb.entries())
    await putImage(join(folder, `class${labels[i]}`, `${i}.png`), raw, [32, 32, 3]);

  for (const [spec, resize] of [
    [input(3, 32, 32)],
    [input(32, 32, 3)],
    [input(1, 32, 32)],
    [input(3, 20, 24), 'cover'],
  ] as const) {
    const options = resize ? { resize } : {};
    const binary = await openAt(file, spec, options);
    const images = await openAt(folder, spec, options);
    assert.equal([...binary.labels], [0, 1, 0, 1, 0]);
    assert.equal(binary.recordDims, images.recordDims);
    assert.ok(binary.isImage);
    assert.equal(await binary.readRecords([0, 2, 4, 1, 3]), await images.readRecords([0, 1, 2, 3, 4]));
    await binary.close();
    await images.close();
  }
});

test('CIFAR-10 and CIFAR-100 folders, by part', async () => {
  const ten = freshFolder();
  const { bytes } = records(3, 1);
  for (let i = 1; i <= 5; i++) put(join(ten, `data_batch_${i}.bin`), bytes);
  put(join(ten, 'batches.meta.txt'), 'cat\ndog\n\n');
  const only = await openAt(ten, input(3, 32, 32));
  assert.equal([only.size, only.classNames], [15, ['cat', 'dog']]);
  put(join(ten, 'test_batch.bin'), bytes);
  const train = await openAt(`${ten}#train`, input(3, 32, 32));
  assert.is(train.hash, only.hash);
  const one = await openAt(join(ten, 'data_batch_3.bin'), input(3, 32, 32), {}, { classes: 2 });
  assert.equal([one.size, one.classNames], [3, ['cat', 'dog']]);

  const hundred = freshFolder();
  const fine = records(4, 2);
  put(join(hundred, 'train.bin'), fine.bytes);
  put(join(hundred, 'test.bin'), fine.bytes.subarray(0, 2 * (RECORD + 2)));
  const part = await openAt(`${hundred}#test`, input(3, 32, 32));
  assert.equal([part.size, [...part.labels], part.classNames], [2, [0, 1], undefined]);
  assert.equal([...(await part.readRecords([1]))], [...fine.rgb[1]!]);
  for (const data of [only, train, one, part]) await data.close();
});

test('what is wrong with them', async () => {
  const folder = freshFolder();
  const { bytes } = records(3, 1);
  for (let i = 1; i <= 5; i++) put(join(folder, `data_batch_${i}.bin`), bytes);
  const test = put(join(folder, 'test_batch.bin'), bytes);
  const spec = input(3, 32, 32);
  await fails(() => openAt(folder, spec), 'ambiguous-part', 'train, test', `${folder}#train`);
  await fails(() => openAt(`${folder}#validation`, spec), 'unknown-part', 'validation', 'train, test');
  await fails(() => openAt(test, spec, {}, { classes: 1 }), 'label-out-of-range', 'sample 1');
  await fails(() => openAt(test, input(3, 8, 8)), 'wrong-image-size', 'record 0', '`resize: ');
  await fails(() => openAt(test, input(RECORD)), 'not-an-image-input');
  put(test, bytes.subarray(1));
  await fails(() => openAt(test, spec), 'bad-data-file', test, '3073');
  put(test, '');
  await fails(() => openAt(test, spec), 'empty-dataset', test);
  const torn = freshFolder();
  put(join(torn, 'data_batch_2.bin'), bytes);
  await fails(() => openAt(torn, spec), 'bad-data-file', 'data_batch_1.bin', 'missing');
  put(join(folder, 'batches.meta.txt'), 'cat\ndog\nbird');
  await fails(() => openAt(`${folder}#train`, spec, {}, { classes: 2 }), 'too-many-classes', '3', '2');
});

test.run();
