/** The generated `preprocess`: 8-bit pixels to the model's input, with the data room's arithmetic. */
import type { Manifest } from './manifest.ts';
import { arrayType, tensorType } from './tensor-types.ts';

/** Empty when the model's input is no picture. */
export function pixelStatements(manifest: Manifest): string[] {
  const picture = pictureOf(manifest);
  return picture ? [picture] : [];
}

/** Input types whose elements are JavaScript numbers that hold a preprocessed pixel. */
const PIXEL_TYPES = new Set(['float', 'double', 'uint8']);

function pictureOf({ preprocessing, inputs }: Manifest): string | undefined {
  const input = inputs.find(({ dims }) => dims.includes('N')) ?? inputs[0]!;
  if (!preprocessing || !PIXEL_TYPES.has(input.dataType)) return undefined;
  const { scale, mean, std, layout, channels: order } = preprocessing;
  const batchAxis = Math.max(input.dims.indexOf('N'), 0);
  const dims = input.dims.filter((_, i) => i !== batchAxis) as number[];
  if (layout === 'flat' || order === 'any' || dims.length < 2 || dims.length > 3) return undefined;
  const [channels, height, width] = (
    dims.length === 2 ? [1, ...dims] : layout === 'NCHW' ? dims : [dims[2], dims[0], dims[1]]
  ) as [number, number, number];
  if (channels !== (order === 'gray' ? 1 : 3)) return undefined;

  const area = height * width;
  const array = arrayType(input.dataType);
  const gray = channels === 1;
  const normalisation = Array.from({ length: channels }, (_, c) => {
    return `  { mean: ${mean[c] ?? mean[0]}, std: ${std[c] ?? std[0]} },\n`;
  });
  const source = gray ? '0' : order === 'bgr' ? 'channels === 1 ? 0 : 2 - c' : 'channels === 1 ? 0 : c';
  const target =
    layout === 'NCHW' ? `(n * ${channels} + c) * ${area} + p` : `(n * ${area} + p) * ${channels} + c`;
  return `\
/** Normalised value of every pixel value, by the model's channel. */
const pixelTables: readonly Float32Array[] = [
${normalisation.join('')}].map(({ mean, std }) => Float32Array.from({ length: 256 }, (_, pixel) => (pixel / ${scale} - mean) / std));

/**
 * Pictures as the model's input: (pixel / ${scale} - mean) / std per channel.
 * \`pixels\` are [N, ${height}, ${width}, channels], ${gray ? 'gray' : 'red first; a fourth channel is ignored, a single one stands for all three'}.
 * Returns the elements of [${input.dims.join(', ')}] ${tensorType(input.dataType)}. Throws a RangeError when \`pixels\` is not a whole number of pictures.
 */
export function preprocess(pixels: Uint8Array | Uint8ClampedArray, channels: ${gray ? '1 = 1' : '1 | 3 | 4'}): ${array} {
  const count = pixels.length / (${area} * channels);
  if (!Number.isInteger(count) || count === 0) {
    throw new RangeError(\`\${pixels.length} bytes are no whole number of ${height} x ${width} pictures with \${channels} channels\`);
  }
  const input = new ${array}(count * ${channels * area});
  for (let n = 0; n < count; n++) {
    pixelTables.forEach((table, c) => {
      const from = ${source};
      for (let p = 0; p < ${area}; p++) {
        input[${target}] = table[pixels[(n * ${area} + p) * channels + from]!]!;
      }
    });
  }
  return input;
}`;
}
