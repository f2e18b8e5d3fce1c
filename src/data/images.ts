import { readdir } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Sharp } from 'sharp';
import { lumaOf } from '../emit/runtime/pictures.ts';
import { resized } from '../emit/runtime/pixels.ts';
import {
  emptyDataset,
  messageOf,
  notAnImageInput,
  tooManyClasses,
  unknownDataFormat,
  unreadableImage,
  wrongImageSize,
} from '../errors.ts';
import { type FileStamp, fileStamp, isFolder } from './files.ts';
import { type ImageShape, imageShape, rowOf } from './preprocessing.ts';
import type { Block, Source } from './records.ts';
import type { InputSpec, Preprocessing, Resize, Skipped } from './types.ts';

const BLOCK_PICTURES = 64;

interface Picture {
  readonly file: string;
  readonly label: number;
}

interface Decoded {
  readonly label: number;
  readonly pixels: Uint8Array;
}

export interface ImageOptions {
  readonly inputs: readonly InputSpec[];
  readonly preprocessing: Preprocessing;
  readonly classes?: number | undefined;
  readonly skipBad?: boolean | undefined;
}

/**
 * Pictures in class folders, as uint8 `[H, W, C]` at the model's size, in the order of sorted class and file names.
 * As in torchvision, colour profiles and EXIF orientation are ignored, alpha is dropped, grey becomes three equal
 * channels, and colour becomes grey by ITU-R 601 (0.299, 0.587, 0.114).
 */
export async function imageFolderSource(path: string, options: ImageOptions): Promise<Source> {
  const { inputs, preprocessing, classes, skipBad = false } = options;
  const row = rowOf(inputs);
  const shape = pictureShape(row, preprocessing);
  if (!shape || inputs.length > 1) throw notAnImageInput(path, row.name, row.dims);
  const classNames = await classFolders(path);
  if (classes !== undefined && classNames.length > classes)
    throw tooManyClasses(path, classNames.length, classes);

  const files: FileStamp[] = [];
  const pictures: Picture[] = [];
  for (const [label, name] of classNames.entries()) {
    for (const file of await pictureFiles(join(path, name))) {
      files.push(fileStamp(file));
      pictures.push({ file, label });
    }
  }
  if (pictures.length === 0) throw emptyDataset(path);

  const { height, width, channels } = shape;
  const { resize } = preprocessing;
  return {
    format: 'image-folder',
    path,
    files,
    decode: resize && `${resize}, triangle`,
    count: pictures.length,
    dims: [height, width, channels],
    dtype: 'uint8',
    classNames,
    blocks: () => decodeAll(pictures, shape, resize, skipBad),
  };
}

/** Names of the class folders of `path`, sorted. */
export async function classFolders(path: string): Promise<string[]> {
  const names = (await readdir(path)).filter(isVisible).sort();
  return names.filter((name) => isFolder(join(path, name)));
}

async function pictureFiles(folder: string): Promise<string[]> {
  const entries = (await readdir(folder, { withFileTypes: true })).filter((e) => isVisible(e.name));
  const nested = entries.find((e) => e.isDirectory());
  if (nested)
    throw unknownDataFormat(
      join(folder, nested.name),
      'is a folder inside a class folder, where pictures are expected',
    );
  return entries.map((e) => join(folder, e.name)).sort();
}

function isVisible(name: string): boolean {
  return !name.startsWith('.');
}

function pictureShape({ dims }: InputSpec, { layout }: Preprocessing): ImageShape | undefined {
  const side = Math.sqrt(dims.length === 1 ? dims[0]! : Number.NaN);
  const shape = Number.isInteger(side)
    ? { channels: 1, height: side, width: side }
    : imageShape(dims, layout);
  return shape?.channels === 1 || shape?.channels === 3 ? shape : undefined;
}

async function* decodeAll(
  pictures: readonly Picture[],
  shape: ImageShape,
  resize: Resize | undefined,
  skipBad: boolean,
): AsyncGenerator<Block> {
  const { default: sharp } = await import('sharp');
  sharp.cache(false);
  sharp.concurrency(1);
  const decode = async ({ file, label }: Picture): Promise<Decoded | Skipped> => {
    try {
      const pipeline = sharp(file, { ignoreIcc: true });
      return { label, pixels: await decodePicture(pipeline, file, shape, resize) };
    } catch (error) {
      if (!skipBad || !isUnreadable(error)) throw error;
      return { file, reason: messageOf(error.cause) };
    }
  };

  let labels: number[] = [];
  let pixels: Uint8Array[] = [];
  let skipped: Skipped[] = [];
  const block = (): Block => ({ records: Buffer.concat(pixels), labels, skipped });
  for await (const result of mapInOrder(pictures, 2 * availableParallelism(), decode)) {
    if ('file' in result) skipped.push(result);
    else {
      labels.push(result.label);
      pixels.push(result.pixels);
    }
    if (labels.length + skipped.length < BLOCK_PICTURES) continue;
    yield block();
    [labels, pixels, skipped] = [[], [], []];
  }
  if (labels.length + skipped.length > 0) yield block();
}

async function decodePicture(
  picture: Sharp,
  file: string,
  { height, width, channels }: ImageShape,
  resize: Resize | undefined,
): Promise<Uint8Array> {
  const { data, info } = await picture
    .removeAlpha()
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true })
    .catch((error: unknown) => {
      throw unreadableImage(file, messageOf(error), error);
    });
  const fits = info.width === width && info.height === height;
  if (!fits && !resize) throw wrongImageSize(file, info, { width, height });
  // sharp's own resize has no counterpart in a browser, and shifts by half a pixel when it enlarges.
  const pixels = fits ? data : new Uint8Array(resized({ ...info, data }, width, height, resize!).data);
  return channels === 1 ? greyOf(pixels) : pixels;
}

function greyOf(rgb: Uint8Array): Uint8Array {
  const grey = new Uint8Array(rgb.length / 3);
  for (let i = 0, at = 0; i < grey.length; i++, at += 3)
    grey[i] = lumaOf(rgb[at]!, rgb[at + 1]!, rgb[at + 2]!);
  return grey;
}

function isUnreadable(error: unknown): error is Error {
  return (error as { code?: unknown }).code === 'unreadable-image';
}

/** `fn` of every item, at most `inFlight` at a time, in the order of the items. */
async function* mapInOrder<T, R>(items: readonly T[], inFlight: number, fn: (item: T) => Promise<R>) {
  const pending: Promise<R>[] = [];
  const start = (item: T) => {
    const result = fn(item);
    result.catch(() => {});
    pending.push(result);
  };
  for (const item of items) {
    start(item);
    if (pending.length >= inFlight) yield await pending.shift()!;
  }
  for (const result of pending) yield await result;
}
