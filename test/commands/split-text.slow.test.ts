/** A model of texts, which has several inputs and a tokenizer, cut in its midst and before a network that reads them again. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { compile } from '../../src/commands/compile.ts';
import { split } from '../../src/commands/split.ts';
import type { Manifest } from '../../src/emit/manifest.ts';
import { withSession } from '../../src/ort/session.ts';
import { serializeModel } from '../../src/parser/index.ts';
import { rejectsWith } from '../expect.ts';
import { noise, tinyEncoder } from '../models.ts';
import { askBoth, askWhole, closeAll, serverManifest } from '../served-by-hand.ts';

const test = suite('split: texts');
const folder = mkdtempSync(join(tmpdir(), 'offramp-split-text-'));
const at = (name: string) => join(folder, name);
const model = at('encoder.onnx');
const [COUNT, LENGTH] = [60, 8];

/** Ids and mask of `count` sentences. */
function sentences(count: number, seed: number) {
  const random = noise(count * 9, seed);
  const lengths = Array.from({ length: count }, (_, n) => 3 + (n % 6));
  const ids = lengths.flatMap((length, n) =>
    Array.from({ length: LENGTH }, (_, i) =>
      i < length ? Math.floor(((random[9 * n + i]! + 1) / 2) * 63) : 0,
    ),
  );
  const mask = lengths.flatMap((length) => Array.from({ length: LENGTH }, (_, i) => Number(i < length)));
  return { ids, mask };
}

function feedsOf({ ids, mask }: ReturnType<typeof sentences>) {
  const tensor = (rows: readonly number[]) =>
    new ort.Tensor('int64', BigInt64Array.from(rows, BigInt), [rows.length / LENGTH, LENGTH]);
  return { input_ids: tensor(ids), attention_mask: tensor(mask) };
}

test.before(async () => {
  writeFileSync(model, serializeModel(tinyEncoder(17, 'words')));
  for (const [name, count, seed] of [['train', 160, 1], ['calibration', 80, 2]] as const) {
    const some = sentences(count, seed);
    const scores = await withSession(model, {}, async (session) =>
      (await session.run(feedsOf(some))).scores!.data as Float32Array);
    const lines = Array.from({ length: count }, (_, n) => {
      const row = [...scores.subarray(5 * n, 5 * n + 5)];
      const own = (all: readonly number[]) => all.slice(n * LENGTH, (n + 1) * LENGTH);
      return JSON.stringify({ input_ids: own(some.ids), attention_mask: own(some.mask), label: row.indexOf(Math.max(...row)) });
    });
    writeFileSync(at(`${name}.jsonl`), `${lines.join('\n')}\n`);
  }
  await compile({
    ...{ model, train: at('train.jsonl'), calibration: at('calibration.jsonl'), taps: ['layer1', 'layer2'], out: at('package') },
    ...{ cache: at('cache'), epochs: 1, batch: 64, threads: 1, report: false, timing: false },
  });
  const manifest: Manifest = JSON.parse(readFileSync(at('package/manifest.json'), 'utf8'));
  const [one] = manifest.operatingPoints;
  const points = { some: [0.35, 0.4], none: [1, 1] };
  const operatingPoints = Object.entries(points).map(([name, thresholds]) => ({ ...one!, name, thresholds }));
  writeFileSync(at('package/manifest.json'), JSON.stringify({ ...manifest, operatingPoints, defaultPoint: 'some' }));
}); // biome-ignore format: rows
test.after(async () => {
  await closeAll();
  rmSync(folder, { recursive: true, force: true });
});

const manifestOf = (path: string): Manifest => JSON.parse(readFileSync(join(path, 'manifest.json'), 'utf8'));

for (const after of ['exit_1', 'exit_2'])
  test(`cut behind ${after}, tokens and what the rest reads of the inputs travel`, async () => {
    const out = at(after);
    await split({
      ...{ folder: at('package'), model, out, after, cache: at('cache'), threads: 1 },
      calibration: at('calibration.jsonl'),
    });
    const { sends } = manifestOf(join(out, 'client')).split!;
    assert.ok(sends.some(({ role }) => role === 'feature'));
    assert.ok(sends.every(({ role }) => role !== 'pixels'));
    const [served] = serverManifest(out).models;
    assert.equal(
      served!.inputs.map(({ name }) => name),
      sends.map(({ name }) => name),
    );
    const feeds = feedsOf(sentences(COUNT, 3));
    for (const { name, thresholds } of manifestOf(at('package')).operatingPoints) {
      const own = await askBoth(out, name, feeds, feeds, thresholds);
      const whole = await askWhole(at('package'), feeds, thresholds);
      assert.equal(own.exits, whole.exits);
      assert.ok(own.scores.every((score, i) => Math.abs(score - whole.scores[i]!) < 1e-4));
      assert.ok(name !== 'none' || own.going.length === COUNT);
    }
  });

test('all of it for a server takes ids as they are', async () => {
  await split({ folder: at('package'), model, out: at('served'), at: ['some'], cache: at('cache') });
  const [served] = serverManifest(at('served')).models;
  assert.equal(
    served!.inputs.map(({ name, datatype, shape }) => [name, datatype, shape]),
    [
      ['input_ids', 'INT64', [-1, LENGTH]],
      ['attention_mask', 'INT64', [-1, LENGTH]],
    ],
  );
  const refused = await rejectsWith('bad-option', () =>
    split({ folder: at('package'), model, out: at('pixels'), send: 'pixels' }),
  );
  assert.match(refused.hint, /`send: 'tensor'`/);
});

test.run();
