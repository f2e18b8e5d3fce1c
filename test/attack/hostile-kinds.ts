/** The files that Offramp reads: valid ones of each kind, how they become hostile, and what reads them. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { parquetWriteBuffer } from 'hyparquet-writer';
import sharp from 'sharp';
import { COMMAND_OPTIONS, settingsFor } from '../../src/cli/config.ts';
import { compile } from '../../src/commands/compile.ts';
import { emit } from '../../src/commands/emit.ts';
import { evaluate } from '../../src/commands/evaluate.ts';
import { inspect } from '../../src/commands/inspect.ts';
import { readClassNames } from '../../src/data/class-names.ts';
import type { InputSpec, PreprocessingOptions } from '../../src/data/index.ts';
import { loadTokenizer } from '../../src/data/tokenizer.ts';
import type { Random } from '../../src/graph/random.ts';
import { readHub } from '../../src/hub/read.ts';
import { hugePng, idx, input, npy, openAt, pixels, putIdx, putImage, rowsOf, zip } from '../data/fixtures.ts';
import { codeOf } from '../fuzz/before-runtime.ts';
import { mutate, mutateBytes, pick } from '../fuzz/mutate.ts';
import { seedModels } from '../fuzz/seeds.ts';
import { classifierConfig, vitProcessor, writeFiles } from '../hub-models.ts';
import { byteLevelTokenizer, wordPieceTokenizer } from '../hub-tokenizers.ts';
import { tinyResidual } from '../models.ts';
import { tinyProject, writeWithExternalData } from '../tiny-project.ts';
import { mutateJson } from './mutate-json.ts';

export interface HostileKind {
  readonly name: string;
  /** Writes valid files to `folder`, which is there. */
  lay(folder: string): unknown;
  /** Of these files one becomes hostile. */
  readonly attacked: RegExp;
  /** A hostile file in the place of `bytes`. */
  spoil(bytes: Uint8Array, random: Random): Uint8Array;
  /** Reads what lies in `folder` as a command does. */
  read(folder: string): Promise<unknown>;
}

const SIDE = 8;
const RGB = SIDE * SIDE * 3;
const SAMPLES = 12;
const LABELS = Int32Array.from({ length: SAMPLES }, (_, i) => i % 2);
/** Bytes of what bombs become. */
const BOMB = 2 ** 28;

/** Sizes that lie. */
const SIZES = [-1, 0, 1, 11, 13, 2 ** 16, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 40, 2 ** 53, 1e300];
const size = (random: Random) => pick(SIZES, random);

/** Opens the samples in `folder`, or of a file in it, and reads them all. */
const readAll = async (folder: string, file: string, spec: InputSpec, more: PreprocessingOptions = {}) =>
  rowsOf(await openAt(join(folder, file), spec, more, { cache: join(folder, 'cache') }));

/** Twice as likely what knows the format as bytes at random. */
const either =
  (...knowing: readonly ((bytes: Uint8Array, random: Random) => Uint8Array)[]) =>
  (bytes: Uint8Array, random: Random) =>
    (random.integer(0, 3) === 0 ? mutateBytes : pick(knowing, random))(bytes, random);

/** What is in a .gz made hostile, or the .gz itself, or a bomb. */
const packed =
  (spoil: HostileKind['spoil']): HostileKind['spoil'] =>
  (bytes, random) => {
    switch (random.integer(0, 6)) {
      case 0:
        return mutateBytes(bytes, random);
      case 1:
        return Buffer.concat(Array(random.integer(1, 8)).fill(gzipBomb()));
      case 2:
        return Buffer.concat([bytes, gzipBomb()]);
      case 3:
        return gzipSync(bytes);
      default:
        return gzipSync(spoil(gunzipSync(bytes), random));
    }
  };

const once = <T>(make: () => T) => {
  let made: T | undefined;
  return () => (made ??= make());
};
const gzipBomb = once(() => gzipSync(Buffer.alloc(BOMB)));
const npzBomb = once(() =>
  zip({
    'x.npy': Buffer.concat([npy('|u1', [BOMB / RGB, SIDE, SIDE, 3], new Uint8Array()), Buffer.alloc(BOMB)]),
  }),
);

