/**
 * Features of decoded samples against the backbone alone, batch by batch in turn; and, for picture files, decoding and extracting one after the
 * other against both at once.
 *
 *   npx tsx bench/extraction.ts [model.onnx …]      PICTURES=DIR (CIFAR-10 pictures in class folders)  THREADS=2
 */

import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import sharp from 'sharp';
import { openDataset, PLAIN_VIEW, resolvePreprocessing } from '../src/data/index.ts';
import { inputsOf } from '../src/data/splits.ts';
import { inspectFile } from '../src/model/inspect.ts';
import { Session, Tensor } from '../src/ort/session.ts';
import { attachExits } from '../src/passes/attach-exits.ts';
import { extractFeatures } from '../src/passes/extract-features.ts';
import { runPasses } from '../src/passes/pass.ts';
import { Extractor, slotsOf } from '../src/train/extractor.ts';
import { openFeatures } from '../src/train/features.ts';
import { markdown } from './markdown.ts';
import { median } from './median.ts';

const BATCH = 64;
const BATCHES = 16;
const ROUNDS = 7;
const SAMPLES = BATCH * BATCHES;
const models = process.argv.slice(2);
if (models.length === 0)
  models.push(...['resnet20', 'resnet56'].map((name) => `../shared/data/models/${name}.onnx`));
const threads = Number(process.env.THREADS ?? 2);
const session = { threads };
const pictures = process.env.PICTURES;

const cache = mkdtempSync(join(tmpdir(), 'offramp-extraction-'));
const timed = async (act: () => Promise<unknown>) => {
  const start = performance.now();
  await act();
  return performance.now() - start;
};
const rows: string[][] = [];
const overlaps: string[][] = [];

for (const model of models) {
  const { typed, plan, source } = await inspectFile({ model });
  const heads = attachExits(plan, { kind: 'strided', seed: 1 });
  const slots = slotsOf(typed, heads, true);
  const inputs = inputsOf(typed);
  const data = { inputs, classes: typed.classes, cache, labels: 'none', split: 'train' } as const;
  const preprocessing = resolvePreprocessing({ preset: 'none' }, inputs);
  const dataset = await openDataset(`random:${SAMPLES}`, { ...data, preprocessing });
  const [input] = inputs as [(typeof inputs)[number]];
  const backbone = await Session.open(typed.model, session);
  const extractor = await Extractor.open(typed, dataset, slots, session);
  const exposing = async (half: boolean) => {
    const requests = slotsOf(typed, heads, half).map(({ request }) => request);
    const graph = runPasses(typed.model.graph, [extractFeatures(requests)]);
    return await Session.open({ ...typed.model, graph }, session);
  };
  const [single, half] = [await exposing(false), await exposing(true)];
  const all = Int32Array.from({ length: SAMPLES }, (_, i) => i);
  const perSample = input.dims.reduce((a, b) => a * b, 1);
  const ready = new Float32Array(BATCH * perSample).map((_, i) => Math.sin(i));
  const feeds = { [input.name]: new Tensor('float32', ready, [BATCH, ...input.dims]) };

  const running = (which: Session) => async () => {
    for (let i = 0; i < BATCHES; i++) await which.run(feeds);
  };
  const alone = running(backbone);
  const read = async () => {
    for (let i = 0; i < BATCHES; i++)
      await dataset.read(all.subarray(i * BATCH, (i + 1) * BATCH), PLAIN_VIEW);
  };
  const extract = () => extractor.run(all, PLAIN_VIEW, () => {});
  let made = 0;
  const intoCache = async () => {
    const cacheFolder = join(cache, `${made++}`);
    const options = { typed, modelHash: source.sha256, heads, dataset, cacheFolder, session };
    await (await openFeatures(options)).close();
    rmSync(cacheFolder, { recursive: true });
  };
  const acts = [alone, running(single), running(half), read, extract, intoCache];
  const taken = acts.map((): number[] => []);
  for (let round = 0; round <= ROUNDS; round++)
    for (const [i, act] of acts.entries()) {
      const ms = await timed(act);
      if (round > 0) taken[i]!.push(ms / SAMPLES);
    }
  const ms = taken.map(median);
  const [base, , , , extracted, cached] = ms as [number, number, number, number, number, number];
  rows.push([
    basename(model, '.onnx'),
    ...ms.map((value) => value.toFixed(3)),
    (extracted / base).toFixed(2),
    (cached / base).toFixed(2),
    slots.map(({ id, recordBytes }) => `${id} ${recordBytes}`).join(', '),
  ]);
  await single.release();
  await half.release();
  console.error(rows.at(-1)!.join('  '));

  if (pictures) {
    const names = readdirSync(pictures).flatMap((name) =>
      readdirSync(join(pictures, name))
        .slice(0, Math.ceil(SAMPLES / 10))
        .map((file) => join(pictures, name, file)),
    );
    sharp.concurrency(1);
    sharp.cache(false);
    const decode = (first: number) =>
      Promise.all(
        names.slice(first, first + BATCH).map((name) => sharp(name).removeAlpha().raw().toBuffer()),
      );
    const decodeAll = async () => {
      for (let i = 0; i < BATCHES; i++) await decode(i * BATCH);
    };
    const both = async () => {
      let next = decode(0);
      for (let i = 0; i < BATCHES; i++) {
        await next;
        next = decode((i + 1) * BATCH);
        await backbone.run(feeds);
      }
      await next;
    };
    const times: [number[], number[], number[]] = [[], [], []];
    for (let round = 0; round <= ROUNDS; round++)
      for (const [i, act] of [decodeAll, alone, both].entries()) {
        const ms = await timed(act);
        if (round > 0) times[i]!.push(ms);
      }
    const [decoding, running, together] = times.map((list) => median(list) / SAMPLES) as [
      number,
      number,
      number,
    ];
    overlaps.push([
      basename(model, '.onnx'),
      ...[decoding, running, decoding + running, together].map((ms) => ms.toFixed(3)),
      (together / (decoding + running)).toFixed(3),
      (together / Math.max(decoding, running)).toFixed(3),
    ]);
    console.error(overlaps.at(-1)!.join('  '));
  }
  await backbone.release();
  await extractor.close();
  await dataset.close();
}
rmSync(cache, { recursive: true });
const overlap = pictures
  ? `
## Decoding pictures while the backbone runs

Milliseconds a picture on ${threads} cores; the next batch is decoded by sharp's threads while ONNX Runtime runs this one on all cores.

${markdown([['', 'decode', 'run', 'one after the other', 'both at once', 'of the sum', 'of the slower'], ...overlaps])}
`
  : '';
console.log(`# Feature extraction

Made by \`npx tsx bench/extraction.ts\` with ${threads} threads: milliseconds a sample, ${SAMPLES} decoded samples in batches of ${BATCH}, medians of ${ROUNDS} rounds in turn.
*Taps out*: the backbone with its taps as outputs, in float32; *in float16*: the same, cast; *read*: samples from the decoded cache, preprocessed.
*Extracted* is all of it and the hand-over; *cached*: written to disk too, with hashes. Both ratios are to the backbone alone.

${markdown([
  [
    '',
    'backbone alone',
    'taps out',
    'in float16',
    'read',
    'extracted',
    'cached',
    'extracted, ratio',
    'cached, ratio',
    'bytes a sample',
  ],
  ...rows,
])}
${overlap}`);
process.exit();
