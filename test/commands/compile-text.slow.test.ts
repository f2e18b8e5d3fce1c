/** A model of several inputs from JSONL to answers of its generated package; and what is compiled without labels, or without data. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Tokenizer } from '@huggingface/tokenizers';
import * as ort from 'onnxruntime-node';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { calibrate } from '../../src/commands/calibrate.ts';
import { type CompileOptions, compile } from '../../src/commands/compile.ts';
import { evaluate } from '../../src/commands/evaluate.ts';
import { readTokenizer } from '../../src/emit/keep-tokenizer.ts';
import { withSession } from '../../src/ort/session.ts';
import { serializeModel } from '../../src/parser/index.ts';
import { noise, tinyEncoder } from '../models.ts';
import { assertSamePackage } from '../timeless.ts';

const test = suite('compile: text');
const folder = mkdtempSync(join(tmpdir(), 'offramp-text-'));
const at = (name: string) => join(folder, name);
const model = at('encoder.onnx');

interface Sample {
  readonly input_ids: readonly number[];
  readonly attention_mask: readonly number[];
  readonly label?: number;
}

/** `count` sentences of 3 to 8 words. */
function sentences(count: number, seed: number): Sample[] {
  const random = noise(count * 9, seed);
  return Array.from({ length: count }, (_, n) => {
    const at = (i: number) => Math.floor(((random[9 * n + i]! + 1) / 2) * 64) % 64;
    const length = 3 + (at(8) % 6);
    return {
      input_ids: Array.from({ length: 8 }, (_, i) => (i < length ? at(i) : 0)),
      attention_mask: Array.from({ length: 8 }, (_, i) => Number(i < length)),
    };
  });
}

const int64 = (rows: readonly (readonly number[])[]) => BigInt64Array.from(rows.flat().map(BigInt));

function feedsOf(samples: readonly Sample[]) {
  const tensor = (rows: readonly (readonly number[])[]) =>
    new ort.Tensor('int64', int64(rows), [rows.length, 8]);
  return {
    input_ids: tensor(samples.map((s) => s.input_ids)),
    attention_mask: tensor(samples.map((s) => s.attention_mask)),
  };
}

const splits = { train: sentences(200, 1), calibration: sentences(100, 2), test: sentences(50, 3) };

const options = (out: string, more: Partial<CompileOptions> = {}): CompileOptions => ({
  model,
  train: at('train.jsonl'),
  calibration: at('calibration.jsonl'),
  test: at('test.jsonl'),
  taps: ['layer1', 'layer2'],
  out: at(out),
  cache: at('cache'),
  epochs: 2,
  batch: 64,
  threads: 1,
  report: false,
  timing: false,
  ...more,
});

test.before(async () => {
  writeFileSync(model, serializeModel(tinyEncoder(17, 'words')));
  await withSession(model, {}, async (session) => {
    for (const [split, samples] of Object.entries(splits)) {
      const scores = (await session.run(feedsOf(samples))).scores!.data as Float32Array;
      const lines = samples.map((sample, i) => {
        const row = [...scores.subarray(5 * i, 5 * i + 5)];
        return JSON.stringify({ ...sample, label: i % 10 === 0 ? i % 5 : row.indexOf(Math.max(...row)) });
      });
      writeFileSync(at(`${split}.jsonl`), `${lines.join('\n')}\n`);
    }
  });
  await compile(options('out'));
});

test.after(() => rmSync(folder, { recursive: true, force: true }));

test('ids and mask are read, heads read tokens, and evaluate agrees', async () => {
  const { measured, promised, sameData, largestDifference } = await evaluate({
    folder: at('out'),
    test: at('test.jsonl'),
    cache: at('cache'),
    threads: 1,
  });
  assert.equal(
    promised.inputs.map((i) => [i.name, i.dataType, i.dims]),
    [
      ['input_ids', 'int64', ['N', 8]],
      ['attention_mask', 'int64', ['N', 8]],
    ],
  );
  assert.equal(
    promised.exits.map((e) => e.head),
    ['token', 'token'],
  );
  assert.ok(sameData);
  assert.ok(largestDifference < 1e-9, `${largestDifference}`);
  assert.ok(measured.baseline.accuracy! > 0.85);
});

test('the generated package takes both inputs, and answers as the model does', async () => {
  const { default: Encoder } = await import(pathToFileURL(at('out/index.js')).href);
  const encoder = await Encoder.load(ort);
  const samples = splits.test.slice(0, 20);
  const feeds = {
    input_ids: int64(samples.map((s) => s.input_ids)),
    attention_mask: int64(samples.map((s) => s.attention_mask)),
  };
  const exact = await encoder.classify(feeds, { at: 'exact' });
  const scores = await withSession(
    model,
    {},
    async (s) => (await s.run(feedsOf(samples))).scores!.data as Float32Array,
  );
  exact.forEach(({ index, exitId }: { index: number; exitId: string }, i: number) => {
    const row = [...scores.subarray(5 * i, 5 * i + 5)];
    assert.is(index, row.indexOf(Math.max(...row)));
    assert.is(exitId, 'full');
  });
  const early = await encoder.classify(feeds, { thresholds: [0, 1] });
  assert.equal(new Set(early.map((r: { exitId: string }) => r.exitId)), new Set(['exit_1']));
  await encoder.release();
});

