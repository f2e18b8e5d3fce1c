/** Whatever is written aside is on the disk before it is renamed into its place. */
import { existsSync, mkdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import fs, { type FileHandle, open } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { makeFolder, replaceFile, sealed, unsealed } from '../../src/cache/files.ts';
import { RecordFile } from '../../src/cache/record-file.ts';
import { type Content, writeOutput } from '../../src/emit/write.ts';
import { keptPredictions } from '../../src/predict/keep-predictions.ts';
import { freshFolder, input, openAt, pixels, putIdx } from '../data/fixtures.ts';
import { syntheticData } from '../train/synthetic.ts';

const test = suite('cache: files');

/** Files that were synced, and what was renamed when, while `run` ran: `sync path`, `rename from`. */
async function watched(run: () => Promise<unknown>): Promise<string[]> {
  const log: string[] = [];
  const any = await open(process.execPath);
  const handles = Object.getPrototypeOf(any) as FileHandle;
  await any.close();
  const { sync } = handles;
  const { rename } = fs;
  handles.sync = function (this: FileHandle) {
    log.push(`sync ${readlinkSync(`/proc/self/fd/${this.fd}`)}`);
    return sync.call(this);
  };
  fs.rename = (from, to) => {
    log.push(`rename ${from}`);
    return rename(from, to);
  };
  syncBuiltinESMExports();
  try {
    await run();
  } finally {
    handles.sync = sync;
    fs.rename = rename;
    syncBuiltinESMExports();
  }
  return log;
}

/** Every rename comes after a sync of the file that is renamed, or of `count` files of the folder. */
function assertSynced(log: readonly string[], count = 1): void {
  const renames = log.flatMap((line, i) =>
    line.startsWith('rename ') ? [{ from: line.slice('rename '.length), i }] : [],
  );
  assert.ok(renames.length > 0);
  for (const { from, i } of renames) {
    const before = log.slice(0, i);
    const ofFile = before.filter((line) => line === `sync ${from}`).length;
    const inFolder = before.filter((line) => line.startsWith(`sync ${from}/`)).length;
    assert.ok(ofFile === 1 || inFolder === count, `${from}\n${log.join('\n')}`);
  }
}

if (process.platform === 'linux') {
  test('of records, of marks of features, and of predictions', async () => {
    const cache = freshFolder();
    const path = putIdx(freshFolder(), [1, 2, 2], pixels(4), new Uint8Array(1));
    assertSynced(await watched(async () => (await openAt(path, input(2, 2), {}, { cache })).close()), 3);

    const records = await RecordFile.open(join(freshFolder(), 'file'), 4, 300);
    assertSynced(await watched(() => records.append(new Uint8Array(4 * 256))));
    await records.close();

    const dataset = syntheticData(1);
    const key = { cache, modelHash: 'm', heads: 'h', dataset, exits: 0, classes: 1 };
    const predictions = { logits: [], confidence: [], original: new Float32Array(1), labels: dataset.labels };
    assertSynced(await watched(() => keptPredictions(key, async () => predictions)));
  });

  test('of the output folder, new or full, external data too', async () => {
    const out = join(freshFolder(), 'out');
    const weights = join(freshFolder(), 'weights.bin');
    writeFileSync(weights, 'w', { mode: 0o444 });
    const files = new Map<string, Content>([
      ['a', 'text'],
      ['b/c', new Uint8Array(3)],
      ['weights.bin', { copyOf: weights }],
    ]);
    assertSynced(await watched(() => writeOutput(out, files)), 3);
    const full = freshFolder();
    mkdirSync(join(full, 'b'));
    assertSynced(await watched(() => writeOutput(full, files, { force: true })));
    assert.is(readFileSync(join(full, 'weights.bin'), 'utf8'), 'w');
  });
}

test('sealed facts are known again, and nothing else is', async () => {
  const path = join(freshFolder(), 'facts.json');
  const facts = { count: 3, names: ['é', 'b'], nothing: undefined };
  await replaceFile(path, sealed(facts));
  const text = readFileSync(path, 'utf8');
  assert.equal(unsealed(text), { count: 3, names: ['é', 'b'] });
  for (const other of [
    text.replace('3', '4'),
    text.replace('"b"', '"c"'),
    text.slice(0, 40),
    '',
    'null',
    '{}',
  ])
    assert.is(unsealed(other), undefined, other);
});

test('folders are made down to the last, and refused where nothing can be made, instead of being tried for ever', async () => {
  const home = freshFolder();
  assert.is(await makeFolder(join(home, 'a/b/c')), join(home, 'a'));
  assert.is(await makeFolder(join(home, 'a/b/d')), join(home, 'a/b/d'));
  assert.is(await makeFolder(join(home, 'a/b/d')), undefined);
  writeFileSync(join(home, 'file'), '');
  const codeOf = (folder: string) => makeFolder(folder).catch((error) => error.code);
  assert.is(await codeOf(join(home, 'file')), 'EEXIST');
  assert.is(await codeOf(join(home, 'file/inside')), 'ENOTDIR');
  if (existsSync('/proc/self')) assert.is(await codeOf('/proc/offramp/cache'), 'ENOENT');
});

test.run();
