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
import { openDataset, resolvePreprocessing } from '../src/data/index.ts';
import { inspect } from '../src/inspect.ts';
import { Session, Tensor } from '../src/ort.ts';
import { attachExits } from '../src/passes/attach-exits.ts';
import { inputsOf } from '../src/roles.ts';
import { Extractor, slotsOf } from '../src/train/extractor.ts';
import { openFeatures, PLAIN } from '../src/train/features.ts';
import { markdown } from './markdown.ts';

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
const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1]!;
const timed = async (act: () => Promise<unknown>) => {
  const start = performance.now();
  await act();
  return performance.now() - start;
};
const rows: string[][] = [];
const overlaps: string[][] = [];

for (const model of models) {
  const { typed, plan, source } = await inspect({ model });
  const heads = attachExits(plan, { kind: 'strided', seed: 1 });
  const slots = slotsOf(typed, heads, true);
  const inputs = inputsOf(typed);
  const data = { inputs, classes: typed.classes, cache, labels: 'none', role: 'train' } as const;
  const preprocessing = resolvePreprocessing({ preset: 'none' }, inputs);
  const dataset = await openDataset(`random:${SAMPLES}`, { ...data, preprocessing });
  const [input] = inputs as [(typeof inputs)[number]];
  const backbone = await Session.open(typed.model, session);
  const extractor = await Extractor.open(typed, dataset, slots, session);
  const all = Int32Array.from({ length: SAMPLES }, (_, i) => i);
  const perSample = input.dims.reduce((a, b) => a * b, 1);
  const ready = new Float32Array(BATCH * perSample).map((_, i) => Math.sin(i));
  const feeds = { [input.name]: new Tensor('float32', ready, [BATCH, ...input.dims]) };

  const alone = async () => {
    for (let i = 0; i < BATCHES; i++) await backbone.run(feeds);
  };
  const extract = () => extractor.run(all, PLAIN, () => {});
  let made = 0;
  const intoCache = async () => {
    const cacheFolder = join(cache, `${made++}`);
    const options = { typed, modelHash: source.sha256, heads, dataset, cacheFolder, session };
    await (await openFeatures(options)).close();
    rmSync(cacheFolder, { recursive: true });
  };
  const [a, b, c]: [number[], number[], number[]] = [[], [], []];
  for (let round = 0; round <= ROUNDS; round++) {
    const times = [await timed(alone), await timed(extract), await timed(intoCache)];
    if (round === 0) continue;
    a.push(times[0]!);
    b.push(times[1]!);
    c.push(times[2]!);
  }
  const [x, y, z] = [median(a), median(b), median(c)].map((ms) => ms / SAMPLES) as [number, number, number];
  rows.push([
    basename(model, '.onnx'),
    x.toFixed(3),
    y.toFixed(3),
    (y / x).toFixed(3),
    z.toFixed(3),
    (z / x).toFixed(3),
    slots.map(({ id, recordBytes }) => `${id} ${recordBytes}`).join(', '),
  ]);
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
*Extracted*: read, preprocessed, run, features handed over (float16, pooled where heads begin with pooling); *cached*: written to disk too, with hashes.

${markdown([['', 'backbone alone', 'extracted', 'ratio', 'cached', 'ratio', 'bytes a sample'], ...rows])}
${overlap}`);
process.exit();