/** An .npy file that says something else of itself. */
function lyingNpy(bytes: Uint8Array, random: Random): Uint8Array {
  const descr = pick(
    ['|u1', '<f4', '<f8', '<i8', '>i4', '|O', '<U9', '|b1', '<c16', '|V7', '', '<f999'],
    random,
  );
  const dims = Array.from({ length: random.integer(0, 6) }, () =>
    pick([size(random), SAMPLES, SIDE, 3], random),
  );
  if (random.integer(0, 10) === 0) dims.push(...Array<number>(1000).fill(1));
  return npy(descr, dims, bytes.subarray(128), random.integer(0, 2) === 0);
}

function lyingNpz(bytes: Uint8Array, random: Random): Uint8Array {
  const x = npy('|u1', [SAMPLES, SIDE, SIDE, 3], pixels(SAMPLES * RGB));
  const y = npy('<i4', [SAMPLES], LABELS);
  const lie = pick(['bytes', 'compressedBytes', 'crc', 'offset'] as const, random);
  const value = Math.min(Math.max(0, size(random)), 2 ** 32 - 1);
  switch (random.integer(0, 5)) {
    case 0:
      return zip({ 'x.npy': lyingNpy(x, random), 'y.npy': y });
    case 1:
      return zip({ 'x.npy': x, 'y.npy': lyingNpy(y, random) });
    case 2:
      return zip({ 'x.npy': x, 'y.npy': y }, { 'x.npy': { [lie]: value, wide: random.integer(0, 3) } });
    case 3:
      return npzBomb();
    default:
      return zip({ 'x.npy': bytes, 'y.npy': y, '../z.npy': bytes });
  }
}

function lyingIdx(bytes: Uint8Array, random: Random): Uint8Array {
  const changed = Buffer.from(bytes);
  changed[pick([0, 1, 2, 3], random)] = random.integer(0, 256);
  if (random.integer(0, 2) === 0) return changed;
  const dims = Array.from({ length: random.integer(0, 5) }, () =>
    Math.min(Math.max(0, size(random)), 2 ** 32 - 1),
  );
  return idx(dims, bytes.subarray(4 + 4 * bytes[3]!));
}

/** PNG, GIF and SVG that are larger than they look. */
function pictureBomb(_: Uint8Array, random: Random): Uint8Array {
  const side = pick([1, 5000, 16_384, 40_000], random);
  return pick(
    [
      () => hugePng(side, side),
      () => hugePng(2 ** 31 - 1, 1),
      () =>
        Buffer.from(
          `<svg xmlns="http://www.w3.org/2000/svg" width="${side}" height="${side}"><rect width="9" height="9"/></svg>`,
        ),
      () => Buffer.from(`GIF89a${'\xff'.repeat(4)}\x80\0\0`, 'latin1'),
      () => Buffer.from(`P6 ${side} ${side} 255\n`),
    ],
    random,
  )();
}

/** The size fields of a picture's header. */
function pictureSize(bytes: Uint8Array, random: Random): Uint8Array {
  const changed = Buffer.from(bytes);
  // IHDR of PNG; the frame's header of JPEG; VP8X or VP8 of WebP.
  const jpeg = changed.indexOf(Buffer.from([0xff, 0xc0]));
  const at = bytes[0] === 0x89 ? 16 : jpeg > 0 ? jpeg + 5 : 24;
  for (let i = at; i < at + 4; i++) changed[i] = pick([0, 0x3f, 0x7f, 0xff, random.integer(0, 256)], random);
  return changed;
}

/** Lines of `bytes` changed: other encodings, values of other types, none or one without an end. */
function lyingLines(bytes: Uint8Array, random: Random): Uint8Array {
  const text = Buffer.from(bytes).toString();
  const lines = text.trimEnd().split('\n');
  const at = random.integer(0, lines.length);
  switch (random.integer(0, 8)) {
    case 0:
      return Buffer.from(text, 'utf16le');
    case 1:
      return Buffer.from(`\uFEFF${text}é`, 'latin1');
    case 2:
      return Buffer.from(text.replaceAll('\n', pick(['', '\r', '\0', '\n\n\n', '\u2028'], random)));
    case 3:
      lines[at] = 'x'.repeat(pick([10_000_000, 100_000_000], random));
      return Buffer.from(lines.join('\n'));
    case 4:
      return Buffer.from(`${lines[at]}\n`.repeat(pick([10, 10_000], random)));
    default:
      return Buffer.concat(
        lines.flatMap((line, i) => [
          i === at ? mutateJson(Buffer.from(line), random) : Buffer.from(line),
          Buffer.from('\n'),
        ]),
      );
  }
}

