/** How training sees its samples. */
import type { Dataset, View } from '../data/index.ts';
import { cropViews, MIRRORED, PLAIN } from './features.ts';

/** Pixels a recomputed view may be shifted by, as the field does for 32×32 pictures (methods.md 1.3); more for larger. */
const REACH = { pixels: 4, of: 32 };

/**
 * Colour pictures are also seen mirrored, and shifted when features are recomputed anyway. Gray ones (digits, spectra)
 * are not: a mirrored 2 is no 2.
 */
export function trainingViews(dataset: Dataset): { views: readonly View[]; freshViews: readonly View[] } {
  const mirrors =
    dataset.isImage && dataset.preprocessing.channels !== 'gray' && dataset.preprocessing.channels !== 'any';
  if (!mirrors) return { views: [PLAIN], freshViews: [PLAIN] };
  const side = Math.min(...dataset.recordDims.slice(0, 2));
  return { views: [PLAIN, MIRRORED], freshViews: cropViews(Math.round((REACH.pixels * side) / REACH.of)) };
}
