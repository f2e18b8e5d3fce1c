import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { settingsFor } from '../../src/cli/config.ts';
import { readClassNames } from '../../src/data/class-names.ts';
import { loadTokenizer } from '../../src/data/tokenizer.ts';
import { readManifest } from '../../src/emit/manifest-json.ts';
import { readConfig } from '../../src/hub/json.ts';
import { fails, freshFolder, input, openAt, openFor, pixels, put, rowsOf } from './fixtures.ts';
import { peakOfScript } from './peak.ts';

const test = suite('data: text that is none, or too much');
const SPEC = input(2);
const row = (x: readonly number[], label: unknown = 0) => JSON.stringify({ x, label });
const GOOD = row([1, 2]);
const BOM = '\uFEFF';
const utf16be = (text: string) => Buffer.from(text, 'utf16le').swap16();

const jsonl = (...parts: readonly (string | Uint8Array)[]) =>
  put(join(freshFolder(), 'a.jsonl'), Buffer.concat(parts.map((part) => Buffer.from(part as string))));

test('JSONL in Latin-1 is refused by its line, not read as other letters', async () => {
  const latin = Buffer.from('{"x": [1, 2], "label": "caf\u00e9"}\n', 'latin1');
  const path = jsonl(`${GOOD}\n\n`, latin);
  await fails(
    () => openFor(path, [SPEC], { labels: ['caf\u00e9'] }),
    'bad-data-file',
    `${path}:3`,
    'not UTF-8',
    'UTF-8.',
  );
});

test('JSON that is nested deeper than the stack is refused, wherever it is read', async () => {
  const deep = `${'['.repeat(20_000)}1${']'.repeat(20_000)}`;
  const file = (name: string, text: string) => put(join(freshFolder(), name), text);
  const isRefused = (code: string, run: () => unknown) => fails(run, code, 'nested more than 500 deep');
  await isRefused('bad-data-file', () => openAt(jsonl(`{"x": [1, 2], "label": 0, "note": ${deep}}`), SPEC));
  await isRefused('bad-model-config', () => readConfig(file('config.json', `{"problem_type": ${deep}}`)));
  await isRefused('bad-config', () =>
    settingsFor(['--config', file('c.json', `{"seed": ${deep}}`), 'compile']),
  );
  await isRefused('invalid-manifest', () => readManifest(`{"exits": ${deep}}`));
  await isRefused('bad-tokenizer', () => loadTokenizer(file('tokenizer.json', `{"model": ${deep}}`)));
  const lists = `${'['.repeat(400)}1${']'.repeat(400)}`;
  await fails(() => readManifest(`{"exits": ${lists}}`), 'invalid-manifest', 'schemaVersion');
});

test('JSONL in UTF-16 is called that, with a byte order mark or without', async () => {
  for (const text of [GOOD, BOM + GOOD])
    for (const bytes of [Buffer.from(text, 'utf16le'), utf16be(text)]) {
      const path = jsonl(bytes);
      await fails(() => openAt(path, SPEC), 'bad-data-file', `${path}:1`, 'UTF-16', 'UTF-8.');
    }
});

test('numbers beyond float32 are refused by their line', async () => {
  for (const number of ['1e999', '-1e999', '1e39']) {
    const path = jsonl(`${GOOD}\n{"x": [1, ${number}], "label": 0}\n`);
    await fails(() => openAt(path, SPEC), 'bad-data-file', `${path}:2`, 'element 1 of x', 'float32');
  }
  await fails(() => openAt(jsonl('{"x": [1, 2], "label": 1e999}'), SPEC), 'bad-labels', 'Infinity');
  const most = await openAt(jsonl('{"x": [3.4028234e38, -3.4028234e38], "label": 0}'), SPEC);
  assert.equal(await rowsOf(most), [[3.4028234663852886e38, -3.4028234663852886e38]]);
});

/** Opens `path` in a process of its own, sees it refused with `mention`, and gives the most memory that took, in MiB. */
const peakOfRefusal = (path: string, mention: string) =>
  peakOfScript(`
    import { fails, input, openAt } from './test/data/fixtures.ts';
    await fails(() => openAt(${JSON.stringify(path)}, input(2)), 'bad-data-file', ${JSON.stringify(mention)});`);