const jsonLines = () =>
  [...LABELS]
    .map((label, i) => JSON.stringify({ x: [...pixels(6, i + 1)], label, 'note é': { more: [i] } }))
    .join('\n');
const writeJsonl = (folder: string, name: string, pack = (text: string): Uint8Array => Buffer.from(text)) =>
  writeFileSync(join(folder, name), pack(`${jsonLines()}\n`));

/** A compiled package and samples for it, made once; its files, by their names. */
const compiled = once(async (): Promise<Record<string, Uint8Array>> => {
  const { at, writeSamples, compileOptions, remove } = tinyProject('hostile', { epochs: 1, views: 1 });
  try {
    await writeSamples({ train: 200, calibration: 100, test: 40 });
    writeFileSync(at('labels.txt'), 'ant\nbee\ncat\ndog\nemu\n');
    await compile(compileOptions('out', { labels: at('labels.txt'), taps: ['block1'] }));
    const files = readdirSync(at('out')).map((name) => [`out/${name}`, readFileSync(at(`out/${name}`))]);
    return { ...Object.fromEntries(files), 'test.npz': readFileSync(at('test.npz')) };
  } finally {
    remove();
  }
});

/** A package is run, and what is said of it written anew. */
async function readPackageIn(folder: string): Promise<void> {
  const out = join(folder, 'out');
  await emit({ folder: out, check: true }).catch((error) => {
    if (error.code !== 'package-differs') throw error;
  });
  await evaluate({ folder: out, test: join(folder, 'test.npz'), cache: join(folder, 'cache'), threads: 1 });
}

const layTokenizer = (folder: string) =>
  writeFiles(folder, {
    'words/tokenizer.json': wordPieceTokenizer(),
    'bytes/tokenizer.json': byteLevelTokenizer(),
    'words/tokenizer_config.json': {
      model_max_length: 16,
      padding_side: 'left',
      pad_token: '[PAD]',
      tokenizer_class: 'BertTokenizer',
    },
    'bytes/tokenizer_config.json': {
      model_max_length: 16,
      add_prefix_space: true,
      tokenizer_class: 'RobertaTokenizer',
    },
  });

async function readTokenizers(folder: string): Promise<void> {
  for (const name of ['words', 'bytes']) {
    const encode = await loadTokenizer(join(folder, name, 'tokenizer.json'));
    for (const text of ['hello world', '', 'déjà vu 日本 \u{1f600}', 'a'.repeat(5000)])
      encode(text, undefined, 16);
  }
}

/** Commands and what their config may say. */
const CONFIG = {
  $schema: 'https://example.com/config.schema.json',
  threads: 2,
  model: 'net.onnx',
  compile: {
    train: 'data#train',
    test: 'test.npz',
    labels: 'labels.txt',
    epochs: 3,
    budget: [0.6, '3ms'],
    out: 'o',
    first: ['a.onnx', { model: 'b.onnx' }],
  },
  evaluate: { test: 'test.npz', labels: 'none' },
  inspect: { dims: { N: 1 } },
};

