/** Small models of the hub's layout, compiled: one of a chain that reads pictures, one with heads that reads texts. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CompileOptions, compile } from '../../src/commands/compile.ts';
import type { Manifest } from '../../src/emit/manifest.ts';
import { serializeModel } from '../../src/parser/index.ts';
import { classifierConfig, vitProcessor, writeFiles } from '../hub-models.ts';
import { wordPieceTokenizer } from '../hub-tokenizers.ts';
import { noise, tinyEncoder } from '../models.ts';
import { tinyChain } from '../tiny-chain.ts';

export const NAMES = ['ant', 'bee', 'cat', 'dog', 'eel'];

export interface CompiledFolder {
  /** The original's folder. */
  readonly model: string;
  /** The package. */
  readonly out: string;
  readonly manifest: Manifest;
  at(path: string): string;
  remove(): void;
}

/** Pictures of 8 x 8; two networks. */
export async function compilePictures(more: Partial<CompileOptions> = {}): Promise<CompiledFolder> {
  const { at, model: file, small, chainOptions, writeSamples, remove } = await tinyChain('hub-pictures');
  const model = writeFiles(at('tiny-pictures'), {
    'config.json': classifierConfig('vit', NAMES),
    'preprocessor_config.json': vitProcessor(8),
    'onnx/model.onnx': readFileSync(file),
    // Beside the original, where exports find it.
    'onnx/small.onnx': readFileSync(small),
  });
  await writeSamples({ calibration: 300, test: 100 });
  const { preset: _, ...options } = chainOptions('out', { model, first: [join(model, 'onnx/small.onnx')] });
  const { manifest } = await compile({ ...options, ...more } as CompileOptions);
  return { model, out: at('out'), manifest, at, remove };
}

const WORDS = ['hello', 'world', 'it', 'works', 'text', 'tabs', 'and', 'newlines', 'space', 'naive', 'a', 'abc', 'fig', ',', '.', '!']; // biome-ignore format: a list

/** `count` texts of 1 to 6 words, some of which are several tokens: the longest are cut. */
export function textsOf(count: number, seed: number): string[] {
  const random = noise(count * 7, seed);
  const pick = (i: number, of: number) => Math.min(of - 1, Math.floor(((random[i]! + 1) / 2) * of));
  return Array.from({ length: count }, (_, n) =>
    Array.from({ length: 1 + pick(7 * n, 6) }, (_, i) => WORDS[pick(7 * n + 1 + i, WORDS.length)]).join(' '),
  );
}

/** Texts of 8 tokens, unlabelled. */
export async function compileTexts(more: Partial<CompileOptions> = {}): Promise<CompiledFolder> {
  const { at, remove } = await tinyChain('hub-texts');
  const model = writeFiles(at('tiny-texts'), {
    'config.json': classifierConfig('bert', NAMES),
    'tokenizer.json': wordPieceTokenizer(),
    'tokenizer_config.json': {
      ...{ tokenizer_class: 'BertTokenizer', model_max_length: 8, padding_side: 'right' },
      ...{ pad_token: '[PAD]', unk_token: '[UNK]', cls_token: '[CLS]', sep_token: '[SEP]' },
    },
    'onnx/model.onnx': serializeModel(tinyEncoder(17, 'words')),
  });
  const rows = (count: number, seed: number) =>
    textsOf(count, seed)
      .map((text) => `${JSON.stringify({ text })}\n`)
      .join('');
  for (const [split, count] of Object.entries({ train: 400, calibration: 300, test: 100 }))
    writeFileSync(at(`${split}.jsonl`), rows(count, count));
  const { manifest } = await compile({
    ...{ model, out: at('out'), cache: at('cache'), labels: 'none', taps: ['layer1'] },
    ...{ train: at('train.jsonl'), calibration: at('calibration.jsonl'), test: at('test.jsonl') },
    ...{ epochs: 3, batch: 64, threads: 1, report: false, timing: false },
    ...more,
  } as CompileOptions);
  return { model, out: at('out'), manifest, at, remove };
}

/** The named point at which samples leave in the most places. */
export function spreadPoint({ operatingPoints }: Manifest): string {
  const least = (shares: readonly number[]) => Math.min(...shares);
  return operatingPoints.toSorted((a, b) => least(b.exitShares) - least(a.exitShares))[0]!.name;
}

export const readJson = (...path: string[]) =>
  JSON.parse(readFileSync(join(...path), 'utf8')) as Record<string, unknown>;
