/** How a student sees the pictures that it learns from: in every step shifted and mirrored anew. */
import { type Dataset, PLAIN_VIEW, type View } from '../data/index.ts';
import { viewNeedsImage } from '../errors/index.ts';
import { cropViews, MIRRORED } from '../train/features.ts';
import { shortSide } from '../train/views.ts';

export const AUGMENTS = ['none', 'flip', 'shift', 'shift,flip'] as const;
export type Augment = (typeof AUGMENTS)[number];

/** Of the shorter side, as He et al. 2016 (section 4.2) shift 32×32 pictures by up to 4. */
const REACH = 1 / 8;

type Pictures = Pick<Dataset, 'isImage' | 'preprocessing' | 'recordDims'>;

/**
 * What the data allow: colour pictures are shifted and mirrored, gray ones only shifted (a mirrored 2 is no 2); what is no picture, or has
 * channels without a meaning, is left as it is.
 */
export function augmentFor({ isImage, preprocessing }: Pictures): Augment {
  const { channels } = preprocessing;
  if (!isImage || channels === 'any') return 'none';
  return channels === 'gray' ? 'shift' : 'shift,flip';
}

/**
 * The views that `augment` draws from, each as often as any other: every shift by whole pixels, plain and mirrored. Throws `view-needs-image` for
 * what is no picture.
 */
export function viewsOf(dataset: Pictures & Pick<Dataset, 'path'>, augment: Augment): readonly View[] {
  if (augment === 'none') return [PLAIN_VIEW];
  if (!dataset.isImage) throw viewNeedsImage(dataset.path);
  if (augment === 'flip') return [PLAIN_VIEW, MIRRORED];
  const all = cropViews(Math.round(REACH * shortSide(dataset)));
  return augment === 'shift' ? all.filter(({ mirror }) => !mirror) : all;
}
