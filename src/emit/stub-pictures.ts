/** The part of the generated file about pictures: how they become the model's input. */
import { imageShape } from '../data/preprocessing.ts';
import { isPointSampling } from '../data/resample.ts';
import type { Preprocessing } from '../data/types.ts';
import type { Manifest, ManifestInput } from './manifest.ts';
import { literal, quoted, table } from './names.ts';
import { arrayType, tensorType } from './tensor-types.ts';

/** An input that takes pictures. */
export interface PictureInput {
  readonly input: ManifestInput;
  readonly width: number;
  readonly height: number;
}

/** Input types whose elements are JavaScript numbers that hold a preprocessed pixel. */
const PIXEL_TYPES = new Set(['float', 'double', 'uint8', 'int32']);

/** The first input with samples, when the manifest says how pictures become it and JavaScript's numbers are its elements. */
export function pictureInput(manifest: Manifest): PictureInput | undefined {
  const found = pictureInputOf(manifest);
  return found && PIXEL_TYPES.has(found.input.dataType) ? found : undefined;
}

/** The first input with samples, of any type, when the manifest says how pictures become it. */
export function pictureInputOf({ preprocessing, inputs }: Manifest): PictureInput | undefined {
  const input = inputs.find(({ dims }) => dims.includes('N')) ?? inputs[0]!;
  if (!preprocessing || preprocessing.channels === 'any') return undefined;
  const batchAxis = Math.max(input.dims.indexOf('N'), 0);
  const dims = input.dims.filter((_, i) => i !== batchAxis) as number[];
  const shape = imageShape(dims, preprocessing.layout);
  if (shape?.channels !== (preprocessing.channels === 'gray' ? 1 : 3)) return undefined;
  return { input, width: shape.width, height: shape.height };
}

/** `preprocessing`'s value. */
export function preprocessingTable({ preprocessing }: Manifest, { width, height }: PictureInput): string {
  const { channels, layout, scale, rescale, mean, std, resize = null } = preprocessing!;
  const numbers = { scale, ...(rescale !== undefined && { rescale }), mean, std };
  return table(Object.entries({ width, height, channels, layout, ...numbers, resize }));
}

/** What `writePictures` brings pictures to the model's size by; nothing where they are refused. */
function resizerOf({ resize, resample = 'bilinear' }: Preprocessing): string {
  if (!resize) return '';
  if (resample === 'bilinear') return ', resized';
  const resizer = isPointSampling(resample) ? 'pointSampled' : 'resized';
  return `, (pixels, width, height, resize) => ${resizer}(pixels, width, height, resize, ${quoted(resample)})`;
}

export function preprocessFunction(
  { batch, preprocessing }: Manifest,
  { input, width, height }: PictureInput,
): string {
  const array = arrayType(input.dataType);
  const size = input.dims.reduce<number>((n, d) => (d === 'N' ? n : n * d), 1);
  const one = batch === 'fixed';
  return `\
/** What is fed for each pixel value, [256] a channel. */
const pixelTables: readonly Float32Array[] = /* @__PURE__ */ tablesOf(preprocessing);

/**
 * Pictures as the model's input, which \`classify\` does by itself: the elements of [${input.dims.join(', ')}] ${tensorType(input.dataType)}.
 * Throws a TypeError or RangeError when one is no picture, or not ${width} x ${height} pixels and \`preprocessing.resize\` is null.
 */
export function preprocess(pictures: ${picturesType(batch)}): ${array} {
  const list = picturesOf(pictures, ${one ? 1 : literal('N')});
  const input = new ${array}(list.length * ${size});
  writePictures(list, preprocessing, pixelTables, input${resizerOf(preprocessing!)});
  return input;
}`;
}

export function picturesType(batch: Manifest['batch']): string {
  return batch === 'fixed' ? 'Picture | readonly [Picture]' : 'Picture | readonly Picture[]';
}