test('a line of 700 MB is refused by its number, in little memory', async () => {
  if (process.platform !== 'linux') return;
  const path = jsonl(`${GOOD}\n{"x": [`);
  const piece = '1, '.repeat(2 ** 20);
  const file = openSync(path, 'a');
  for (let written = 0; written < 700e6; written += piece.length) writeSync(file, piece);
  closeSync(file);
  const peak = await peakOfRefusal(path, `${path}:2`);
  assert.ok(peak < 450, `${peak} MiB`);
});

test('gzip that becomes a thousand times as large is refused early', async () => {
  if (process.platform !== 'linux') return;
  for (const piece of [`${GOOD}\n`, '\n', ' ']) {
    const path = join(freshFolder(), 'a.jsonl.gz');
    // Of 320 members, one MiB each: quicker made than one of all.
    const member = gzipSync(piece.repeat(2 ** 20 / piece.length), { level: 9 });
    put(path, Buffer.concat(new Array(320).fill(member)));
    const peak = await peakOfRefusal(path, piece === ' ' ? '' : '250 times');
    assert.ok(peak < 450, `${peak} MiB`);
  }
  const small = put(join(freshFolder(), 'a.jsonl.gz'), gzipSync(`${GOOD}\n`.repeat(50_000)));
  const data = await openAt(small, SPEC);
  assert.is(data.size, 50_000, 'what is not large may be packed well');
  await data.close();
});

test('a byte order mark at the head of a text file is no part of it', async () => {
  const folder = freshFolder();
  const named = put(join(folder, 'a.jsonl'), `${BOM}${row([1, 2], 'dog')}\n`);
  put(join(folder, 'labels.json'), `${BOM}["cat", "dog"]`);
  const data = await openFor(named, [SPEC]);
  assert.equal([...data.labels], [1]);
  await data.close();
  const txt = put(join(folder, 'names.txt'), `${BOM}cat\r\ndog\r\n`);
  assert.equal(await readClassNames(txt, 2), ['cat', 'dog']);
  const json = put(join(folder, 'names.json'), `${BOM}["cat", "dog"]`);
  assert.equal(await readClassNames(json, 2), ['cat', 'dog']);

  const cifar = freshFolder();
  put(join(cifar, 'test_batch.bin'), Buffer.concat([Buffer.from([1]), pixels(3072)]));
  put(join(cifar, 'batches.meta.txt'), `${BOM}cat\ndog\n`);
  const images = await openAt(cifar, input(3, 32, 32));
  assert.equal(images.classNames, ['cat', 'dog']);
  await images.close();

  const config = put(join(folder, 'o.json'), `${BOM}{"compile": {"seed": 3}}`);
  assert.equal(settingsFor(['compile', '--config', config]), { seed: 3 });
  assert.equal(await readConfig(put(join(folder, 'config.json'), `${BOM}{"a": 1}`)), { a: 1 });
});

test('names and settings in another encoding are refused, not read as other letters', async () => {
  const folder = freshFolder();
  const encodings = {
    'UTF-16': Buffer.from(`${BOM}["caf\u00e9", "dog"]`, 'utf16le'),
    'Latin-1': Buffer.from('["caf\u00e9", "dog"]', 'latin1'),
  };
  for (const [encoding, bytes] of Object.entries(encodings)) {
    const labels = put(join(folder, 'labels.json'), bytes);
    await fails(() => readClassNames(labels, 2), 'bad-labels', encoding, 'UTF-8');
    const named = put(join(folder, 'a.jsonl'), row([1, 2], 'dog'));
    await fails(() => openFor(named, [SPEC]), 'bad-data-file', 'labels.json', encoding);
    await fails(() => settingsFor(['compile', '--config', labels]), 'bad-config', encoding);
    await fails(() => readConfig(labels), 'bad-model-config', encoding);
    const cifar = freshFolder();
    put(join(cifar, 'test_batch.bin'), Buffer.concat([Buffer.from([1]), pixels(3072)]));
    put(join(cifar, 'batches.meta.txt'), bytes);
    await fails(() => openAt(cifar, input(3, 32, 32)), 'bad-data-file', 'batches.meta.txt', encoding);
  }
});

test.run();
