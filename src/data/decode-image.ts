import { availableParallelism } from 'node:os';
import { messageOf, notAnImageInput, wrongImageSize } from '../errors/index.ts';
import { lumaOf } from '../runtime/pictures.ts';
import type { Pixels } from '../runtime/pixels.ts';
import { fits } from '../runtime/place.ts';
import { combinedInput, type ImageShape, imageShape } from './preprocessing.ts';
import { type ReadImage, withImageReader } from './read-image.ts';
import type { Block, Source, SourceOptions } from './records.ts';
import { resizerOf } from './resample.ts';
import type { InputSpec, Preprocessing, Skipped } from './types.ts';

const BLOCK_IMAGES = 64;

export interface LabelledImage {
  /** A file, or a row of one, for errors. */
  readonly name: string;
  readonly label: number;
  /** Path of an image file, the bytes of one, or rgb pixels. */
  readonly content: string | Uint8Array | Pixels;
}

interface Decoded {
  readonly label: number;
  readonly pixels: Uint8Array;
}

/**
 * Images as uint8 `[H, W, C]` at the model's size. As in torchvision, colour profiles and EXIF orientation are
 * ignored, alpha is dropped, grey becomes three equal channels, and colour becomes grey by ITU-R 601 (0.299, 0.587,
 * 0.114).
 */
export function imageSource(
  about: Omit<Source, 'dims' | 'dtype' | 'blocks'>,
  images: () => Iterable<LabelledImage> | AsyncIterable<LabelledImage>,
  { inputs, preprocessing, skipBad = false }: SourceOptions,
): Source {
  const row = combinedInput(inputs);
  const shape = decodedShape(row, preprocessing);
  if (!shape || inputs.length > 1) throw notAnImageInput(about.path, row.name, row.dims);
  const { height, width, channels } = shape;
  return {
    ...about,
    decode: [about.decode, fittingOf(preprocessing)],
    dims: [height, width, channels],
    dtype: 'uint8',
    blocks: () => withImageReader((read) => decodeAll(read, images(), shape, preprocessing, skipBad)),
  };
}

/** What decoded records depend on, but for the size; `triangle` is what caches call Pillow's BILINEAR. */
const fittingOf = ({ resize, resample }: Preprocessing) => resize && `${resize}, ${resample ?? 'triangle'}`;

function decodedShape({ dims }: InputSpec, { layout }: Preprocessing): ImageShape | undefined {
  const side = Math.sqrt(dims.length === 1 ? dims[0]! : Number.NaN);
  const shape = Number.isInteger(side)
    ? { channels: 1, height: side, width: side }
    : imageShape(dims, layout);
  return shape?.channels === 1 || shape?.channels === 3 ? shape : undefined;
}

async function* decodeAll(
  read: ReadImage,
  images: Iterable<LabelledImage> | AsyncIterable<LabelledImage>,
  shape: ImageShape,
  fitting: Fitting,
  skipBad: boolean,
): AsyncGenerator<Block> {
  const decode = async ({ name, label, content }: LabelledImage): Promise<Decoded | Skipped> => {
    try {
      const isEncoded = typeof content === 'string' || content instanceof Uint8Array;
      return { label, pixels: fit(name, isEncoded ? await read(name, content) : content, shape, fitting) };
    } catch (error) {
      if (!skipBad || !isUnreadable(error)) throw error;
      return { file: name, reason: messageOf(error.cause) };
    }
  };

  let labels: number[] = [];
  let pixels: Uint8Array[] = [];
  let skipped: Skipped[] = [];
  const block = (): Block => ({ records: Buffer.concat(pixels), labels, skipped });
  for await (const result of mapInOrder(images, 2 * availableParallelism(), decode)) {
    if ('file' in result) skipped.push(result);
    else {
      labels.push(result.label);
      pixels.push(result.pixels);
    }
    if (labels.length + skipped.length < BLOCK_IMAGES) continue;
    yield block();
    [labels, pixels, skipped] = [[], [], []];
  }
  if (labels.length + skipped.length > 0) yield block();
}

type Fitting = Pick<Preprocessing, 'resize' | 'resample'>;

/** `pixels` as the model takes them. */
function fit(
  name: string,
  pixels: Pixels,
  { height, width, channels }: ImageShape,
  { resize, resample = 'bilinear' }: Fitting,
): Uint8Array {
  const isAsIs = fits(pixels, { width, height }, resize);
  if (!isAsIs && !resize) throw wrongImageSize(name, pixels, { width, height });
  // Not by sharp, whose resize has no counterpart in a browser and whose affine would be written a second time.
  const { data } = isAsIs ? pixels : resizerOf(resample)(pixels, width, height, resize!);
  const rgb = new Uint8Array(data.buffer, data.byteOffset, data.length);
  return channels === 1 ? greyOf(rgb) : rgb;
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
async function* mapInOrder<T, R>(
  items: Iterable<T> | AsyncIterable<T>,
  inFlight: number,
  fn: (item: T) => Promise<R>,
) {
  const pending: Promise<R>[] = [];
  const start = (item: T) => {
    const result = fn(item);
    result.catch(() => {});
    pending.push(result);
  };
  for await (const item of items) {
    start(item);
    if (pending.length >= inFlight) yield await pending.shift()!;
  }
  for (const result of pending) yield await result;
}
