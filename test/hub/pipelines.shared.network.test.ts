/**
 * Folders of the hub in, without a word on preprocessing or labels; packages and folders out. The truth is the library's own pipeline on the
 * original folder. Needs ../shared besides the npm registry.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import * as ort from 'onnxruntime-node';
import sharp from 'sharp';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type CompileOptions, compile } from '../../src/commands/compile.ts';
import { exportTransformers } from '../../src/commands/export-transformers.ts';
import type { Manifest } from '../../src/emit/manifest.ts';
import { freshFolder } from '../data/fixtures.ts';
import { hasSharedData, sharedData } from '../shared.ts';
import { askLibrary } from './library.ts';
import { writeCifar, writeEncoder, writeResnet, writeTexts, writeVit } from './real-models.shared.ts';

const test = suite('hub: pipelines on real models');
const folder = freshFolder();
const at = (path: string) => join(folder, path);
const SAMPLES = 200;

/** Scores of each class by its name. */
type Scores = Readonly<Record<string, number>>;

interface Answer {
  readonly label: string;
  readonly probability: number;
  readonly exitId: string;
}

interface Package {
  classify(input: unknown, options: { readonly at: string }): Promise<readonly Answer[]>;
  release(): Promise<void>;
}

const best = (scores: Scores): [string, number] =>
  Object.entries(scores).reduce((a, b) => (b[1] > a[1] ? b : a));

/** Compiled with what its folder says, and the named point that sends samples to most exits. */
async function compiled(model: string, out: string, more: Partial<CompileOptions>) {
  const options = {
    ...{ threads: 1, timing: false, report: false, cache: at('cache'), epochs: 12 },
    ...more,
  };
  await compile({ model, out, ...options } as CompileOptions);
  const manifest = JSON.parse(readFileSync(join(out, 'manifest.json'), 'utf8')) as Manifest;
  const spread = (shares: readonly number[]) => Math.min(...shares);
  const points = manifest.operatingPoints.toSorted((a, b) => spread(b.exitShares) - spread(a.exitShares));
  return { manifest, point: points[0]!.name };
}

/** Package, exported folder and original, sample by sample. `inputs`: what each is given of a sample. */
async function compare(
  about: {
    readonly model: string;
    readonly out: string;
    readonly point: string;
    readonly task: string;
    readonly classes: number;
  },
  theirs: readonly unknown[],
  ours: readonly unknown[],
): Promise<void> {
  const { model, out, point, task, classes } = about;
  const scoresOf = (from: string) =>
    askLibrary<Scores[]>({ kind: 'classify', folder: from, items: theirs, task, classes });
  const original = await scoresOf(model);
  const folders = { exact: `${out}-exact`, [point]: `${out}-${point}` };
  for (const [name, to] of Object.entries(folders))
    await exportTransformers({ folder: out, out: to, model, at: name });
  const exact = await scoresOf(folders.exact);
  const early = await scoresOf(folders[point]!);

  const module = (await import(pathToFileURL(join(out, 'index.js')).href)) as {
    default: { load(runtime: unknown, options: object): Promise<Package> };
  };
  const own = await module.default.load(ort, { sessionOptions: { intraOpNumThreads: 1 } });
  const exits = new Map<string, number>();
  for (const [i, scores] of original.entries()) {
    const [label, score] = best(scores);
    assert.is(best(exact[i]!)[0], label, `sample ${i}`);
    for (const [name, value] of Object.entries(scores))
      assert.ok(Math.abs(exact[i]![name]! - value) < 1e-5, `sample ${i}, ${name}`);
    const [whole] = await own.classify(ours[i], { at: 'exact' });
    assert.is(whole!.label, label, `sample ${i}`);
    assert.ok(Math.abs(whole!.probability - score) < 1e-5, `sample ${i}: ${whole!.probability} for ${score}`);

    const [answer] = await own.classify(ours[i], { at: point });
    const [earlyLabel, earlyScore] = best(early[i]!);
    assert.is(answer!.label, earlyLabel, `sample ${i} at ${answer!.exitId}`);
    assert.ok(Math.abs(answer!.probability - earlyScore) < 1e-5, `sample ${i} at ${answer!.exitId}`);
    exits.set(answer!.exitId, (exits.get(answer!.exitId) ?? 0) + 1);
  }
  await own.release();
  assert.is(original.length, SAMPLES);
  assert.ok(exits.size >= 2, `samples left at ${[...exits.keys()].join(', ')} alone`);
}

if (!hasSharedData()) console.log('\n*** SKIPPED: pipelines on real models need ../shared ***');
else {
  let pictures: string[] = [];
  let decoded: { data: Uint8Array; width: number; height: number }[] = [];

  test.before(async () => {
    mkdirSync(at('cifar10'), { recursive: true });
    assert.is(
      spawnSync('tar', ['xzf', sharedData('cifar10', 'calibration.tar.gz'), '-C', at('cifar10')]).status,
      0,
    );
    await writeCifar(at('pictures'), at('cifar10/calibration'), {
      train: 150,
      calibration: 50,
      test: SAMPLES / 10,
    });
    pictures = readdirSync(at('pictures/test'), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.png'))
      .sort()
      .map((file) => at(`pictures/test/${file}`));
    decoded = await Promise.all(
      pictures.map(async (file) => {
        const { data, info } = await sharp(file).removeAlpha().raw().toBuffer({ resolveWithObject: true });
        return { data: new Uint8Array(data), width: info.width, height: info.height };
      }),
    );
  });

  const splits = () => ({
    train: at('pictures/train'),
    calibration: at('pictures/calibration'),
    test: at('pictures/test'),
    exits: 2,
    effort: 'low' as const,
  });

  for (const [name, write] of [['resnet-20-cifar10', writeResnet], ['vit-cifar10', writeVit]] as const) // biome-ignore format: a table
    test(`${name}: package and folder answer as the library does on the original`, async () => {
      const model = write(at(name));
      const out = at(`${name}-out`);
      const { manifest, point } = await compiled(model, out, splits());
      assert.is(manifest.name, name);
      assert.is(manifest.labels?.[3], 'cat');
      await compare({ model, out, point, task: 'image-classification', classes: 10 }, pictures, decoded);
    });

  test('ag-news: texts of any length', async () => {
    const model = writeEncoder(at('ag-news'));
    writeTexts(at('train.jsonl'), 'train', 1500);
    writeTexts(at('calibration.jsonl'), 'calibration', 400);
    const rows = writeTexts(at('test.jsonl'), 'test', SAMPLES);
    const out = at('ag-news-out');
    const { manifest, point } = await compiled(model, out, {
      ...{ train: at('train.jsonl'), calibration: at('calibration.jsonl'), test: at('test.jsonl') },
      ...{ exits: 2, effort: 'low' as const },
    });
    assert.equal(manifest.labels, ['World', 'Sports', 'Business', 'Sci/Tech']);
    assert.equal(manifest.inputs[0]!.dims, ['N', 64]);
    const { textEncoder } = (await import(pathToFileURL(join(out, 'index.js')).href)) as {
      textEncoder(tokenizer: unknown, file: object): (text: string) => unknown;
    };
    const { Tokenizer } = await import('@huggingface/tokenizers');
    const encode = textEncoder(Tokenizer, JSON.parse(readFileSync(join(out, 'tokenizer.json'), 'utf8')));
    const texts = rows.map(({ text }) => text);
    await compare(
      { model, out, point, task: 'text-classification', classes: 4 },
      texts,
      texts.map((text) => encode(text)),
    );
  });
}

test.run();
