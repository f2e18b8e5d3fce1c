import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import type { SchemaElement } from 'hyparquet';
import { type ColumnSource, parquetWriteBuffer } from 'hyparquet-writer';
import sharp from 'sharp';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  fails,
  freshFolder,
  input,
  openAt,
  openFor,
  pixels,
  put,
  putImage,
  rowsOf,
  tokenInputs,
} from './fixtures.ts';

const test = suite('data: Parquet');
const LABEL: SchemaElement = { name: 'label', type: 'INT64', repetition_type: 'OPTIONAL' };
const IDS = tokenInputs(3, 'input_ids', 'attention_mask');

/** A struct column {bytes, path}, as `datasets` writes images. */
function imageColumn(name: string): SchemaElement[] {
  return [
    { name, num_children: 2, repetition_type: 'OPTIONAL' },
    { name: 'bytes', type: 'BYTE_ARRAY', repetition_type: 'OPTIONAL' },
    { name: 'path', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
  ];
}

/** A column of lists of integers. */
function list(name: string): SchemaElement[] {
  return [
    { name, num_children: 1, repetition_type: 'OPTIONAL', converted_type: 'LIST' },
    { name: 'list', num_children: 1, repetition_type: 'REPEATED' },
    { name: 'element', type: 'INT64', repetition_type: 'OPTIONAL' },
  ];
}

type Written = Partial<Parameters<typeof parquetWriteBuffer>[0]>;

function write(
  file: string,
  columns: Record<string, unknown[]>,
  schema?: SchemaElement[],
  more: Written = {},
): string {
  const columnData = Object.entries(columns).map(([name, data]) => ({ name, data }) as ColumnSource);
  const root: SchemaElement = { name: 'root', num_children: columnData.length };
  const bytes = parquetWriteBuffer({
    columnData,
    rowGroupSize: 2,
    ...(schema && { schema: [root, ...schema] }),
    ...more,
  });
  return put(file, new Uint8Array(bytes));
}

/** ClassLabel features of the columns, as `datasets` notes them. */
function classLabels(features: Record<string, string[]>): Written {
  const noted = Object.entries(features).map(([name, names]) => [name, { names, _type: 'ClassLabel' }]);
  return {
    kvMetadata: [
      { key: 'huggingface', value: JSON.stringify({ info: { features: Object.fromEntries(noted) } }) },
    ],
  };
}

const RAW = [1, 2, 3, 4, 5].map((seed) => pixels(48, seed));

async function png(raw: Uint8Array): Promise<Uint8Array> {
  return sharp(raw, { raw: { width: 4, height: 4, channels: 3 } })
    .png()
    .toBuffer();
}

async function images(): Promise<{ bytes: Uint8Array; path: string }[]> {
  return Promise.all(RAW.map(async (raw, i) => ({ bytes: await png(raw), path: `${i}.png` })));
}

const bigints = (...values: number[]) => values.map(BigInt);

test('images: the same records as in an image folder, shard after shard', async () => {
  const all = await images();
  const hub = freshFolder();
  const schema = [...imageColumn('image'), LABEL];
  const names = classLabels({ label: ['cat', 'dog'] });
  const shard = (i: number) => join(hub, 'data', `train-0000${i}-of-00002.parquet`);
  write(shard(0), { image: all.slice(0, 3), label: bigints(0, 0, 0) }, schema, names);
  write(shard(1), { image: all.slice(3), label: bigints(1, 1) }, schema, names);
  const folder = freshFolder();
  for (const [i, raw] of RAW.entries())
    await putImage(join(folder, i < 3 ? 'cat' : 'dog', `${i}.png`), raw, [4, 4, 3]);

  for (const [spec, resize] of [[input(3, 4, 4)], [input(4, 4)], [input(3, 6, 5), 'contain']] as const) {
    const options = resize ? { resize } : {};
    const [parquet, expected] = [await openAt(hub, spec, options), await openAt(folder, spec, options)];
    assert.is(parquet.hash, expected.hash);
    assert.equal(parquet.classNames, expected.classNames);
    await parquet.close();
    await expected.close();
  }
});

test('parts by file name, as the hub and its conversion write them', async () => {
  const hub = freshFolder();
  const ids = (...values: number[]) => ({ x: values, label: values.map(() => 0) });
  write(join(hub, 'data', 'train-00000-of-00001-0123abcd.parquet'), ids(1, 2, 3));
  write(join(hub, 'data', 'test-00000-of-00001.parquet'), ids(4));
  await fails(() => openAt(hub, input(1)), 'ambiguous-part', 'test, train', `${hub}#test`);
  await fails(() => openAt(`${hub}#validation`, input(1)), 'unknown-part', 'validation', 'test, train');
  assert.equal(await rowsOf(await openAt(`${hub}#train`, input(1))), [[1], [2], [3]]);
  assert.equal(await rowsOf(await openAt(join(hub, 'data', 'test-00000-of-00001.parquet'), input(1))), [[4]]);

  const converted = freshFolder();
  write(join(converted, 'train', '0000.parquet'), ids(5));
  write(join(converted, 'train', '0001.parquet'), ids(6));
  write(join(converted, 'test', '0000.parquet'), ids(7));
  assert.equal(await rowsOf(await openAt(`${converted}#train`, input(1))), [[5], [6]]);
  assert.equal(await rowsOf(await openAt(join(converted, 'test'), input(1))), [[7]]);

  write(join(hub, 'data', 'half-00001-of-00003.parquet'), ids(1));
  await fails(() => openAt(`${hub}#half`, input(1)), 'bad-data-file', '1 of the 3', 'half');
});

test("columns named like the model's inputs", async () => {
  const file = join(freshFolder(), 'a.parquet');
  const columns = {
    input_ids: [bigints(1, 2, 3), bigints(4, 5, 6), bigints(7, 8, 9)],
    attention_mask: [1, 2, 3].map(() => bigints(1, 1, 0)),
    label: bigints(2, 0, 1),
  };
  write(file, columns, [...list('input_ids'), ...list('attention_mask'), LABEL]);
  const data = await openFor(file, IDS);
  assert.equal([...data.labels], [2, 0, 1]);
  assert.equal(await rowsOf(data), [[1, 2, 3, 1, 1, 0], [4, 5, 6, 1, 1, 0], [7, 8, 9, 1, 1, 0]]); // biome-ignore format: rows
});

test('class names are those of the column that is the label', async () => {
  const file = join(freshFolder(), 'a.parquet');
  const features = { coarse_label: ['animal'], fine_label: ['cat', 'dog'] };
  write(file, { x: [0, 0], coarse_label: [0, 0], fine_label: [1, 0] }, undefined, classLabels(features));
  const data = await openAt(file, input(1));
  assert.equal(
    [data.classNames, [...data.labels]],
    [
      ['cat', 'dog'],
      [1, 0],
    ],
  );
  await data.close();
  const named = join(freshFolder(), 'a.parquet');
  write(named, { x: [0, 0], labels: ['dog', 'cat'] });
  const strings = await openAt(named, input(1), {}, { labels: ['cat', 'dog'] });
  assert.equal([...strings.labels], [1, 0]);
  await strings.close();
});

test('an index is the class that its own list names, whatever the order of --labels', async () => {
  const label = classLabels({ label: ['cat', 'dog'] });
  const file = write(join(freshFolder(), 'a.parquet'), { x: [0, 0, 0], label: [1, 0, 1] }, undefined, label);
  const turned = await openAt(file, input(1), {}, { labels: ['dog', 'cat'] });
  assert.equal([[...turned.labels], turned.classNames], [[0, 1, 0], ['dog', 'cat']]); // biome-ignore format: a pair
  const straight = await openAt(file, input(1));
  assert.equal([...straight.labels], [1, 0, 1]);
  assert.is.not(turned.hash, straight.hash);
  await fails(
    () => openAt(file, input(1), {}, { labels: ['a', 'b'] }),
    'unknown-label',
    file,
    '"cat"',
    '"a"',
  );
  const beyond = write(join(freshFolder(), 'a.parquet'), { x: [0, 0], label: [1, 2] }, undefined, label);
  await fails(
    () => openAt(beyond, input(1), {}, { labels: ['dog', 'cat', 'eel'] }),
    'label-out-of-range',
    'sample 1',
    'label 2',
    '2 classes',
  );
  for (const data of [turned, straight]) await data.close();
});

test('files of a part must name the same classes in the same order', async () => {
  const hub = freshFolder();
  const shard = (i: number, names: string[]) =>
    write(
      join(hub, 'data', `train-0000${i}-of-00002.parquet`),
      { x: [0, 0], label: [0, 1] },
      undefined,
      classLabels({ label: names }),
    );
  shard(0, ['cat', 'dog']);
  const odd = shard(1, ['dog', 'cat']);
  await fails(() => openAt(hub, input(1)), 'bad-data-file', odd, 'class 0', '"dog"', '"cat"');
  shard(1, ['cat', 'dog']);
  assert.equal((await rowsOf(await openAt(hub, input(1)))).length, 4);
});

test('text with a tokenizer', async () => {
  const vocab = { '[UNK]': 0, a: 1, b: 2 };
  const model = { type: 'WordLevel', vocab, unk_token: '[UNK]' };
  const json = {
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: { type: 'Whitespace' },
    post_processor: null,
    decoder: null,
    model,
  };
  const tokenizer = put(join(freshFolder(), 'tokenizer.json'), JSON.stringify(json));
  const file = write(join(freshFolder(), 'a.parquet'), {
    sentence1: ['a', 'b b b b'],
    sentence2: ['b', 'a'],
    label: [0, 1],
  });
  await fails(() => openFor(file, IDS), 'tokenizer-missing', 'sentence1', '`tokenizer');
  assert.equal(await rowsOf(await openFor(file, IDS, { tokenizer })), [[1, 2, 0, 1, 1, 0], [2, 2, 1, 1, 1, 1]]); // biome-ignore format: rows
});

/** A zstd frame of one raw block (RFC 8878). */
function zstd(bytes: Uint8Array): Uint8Array {
  const header = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 0, 0, 0, 0]);
  header.writeUInt32LE(bytes.length, 5);
  header.writeUIntLE(bytes.length * 8 + 1, 9, 3);
  return Buffer.concat([header, bytes]);
}