test('texts: the package keeps their tokenizer and encodes them as the compiler did', async () => {
  const words = Array.from({ length: 60 }, (_, i) => `w${i}`);
  const special = ['[PAD]', '[UNK]', '[CLS]', '[SEP]'];
  const vocab = Object.fromEntries([...special, ...words].map((token, id) => [token, id]));
  const token = (id: string) => ({ SpecialToken: { id, type_id: 0 } });
  const tokenizer = {
    version: '1.0',
    added_tokens: special.map((content, id) => ({ id, content, special: true })),
    normalizer: null,
    decoder: null,
    pre_tokenizer: { type: 'Whitespace' },
    post_processor: {
      type: 'TemplateProcessing',
      single: [token('[CLS]'), { Sequence: { id: 'A', type_id: 0 } }, token('[SEP]')],
      pair: [token('[CLS]'), { Sequence: { id: 'A', type_id: 0 } }, token('[SEP]')],
      special_tokens: Object.fromEntries(
        special.map((id, number) => [id, { id, ids: [number], tokens: [id] }]),
      ),
    },
    model: { type: 'WordLevel', vocab, unk_token: '[UNK]' },
  };
  writeFileSync(at('tokenizer.json'), JSON.stringify(tokenizer));
  const said = (count: number, seed: number) =>
    sentences(count, seed).map(({ input_ids }, i) =>
      input_ids.map((id, at) => (at === 0 && i % 3 === 0 ? 'unheard' : `w${id % 60}`)).join(' '),
    );
  const written = (name: string, texts: readonly string[]) => {
    const lines = texts.map((text, i) => JSON.stringify({ text, label: i % 5 }));
    writeFileSync(at(name), lines.join('\n'));
    return at(name);
  };
  const seen = said(40, 6);
  const { manifest } = await compile(
    options('texts', {
      train: written('said.jsonl', said(100, 4)),
      calibration: written('said-calibration.jsonl', said(60, 5)),
      test: written('said-test.jsonl', seen),
      tokenizer: at('tokenizer.json'),
      epochs: 1,
    }),
  );
  assert.match(manifest.tokenizer!.sha256, /^[0-9a-f]{64}$/);
  const ids = ['input_ids', 'attention_mask'];
  const { sha256, content } = (await readTokenizer(at('tokenizer.json'), ids))!;
  assert.is(sha256, manifest.tokenizer!.sha256);
  // Written so that JavaScript reads it as the reference does; what was written so stays.
  assert.equal(readFileSync(at('texts/tokenizer.json')), Buffer.from(content));
  assert.is((await readTokenizer(at('texts/tokenizer.json'), ids))!.sha256, sha256);
  assert.is(await readTokenizer(at('tokenizer.json'), ['pixels']), undefined, 'no text becomes that');
  const again = { folder: at('texts'), test: at('said-test.jsonl'), cache: at('cache'), threads: 1 };
  const { sameData, measured } = await evaluate(again);
  assert.ok(sameData, 'its own tokenizer is used');
  await calibrate({
    ...again,
    model,
    calibration: at('said-calibration.jsonl'),
    out: at('texts-again'),
    report: false,
    timing: false,
  });
  assertSamePackage(at('texts-again'), at('texts'));

  const { default: Encoder, textEncoder } = await import(pathToFileURL(at('texts/index.js')).href);
  const kept = JSON.parse(readFileSync(at('texts/tokenizer.json'), 'utf8'));
  const encode = textEncoder(Tokenizer, kept);
  assert.equal(encode(`unheard ${words.join(' ')}`), {
    input_ids: BigInt64Array.from([2n, 1n, 4n, 5n, 6n, 7n, 8n, 3n]),
    attention_mask: new BigInt64Array(8).fill(1n),
  });
  const encoder = await Encoder.load(ort);
  const answers = await encoder.classify(encode(...seen), { at: 'fast' });
  const right = answers.filter(({ index }: { index: number }, i: number) => index === i % 5).length;
  assert.is(right / seen.length, measured.operatingPoints.find(({ name }) => name === 'fast')!.accuracy);
  await encoder.release();
});

test("without labels the original's answers are the truth, whatever the file says; calibrate and evaluate go on so", async () => {
  const notes: string[] = [];
  const { manifest } = await compile(options('unlabelled', { labels: 'none', epochs: 1 }), {
    onNote: (n) => notes.push(n.message),
  });
  assert.ok(notes.some((note) => note.startsWith('Nothing is labelled')));
  assert.is(manifest.baseline.accuracy, 1);
  for (const point of manifest.operatingPoints) assert.is(point.accuracy, point.agreement);
  for (const { labels } of Object.values(manifest.data)) assert.is(labels, 'original');
  const splits = { calibration: at('calibration.jsonl'), test: at('test.jsonl') };
  await calibrate({
    folder: at('unlabelled'),
    model,
    ...splits,
    out: at('again'),
    cache: at('cache'),
    threads: 1,
    report: false,
    timing: false,
  });
  assertSamePackage(at('again'), at('unlabelled'));
  const evaluated = await evaluate({
    folder: at('unlabelled'),
    test: splits.test,
    cache: at('cache'),
    threads: 1,
  });
  assert.ok(evaluated.sameData);
  assert.ok(evaluated.largestDifference < 1e-9);
});

test('random samples are marked as such', async () => {
  const notes: string[] = [];
  const { train: _, calibration: __, test: ___, ...rest } = options('random', { epochs: 1 });
  const { manifest } = await compile(
    { ...rest, train: 'random:100' },
    { onNote: (n) => notes.push(n.message) },
  );
  assert.ok(notes.some((note) => note.startsWith('The samples are random')));
  assert.ok(Object.values(manifest.data).every((split) => split.random && split.hash.startsWith('random-')));
  assert.match(readFileSync(at('random/manifest.json'), 'utf8'), '"random": true');
});

test.run();
