/** Samples as small images again, for people to look at. */
import sharp from 'sharp';
import { combinedInput, imageShape } from './preprocessing.ts';
import type { Dataset } from './types.ts';

/** Larger images are shrunk to this; smaller ones stay as they are. */
const MOST_PIXELS = 72;

/** PNGs of samples `indices`; undefined where samples are no images of one or three channels. The same samples give the same bytes. */
export async function thumbnails(
  dataset: Dataset,
  indices: readonly number[],
): Promise<Uint8Array[] | undefined> {
  const { preprocessing, isImage, recordType } = dataset;
  const shape = imageShape(combinedInput(dataset.inputs).dims, preprocessing.layout);
  if (!isImage || !shape || (shape.channels !== 1 && shape.channels !== 3)) return undefined;
  const { channels, height, width } = shape;
  const { scale, mean, std, layout } = preprocessing;
  const values = await dataset.read(indices);
  const plane = height * width;
  const size = channels * plane;
  const pixels = new Float64Array(values.length);
  for (let at = 0; at < values.length; at += size)
    for (let i = 0; i < plane; i++)
      for (let c = 0; c < channels; c++) {
        const value = values[at + (layout === 'NHWC' ? i * channels + c : c * plane + i)]!;
        const shown = preprocessing.channels === 'bgr' ? channels - 1 - c : c;
        pixels[at + i * channels + shown] = (value * std[c]! + mean[c]!) * scale;
      }
  const toByte = recordType === 'uint8' ? (value: number) => value : stretch(pixels);
  const bytes = Uint8ClampedArray.from(pixels, toByte);
  return await Promise.all(
    indices.map(async (_, i) => {
      const raw = { width, height, channels: channels as 1 | 3 };
      return await sharp(bytes.subarray(i * size, (i + 1) * size), { raw })
        .resize(MOST_PIXELS, MOST_PIXELS, { fit: 'inside', withoutEnlargement: true })
        .png({ compressionLevel: 9 })
        .toBuffer();
    }),
  );
}

/** Stored floats have no black and white of their own: the least and the largest of all of them are taken for those. */
function stretch(values: Float64Array): (value: number) => number {
  const least = values.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  const most = values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const range = most > least ? most - least : 1;
  return (value) => (255 * (value - least)) / range;
}