test('every codec of the hub', async () => {
  const codecs = {
    UNCOMPRESSED: undefined,
    SNAPPY: undefined,
    GZIP: gzipSync,
    BROTLI: brotliCompressSync,
    ZSTD: zstd,
  };
  for (const [codec, compress] of Object.entries(codecs)) {
    const more = { codec, ...(compress && { compressors: { [codec]: compress } }) } as Written;
    const file = write(join(freshFolder(), 'a.parquet'), { x: [1, 2, 3], label: [0, 0, 0] }, undefined, more);
    assert.equal(await rowsOf(await openAt(file, input(1))), [[1], [2], [3]], codec);
  }
  const lzo = { codec: 'LZO', compressors: { LZO: (bytes: Uint8Array) => bytes } } as Written;
  const file = write(join(freshFolder(), 'a.parquet'), { x: [1], label: [0] }, undefined, lzo);
  await fails(() => openAt(file, input(1)), 'unsupported-codec', file, 'column x', 'LZO', 'zstd');
});

test('pages that unpack into gigabytes, and row groups that are too large, are refused', async () => {
  const pictures = Array.from({ length: 70 }, (_, i) => ({
    bytes: new Uint8Array(2 ** 20).fill(i),
    path: null,
  }));
  const bomb = write(
    join(freshFolder(), 'bomb.parquet'),
    { image: pictures, label: bigints(...pictures.map(() => 0)) },
    [...imageColumn('image'), LABEL],
    { codec: 'GZIP', compressors: { GZIP: (bytes) => gzipSync(bytes) }, rowGroupSize: 70 },
  );
  assert.ok(readFileSync(bomb).length < 2 ** 18);
  await fails(() => openAt(bomb, input(3, 5, 5)), 'bad-data-file', bomb, '250 times their size');

  const rows = 2 ** 22 + 1;
  const large = write(
    join(freshFolder(), 'large.parquet'),
    { label: new Array(rows).fill(0), x: new Array(rows).fill(0) },
    undefined,
    { rowGroupSize: rows },
  );
  await fails(() => openAt(large, input(1)), 'bad-data-file', `${rows} rows`, 'row_group_size');
});

