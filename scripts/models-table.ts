/**
 * Compiles every model of ../shared/data and writes docs/models.md: trained on its own data where there is some, unlabelled on files
 * or random numbers where not.
 *
 *   npx tsx scripts/models-table.ts [../shared/data]        ONLY=resnet20,vit writes nothing and prints these rows
 */

import { execFileSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { type CompileOptions, compile } from '../src/commands/compile.ts';
import { type Dataset, openDataset, type Preprocessing } from '../src/data/index.ts';
import { readPackage } from '../src/emit/read-package.ts';
import { messageOf, OfframpError } from '../src/errors/index.ts';
import { opsetOf } from '../src/graph/types.ts';
import { inspectLoaded, type ModelOptions } from '../src/model/inspect.ts';
import { type Feeds, type Session, withSession } from '../src/ort/session.ts';
import { floatsOf } from '../src/ort/tensors.ts';
import { loadModel } from '../src/parser/index.ts';
import { measureLatency } from '../src/predict/measure-latency.ts';
import { sampleFeeds, thresholdsFeed } from '../src/predict/run-emitted.ts';

const shared = process.argv[2] ?? '../shared/data';
const only = process.env.ONLY?.split(',');
const work = mkdtempSync(join(tmpdir(), 'offramp-models-'));
const session = { threads: 2 };

/** The largest number below 1 in float32: the exit is open, and only a score of 1 leaves. */
const LARGEST_OPEN = 1 - 2 ** -24;

type Case = Partial<CompileOptions> & { readonly data: string };

const rgb = { channels: 'rgb' } as const;
const pictures = () => {
  for (const split of ['calibration', 'test'])
    if (!existsSync(join(work, split)))
      execFileSync('tar', ['-xzf', join(shared, 'cifar10', `${split}.tar.gz`), '-C', work]);
  return { train: join(work, 'calibration'), test: join(work, 'test'), data: 'CIFAR-10' };
};
const digits = { train: join(shared, 'mnist', 't10k-images-idx3-ubyte.gz'), data: 'MNIST' };
const text = (name: string) => ({
  train: join(shared, 'text', name, 'train.jsonl'),
  calibration: join(shared, 'text', name, 'calibration.jsonl'),
  test: join(shared, 'text', name, 'test.jsonl'),
  data: name,
});
const random = (samples: number): Case => ({ train: `random:${samples}`, data: 'random' });

/** What each model is trained on here; random samples when it is not named. */
const CASES: Record<string, () => Case> = {
  resnet20: () => ({ ...pictures(), preset: 'imagenet' }),
  resnet56: () => ({ ...pictures(), preset: 'imagenet' }),
  densenet40: () => ({ ...pictures(), ...rgb }),
  cifar_biasfield_base: () => ({ ...pictures(), preset: 'unit', widenBatch: true }),
  cifar10_resnet_resnet_2b: () => ({ ...pictures(), preset: 'unit', widenBatch: true }),
  'marabou-cifar10_cifar10_large': () => ({ ...pictures(), preset: 'unit', layout: 'NHWC' }),
  vit_ibp_3_3_8: () => ({ ...pictures(), preset: 'cifar10', std: [0.2023, 0.1994, 0.201] }),
  burn_mnist: () => ({ ...digits, preset: 'mnist' }),
  'mnist-8': () => ({ ...digits, preset: 'none', widenBatch: true }),
  'cora_mnist-trades': () => ({ ...digits, preset: 'unit' }),
  standard_v3_3: () => ({ train: files(), labels: 'none', data: 'files of node_modules' }),
  SqueezeNet_fp16: () => ({ ...random(64), widenBatch: true }),
  light_densenet121: () => random(24),
  light_resnet50: () => random(24),
  light_vgg19: () => random(24),
  silero_vad: () => ({ ...random(64), dims: { 'input.1': 512, 'state.1': 1 } }),
  ag_news: () => text('ag_news'),
  sst2: () => text('sst2'),
};

/** Magika's input of 600 files: the first and the last 1,024 bytes, 256 where there are none (its own padding). */
function files(): string {
  const [count, half] = [600, 1024];
  const names = readdirSync('node_modules', { recursive: true, encoding: 'utf8' })
    .map((name) => join('node_modules', name))
    .filter((name) => statSync(name).isFile())
    .sort();
  const rows = new Int32Array(count * 2 * half).fill(256);
  for (let i = 0; i < count; i++) {
    const name = names[Math.floor((i * names.length) / count)]!;
    const { size } = statSync(name);
    const bytes = Buffer.alloc(half);
    const file = openSync(name, 'r');
    const read = (from: number) => readSync(file, bytes, 0, Math.min(half, size - from), from);
    const first = read(0);
    rows.set(bytes.subarray(0, first), 2 * half * i);
    const final = read(Math.max(0, size - half));
    rows.set(bytes.subarray(0, final), 2 * half * (i + 1) - final);
    closeSync(file);
  }
  const header = `{'descr': '<i4', 'fortran_order': False, 'shape': (${count}, ${2 * half}), }`;
  const padded = `${header.padEnd(117)}\n`;
  const folder = join(work, 'files');
  mkdirSync(folder, { recursive: true });
  const magic = Buffer.from([0x93, ...Buffer.from('NUMPY'), 1, 0, padded.length, 0]);
  writeFileSync(join(folder, 'x.npy'), Buffer.concat([magic, Buffer.from(padded), Buffer.from(rows.buffer)]));
  return folder;
}

interface Row {
  readonly model: string;
  readonly cells: readonly string[];
}

async function rowOf(name: string, model: string): Promise<Row> {
  const { data, ...asked } = (CASES[name] ?? (() => random(256)))();
  const out = join(work, 'out');
  let producer = '';
  let opset = '';
  try {
    const source = await loadModel(model);
    producer = `${source.model.producerName} ${source.model.producerVersion}`.trim();
    opset = String(opsetOf(source.model));
    const { typed, plan } = await inspectLoaded(source, { ...(asked as ModelOptions), session });
    const options = { epochs: 1, ...asked, model, out, force: true, cache: join(work, 'cache'), threads: 2 };
    await compile(options as CompileOptions, {});
    const { exact, first, overhead } = await measured(out, asked, typed.model);
    const places = plan.exits.map((exit) => `${(100 * exit.tap.relativeCost).toFixed(0)} %`).join(', ');
    return {
      model: name,
      cells: [producer, opset, data, String(plan.taps.length), places, exact, first, overhead],
    };
  } catch (error) {
    if (!(error instanceof OfframpError)) throw error;
    return {
      model: name,
      cells: [producer, opset, data, '', `refused: ${messageOf(error)} \`${error.code}\``, '', '', ''],
    };
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

const SAMPLES = 32;
/** Passes over the samples that are timed: fewer where a run takes long. */
const PASSES = { most: 10, least: 2, seconds: 10 };

/** With all exits closed against the original; the time when everybody leaves at the first exit, and when all are open and nobody leaves. */
async function measured(
  out: string,
  asked: Partial<CompileOptions>,
  original: Parameters<typeof withSession>[0],
) {
  const manifest = await readPackage(out);
  const inputs = manifest.inputs.map((i) => ({ ...i, dims: i.dims.slice(1) as number[] }));
  const dataset: Dataset = await openDataset(asked.test ?? asked.train!, {
    inputs,
    preprocessing: manifest.preprocessing as Preprocessing,
    cache: join(work, 'cache'),
    classes: manifest.classes,
    labels: 'none',
    split: 'test',
  });
  const feeds: Feeds[] = [];
  for (let i = 0; i < SAMPLES; i++)
    feeds.push(await sampleFeeds(dataset, [Math.floor((i * dataset.size) / SAMPLES)]));
  const closed = thresholdsFeed(manifest.exits.map(() => 1));
  const open = thresholdsFeed(manifest.exits.map(() => LARGEST_OPEN));
  const leaving = thresholdsFeed(manifest.exits.map((_, k) => (k === 0 ? -1 : 1)));
  return await withSession(original, session, (before) =>
    withSession(join(out, 'model.onnx'), session, async (after) => {
      const scores = async (which: Session, extra: typeof closed, name: string) => {
        const found: number[][] = [];
        for (const feed of feeds) found.push([...floatsOf((await which.run({ ...feed, ...extra }))[name]!)]);
        return found;
      };
      const { scores: name } = manifest.outputs;
      const [a, b] = [await scores(before, {}, name), await scores(after, closed, name)];
      const largest = Math.max(...a.flat().map(Math.abs));
      const apart = Math.max(...a.map((row, i) => Math.max(...row.map((v, c) => Math.abs(v - b[i]![c]!)))));
      const constant = new Set(a.map((row) => row.join())).size === 1;
      const staying: Feeds[] = [];
      for (const feed of feeds)
        if (Number((await after.run({ ...feed, ...open })).exit_index!.data[0]) === manifest.exits.length)
          staying.push(feed);
      const began = performance.now();
      await before.run(feeds[0]!);
      const wanted = (1000 * PASSES.seconds) / (SAMPLES * (performance.now() - began));
      const passes = Math.round(Math.min(PASSES.most, Math.max(PASSES.least, wanted)));
      const timed = { warmup: 3, passes };
      const original = { name: 'before', session: before, extra: {} };
      const ratio = async (extra: typeof open, samples: readonly Feeds[]) => {
        const times = await measureLatency(
          [original, { name: 'after', session: after, extra }],
          samples,
          timed,
        );
        return `${(times.get('after')!.p50 / times.get('before')!.p50).toFixed(2)} × ${times.get('before')!.p50.toFixed(2)} ms`;
      };
      const first = await ratio(leaving, feeds);
      const overhead = staying.length > 0 ? await ratio(open, staying) : 'all leave';
      await dataset.close();
      return {
        exact: `${apart === 0 ? '0' : (apart / largest).toExponential(0)}${constant ? ' (constant output)' : ''}`,
        first,
        overhead,
      };
    }),
  );
}

const HEAD = ['model', 'exporter', 'opset', 'data', 'taps', 'exits at', 'exact', 'first exit', 'worst path'];

const models = [
  ...readdirSync(join(shared, 'models')).map((file) => [
    basename(file, '.onnx'),
    join(shared, 'models', file),
  ]),
  ...readdirSync(join(shared, 'text')).map((name) => [name, join(shared, 'text', name, 'encoder.onnx')]),
] as [string, string][];
const rows: Row[] = [];
for (const [name, model] of models) {
  if (only && !only.includes(name)) continue;
  rows.push(await rowOf(name, model));
  process.stderr.write(`${rows.at(-1)!.model}: ${rows.at(-1)!.cells.join(' | ')}\n`);
}
rmSync(work, { recursive: true, force: true });
const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
const page = `# Models that were tried

Made by \`npx tsx scripts/models-table.ts\` on ${availableParallelism()} cores: every model of ../shared/data is compiled with one epoch on a few thousand
samples (what heads learn from that is not the point here) or refused with a reason. Random samples show that everything runs, and nothing else.

- **exact**: with all exits closed, the emitted model against the original on ${SAMPLES} samples, relative to the largest output. A constant
  output proves nothing. float16 and int8 models move by their own rounding from one graph to another: ONNX Runtime's optimizations do it too
  (2⁻⁷ of the largest is allowed for float16, twice what optimizations move the original for int8).
- **first exit**: everybody leaves at the first, against the original at batch 1, medians of runs in turn.
- **worst path**: all exits open and nobody leaving, against the same; the heads' own work is in it. *All leave*: scores of exactly 1, so that nobody was left to time.

Networks of a few tenths of a millisecond gain nothing: an exit costs 0.1 ms of bookkeeping besides its head (bench/README.md says what for).

${[line(HEAD), line(HEAD.map(() => '---')), ...rows.map(({ model, cells }) => line([model, ...cells]))].join('\n')}
`;
if (only) process.stdout.write(page);
else writeFileSync('docs/models.md', page);
process.exit();
