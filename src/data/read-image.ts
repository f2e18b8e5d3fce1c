/** Encoded images as RGB pixels. No other file decodes by sharp. */
import { lstat, readFile, stat } from 'node:fs/promises';
import type sharpModule from 'sharp';
import { messageOf, unreadableImage } from '../errors/index.ts';
import type { Pixels } from '../runtime/pixels.ts';

/** A larger image is refused, as Pillow refuses it. */
export const MOST_PIXELS = 2 * 89_478_485;
/** Of an image file: what the most pixels take when nothing is packed. */
const MOST_BYTES = 3 * MOST_PIXELS;
/** Images with more pixels are decoded one after another, so that memory does not grow with the number of processors. */
const LARGE_PIXELS = 2 ** 24;

/** Reads the image file at a path, or the bytes of one; `name` is for errors. Throws `unreadable-image`. */
export type ReadImage = (name: string, content: string | Uint8Array) => Promise<Pixels>;

/**
 * Lends `use` a reader of PNG, JPEG and WebP: 8 bits a channel, alpha dropped, profiles ignored, CMYK as Pillow converts it. sharp's
 * settings, which all of a process shares, are as before once the last of several users is done.
 */
export async function* withImageReader<T>(use: (read: ReadImage) => AsyncIterable<T>): AsyncGenerator<T> {
  const { default: sharp } = await import('sharp');
  const oneByOne = inTurn();
  const read: ReadImage = async (name, content) => {
    try {
      const bytes = typeof content === 'string' ? await bytesOf(content) : content;
      // sharp by itself would also take SVG, which may name other files, GIF, TIFF and more.
      if (!isKnownFormat(bytes)) throw new Error('it is no PNG, JPEG or WebP');
      const image = sharp(bytes, { ignoreIcc: true, limitInputPixels: MOST_PIXELS });
      const { width, height, space } = await image.metadata();
      const decode = async () => {
        const isCmyk = space === 'cmyk';
        const plain = isCmyk
          ? image.pipelineColourspace('cmyk').toColourspace('cmyk')
          : image.removeAlpha().toColourspace('srgb');
        const { data, info } = await plain.raw().toBuffer({ resolveWithObject: true });
        return isCmyk ? { ...info, channels: 3, data: rgbOf(data) } : { ...info, data };
      };
      return width * height > LARGE_PIXELS ? await oneByOne(decode) : await decode();
    } catch (error) {
      throw unreadableImage(name, messageOf(error), error);
    }
  };
  const restore = borrowSettings(sharp);
  try {
    yield* use(read);
  } finally {
    restore();
  }
}

/** Not left to sharp, which waits for whoever writes to a named pipe, and reads a device without end. */
async function bytesOf(file: string): Promise<Uint8Array> {
  const stats = await stat(file).catch(async (error: unknown) => {
    const isLink = (await lstat(file).catch(() => undefined))?.isSymbolicLink();
    throw isLink ? new Error('it is a link to a file that is not there') : error;
  });
  if (!stats.isFile()) throw new Error('it is a pipe, a device or a socket, and no regular file');
  if (stats.size > MOST_BYTES) throw new Error(`it is larger than ${MOST_BYTES} bytes`);
  return await readFile(file);
}

/** By the first bytes: of PNG, JPEG and WebP. */
function isKnownFormat(bytes: Uint8Array): boolean {
  const start = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1', 0, 12);
  return (
    start.startsWith('\x89PNG\r\n\x1a\n') || start.startsWith('\xff\xd8\xff') || /^RIFF.{4}WEBP/s.test(start)
  );
}

/** Pillow's conversion of `[N, 4]` cyan, magenta, yellow and black (`cmyk2rgb` in its Convert.c). */
function rgbOf(cmyk: Uint8Array): Uint8Array {
  const rgb = new Uint8Array((cmyk.length / 4) * 3);
  for (let from = 0, to = 0; from < cmyk.length; from += 4)
    for (let c = 0; c < 3; c++) {
      const light = 255 - cmyk[from + 3]!;
      const product = light * cmyk[from + c]! + 128;
      rgb[to++] = light - (((product >> 8) + product) >> 8);
    }
  return rgb;
}

/** Runs what it is given one after another. */
function inTurn(): <T>(run: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (run) => {
    const result = last.then(run);
    last = result.catch(() => {});
    return result;
  };
}

type Sharp = typeof sharpModule;
type Settings = { readonly cache: ReturnType<Sharp['cache']>; readonly concurrency: number };

let users = 0;
let before: Settings | undefined;

/** No cache and one thread an image, for many small images at once; the result puts back what was before. */
function borrowSettings(sharp: Sharp): () => void {
  if (users++ === 0) {
    before = { cache: sharp.cache(), concurrency: sharp.concurrency() };
    sharp.cache(false);
    sharp.concurrency(1);
  }
  return () => {
    if (--users > 0 || !before) return;
    const { memory, files, items } = before.cache;
    sharp.cache({ memory: memory.max, files: files.max, items: items.max });
    sharp.concurrency(before.concurrency);
    before = undefined;
  };
}