test('what is wrong, with its row', async () => {
  const all = await images();
  const schema = [...imageColumn('image'), LABEL];
  const at = () => join(freshFolder(), 'a.parquet');
  const other = {
    bytes: await sharp(pixels(75), { raw: { width: 5, height: 5, channels: 3 } })
      .png()
      .toBuffer(),
    path: null,
  };
  const label = bigints(0, 1, 0);

  const mixed = write(at(), { image: [all[0]!, all[1]!, other], label }, schema);
  await fails(() => openAt(mixed, input(3, 4, 4)), 'wrong-image-size', `${mixed} row 2`, '5×5', '`resize: ');
  const broken = { bytes: Uint8Array.from([1, 2, 3]), path: 'x.png' };
  const bad = write(at(), { image: [all[0]!, broken, all[2]!], label }, schema);
  await fails(() => openAt(bad, input(3, 4, 4)), 'unreadable-image', `${bad} row 1`, '`skipBad: true`');
  const rest = await openAt(bad, input(3, 4, 4), {}, { skipBad: true });
  assert.equal([[...rest.labels], rest.skipped[0]!.file], [[0, 0], `${bad} row 1`]);
  await rest.close();
  const outside = write(at(), { image: [{ bytes: null, path: 'x.png' }], label: [0n] }, schema);
  await fails(() => openAt(outside, input(3, 4, 4)), 'bad-data-file', `${outside} row 0`, 'no bytes');
  await fails(() => openAt(mixed, input(1960)), 'not-an-image-input', '[1960]');
  const bare = write(at(), { image: [all[0]!] }, imageColumn('image'));
  await fails(() => openAt(bare, input(3, 4, 4)), 'label-missing', 'it has image', 'fine_label');

  const numbers = write(at(), { y: [1, 2], label: [0, 1] });
  await fails(() => openAt(numbers, input(1)), 'fields-missing', numbers, 'x', 'y, label');
  const gap = write(at(), { x: [1, 2, null], label: [0, 0, 0] });
  await fails(() => openAt(gap, input(1)), 'bad-data-file', `${gap} row 2`, 'x is missing');
  const ragged = write(at(), { x: [bigints(1, 2), bigints(1)], label: [0, 0] }, [
    ...list('x'),
    { ...LABEL, type: 'INT32' },
  ]);
  await fails(() => openAt(ragged, input(2)), 'bad-data-file', `${ragged} row 1`, '[1]', '[2]');
  const unlabelled = write(at(), { x: [1, 2], label: [0, null] });
  await fails(() => openAt(unlabelled, input(1)), 'bad-labels', `${unlabelled} row 1`, 'null');

  const empty = write(at(), { x: [], label: [] }, [{ name: 'x', type: 'INT32' }, LABEL]);
  await fails(() => openAt(empty, input(1)), 'empty-dataset', empty);
  await fails(() => openAt(put(at(), 'PAR1 no parquet'), input(1)), 'bad-data-file', 'a.parquet');
  const torn = put(at(), readFileSync(mixed).fill(255, 4, 200));
  await fails(() => openAt(torn, input(3, 4, 4)), 'bad-data-file', torn);
});

test.run();
