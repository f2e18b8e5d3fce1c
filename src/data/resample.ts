/** Ways to make pixels of another size, by name. */
import { type PointSampling, pointSampled } from '../runtime/affine.ts';
import type { Resizer } from '../runtime/pictures.ts';
import { FILTERS, resized } from '../runtime/pixels.ts';
import type { Resample } from './types.ts';

const POINT_SAMPLINGS: readonly PointSampling[] = ['affine-nearest', 'affine-bilinear', 'affine-bicubic'];

/** Of the option. */
export const RESAMPLES: readonly Resample[] = [
  ...(Object.keys(FILTERS) as (keyof typeof FILTERS)[]),
  ...POINT_SAMPLINGS,
];

export const isPointSampling = (resample: Resample): resample is PointSampling =>
  POINT_SAMPLINGS.some((name) => name === resample);

export const resizerOf =
  (resample: Resample): Resizer =>
  (pixels, width, height, resize) =>
    isPointSampling(resample)
      ? pointSampled(pixels, width, height, resize, resample)
      : resized(pixels, width, height, resize, resample);