export const HOSTILE_KINDS: readonly HostileKind[] = [
  {
    name: 'ONNX',
    lay: (folder) => writeFiles(folder, Object.fromEntries(seedModels().map((bytes, i) => [`${i}.onnx`, bytes]))),
    attacked: /./,
    spoil: (bytes, random) => mutate(bytes, seedModels(), random),
    async read(folder) {
      for (const name of readdirSync(folder)) await refusable(() => inspect({ model: join(folder, name), session: { threads: 1 } }));
    },
  },
  {
    name: 'external data',
    lay: (folder) => writeWithExternalData(tinyResidual({ seed: 4 }), join(folder, 'model.onnx')),
    attacked: /weights/,
    spoil: (bytes, random) =>
      pick([bytes.subarray(0, random.integer(0, bytes.length)), new Uint8Array(), mutateBytes(bytes, random)], random),
    read: (folder) => inspect({ model: join(folder, 'model.onnx'), session: { threads: 1 } }),
  },
  {
    name: 'npy',
    lay(folder) {
      writeFileSync(join(folder, 'x.npy'), npy('|u1', [SAMPLES, SIDE, SIDE, 3], pixels(SAMPLES * RGB)));
      writeFileSync(join(folder, 'y.npy'), npy('<i4', [SAMPLES], LABELS));
    },
    attacked: /npy$/,
    spoil: either(lyingNpy),
    read: (folder) => readAll(folder, '.', input(3, SIDE, SIDE)),
  },
  {
    name: 'npz',
    lay: (folder) => writeFileSync(join(folder, 'a.npz'), zip({ 'x.npy': npy('|u1', [SAMPLES, SIDE, SIDE, 3], pixels(SAMPLES * RGB)), 'y.npy': npy('<i4', [SAMPLES], LABELS) })),
    attacked: /npz$/,
    spoil: either(lyingNpz),
    read: (folder) => readAll(folder, 'a.npz', input(3, SIDE, SIDE)),
  },
  {
    name: 'IDX',
    lay: (folder) => putIdx(folder, [SAMPLES, SIDE, SIDE], pixels(SAMPLES * SIDE * SIDE), Uint8Array.from(LABELS), false),
    attacked: /ubyte$/,
    spoil: either(lyingIdx),
    read: (folder) => readAll(folder, 'a-images-idx3-ubyte', input(1, SIDE, SIDE)),
  },
  {
    name: 'IDX, compressed',
    lay: (folder) => putIdx(folder, [SAMPLES, SIDE, SIDE], pixels(SAMPLES * SIDE * SIDE), Uint8Array.from(LABELS)),
    attacked: /gz$/,
    spoil: packed(lyingIdx),
    read: (folder) => readAll(folder, 'a-images-idx3-ubyte.gz', input(1, SIDE, SIDE)),
  },
  {
    name: 'CIFAR',
    lay(folder) {
      const records = Array.from({ length: SAMPLES }, (_, i) => Buffer.concat([Uint8Array.of(i % 2), pixels(3 * 32 * 32, i + 1)]));
      writeFileSync(join(folder, 'test_batch.bin'), Buffer.concat(records));
      writeFileSync(join(folder, 'batches.meta.txt'), 'ant\nbee\n');
    },
    attacked: /bin$|txt$/,
    spoil: mutateBytes,
    read: (folder) => readAll(folder, '.#test', input(3, 32, 32)),
  },
  {
    name: 'pictures',
    async lay(folder) {
      for (const [i, kind] of ['png', 'jpg', 'webp'].entries()) {
        mkdirSync(join(folder, 'data', `class${i % 2}`), { recursive: true });
        const file = join(folder, 'data', `class${i % 2}`, `${i}.${kind}`);
        if (kind !== 'jpg') await putImage(file, pixels(RGB, i + 1), [SIDE, SIDE, 3]);
        else writeFileSync(file, await sharp(pixels(RGB), { raw: { width: SIDE, height: SIDE, channels: 3 } }).jpeg().toBuffer());
      }
    },
    attacked: /png$|jpg$|webp$/,
    spoil: either(pictureBomb, pictureSize),
    read: (folder) => readAll(folder, 'data', input(3, SIDE, SIDE), { resize: 'cover' }),
  },
  {
    name: 'Parquet',
    lay(folder) {
      const x = Array.from({ length: SAMPLES }, (_, i) => [...pixels(6, i + 1)].map(BigInt));
      const columnData = [
        { name: 'x', data: x },
        { name: 'label', data: [...LABELS].map(BigInt) },
      ];
      const schema = [
        { name: 'root', num_children: 2 },
        { name: 'x', num_children: 1, repetition_type: 'OPTIONAL', converted_type: 'LIST' },
        { name: 'list', num_children: 1, repetition_type: 'REPEATED' },
        { name: 'element', type: 'INT64', repetition_type: 'OPTIONAL' },
        { name: 'label', type: 'INT64', repetition_type: 'OPTIONAL' },
      ] as const;
      writeFileSync(join(folder, 'a.parquet'), new Uint8Array(parquetWriteBuffer({ columnData, schema: [...schema], rowGroupSize: 5 })));
    },
    attacked: /parquet$/,
    spoil: either(mutateBytes, function footer(bytes, random) {
      // Where the sizes of all else stand.
      const changed = Buffer.from(bytes);
      const length = changed.readUInt32LE(changed.length - 8);
      if (random.integer(0, 4) === 0) changed.writeUInt32LE(pick([0, 1, 2 ** 31, 2 ** 32 - 1, length + 1], random), changed.length - 8);
      else
        for (let left = random.integer(1, 4); left > 0; left--)
          changed[changed.length - 8 - random.integer(1, length)] = random.integer(0, 256);
      return changed;
    }),
    read: (folder) => readAll(folder, 'a.parquet', input(6)),
  },
  {
    name: 'JSONL',
    lay: (folder) => writeJsonl(folder, 'a.jsonl'),
    attacked: /jsonl$/,
    spoil: either(lyingLines),
    read: (folder) => readAll(folder, 'a.jsonl', input(6)),
  },
  {
    name: 'JSONL, compressed',
    lay: (folder) => writeJsonl(folder, 'a.jsonl.gz', gzipSync),
    attacked: /gz$/,
    spoil: packed(lyingLines),
    read: (folder) => readAll(folder, 'a.jsonl.gz', input(6)),
  },
  {
    name: 'class names',
    lay(folder) {
      writeFileSync(join(folder, 'labels.txt'), 'ant\nbee\ncat\ndog\némeu\n');
      writeFileSync(join(folder, 'labels.json'), '["ant","bee","cat","dog","émeu"]');
    },
    attacked: /labels/,
    spoil: either(lyingLines),
    async read(folder) {
      for (const name of ['labels.txt', 'labels.json']) await refusable(() => readClassNames(join(folder, name), 5));
    },
  },
  {
    name: 'tokenizer.json',
    lay: layTokenizer,
    attacked: /tokenizer\.json$/,
    spoil: mutateJson,
    read: readTokenizers,
  },
  {
    name: 'tokenizer_config.json',
    lay: layTokenizer,
    attacked: /tokenizer_config\.json$/,
    spoil: mutateJson,
    read: readTokenizers,
  },
  {
    name: 'config.json and preprocessor_config.json',
    lay: (folder) =>
      writeFiles(folder, {
        'model.onnx': '',
        'config.json': { ...classifierConfig('vit', ['ant', 'bee']), image_size: 8, num_channels: 3 },
        'preprocessor_config.json': vitProcessor(8),
      }),
    attacked: /config\.json$/,
    spoil: mutateJson,
    read: (model) => readHub({ model }),
  },
  {
    name: 'offramp.config.json',
    lay: (folder) => writeFiles(folder, { 'offramp.config.json': CONFIG }),
    attacked: /config/,
    spoil: mutateJson,
    async read(folder) {
      for (const command of Object.keys(COMMAND_OPTIONS))
        await refusable(async () => settingsFor(['--config', join(folder, 'offramp.config.json'), ...command.split(' ')]));
    },
  },
  {
    name: "a package's manifest.json",
    lay: async (folder) => writeFiles(folder, await compiled()),
    attacked: /out\/manifest\.json$/,
    spoil: mutateJson,
    read: readPackageIn,
  },
  {
    name: "a package's model.onnx",
    lay: async (folder) => writeFiles(folder, await compiled()),
    attacked: /out\/model\.onnx$/,
    spoil: (bytes, random) => mutate(bytes, [bytes, ...seedModels()], random),
    read: readPackageIn,
  },
  {
    name: 'index of a cache',
    async lay(folder) {
      writeFileSync(join(folder, 'a.npz'), zip({ 'x.npy': npy('|u1', [SAMPLES, SIDE, SIDE, 3], pixels(SAMPLES * RGB)), 'y.npy': npy('<i4', [SAMPLES], LABELS) }));
      await readAll(folder, 'a.npz', input(3, SIDE, SIDE));
    },
    attacked: /cache\/.*json$/,
    spoil: mutateJson,
    read: (folder) => readAll(folder, 'a.npz', input(3, SIDE, SIDE)),
  },
]; // biome-ignore format: a table

/** Runs `read`; a refusal, which has a code, is no reason not to look at the next file. */
async function refusable(read: () => Promise<unknown>): Promise<void> {
  try {
    await read();
  } catch (error) {
    codeOf(error);
  }
}
