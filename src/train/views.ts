/** Views of training samples, for augmentation. */
import { type Dataset, PLAIN_VIEW, type View } from '../data/index.ts';
import { cropViews, MIRRORED } from './features.ts';

/** Pixels a recomputed view may be shifted by, as He et al. 2016 (section 4.2) do for 32×32 images; more for larger. */
const REACH = { pixels: 4, of: 32 };

/** Cached views beyond the plain and the mirrored one, in this order. */
const SHIFTED: readonly View[] = [
  { mirror: false, dx: 2, dy: -3 },
  { mirror: true, dx: -3, dy: -2 },
  { mirror: false, dx: -2, dy: 3 },
  { mirror: true, dx: 3, dy: 2 },
];
export const MOST_VIEWS = 2 + SHIFTED.length;

/**
 * Colour images get mirrored and shifted views: all shifts where features are recomputed, a few where `count` cached views are more than 2, up
 * to `MOST_VIEWS`. Gray ones (digits, spectra) do not: a mirrored 2 is no 2.
 */
export function trainingViews(
  dataset: Pick<Dataset, 'isImage' | 'preprocessing' | 'recordDims'>,
  count = 2,
): { views: readonly View[]; freshViews: readonly View[] } {
  const mirrors =
    dataset.isImage && dataset.preprocessing.channels !== 'gray' && dataset.preprocessing.channels !== 'any';
  if (!mirrors) return { views: [PLAIN_VIEW], freshViews: [PLAIN_VIEW] };
  const side = shortSide(dataset);
  const scaled = (pixels: number) => Math.round((pixels * side) / REACH.of);
  const shifted = SHIFTED.map(({ mirror, dx, dy }) => ({ mirror, dx: scaled(dx), dy: scaled(dy) }));
  return {
    views: [PLAIN_VIEW, MIRRORED, ...shifted].slice(0, count),
    freshViews: cropViews(scaled(REACH.pixels)),
  };
}

/** The shorter of height and width, in pixels, of records [H, W, C], [C, H, W] or [H, W]. */
export function shortSide({
  recordDims,
  preprocessing,
}: Pick<Dataset, 'preprocessing' | 'recordDims'>): number {
  const axes = recordDims.filter((d) => d !== 1);
  if (axes.length > 2) axes.splice(axes.indexOf(preprocessing.mean.length), 1);
  return Math.min(...axes);
}
