/**
 * Samples from disk. Every format is decoded once into fixed-size records in the cache folder; everything after
 * reads records.
 */
export { classesIn, type KnownClasses } from './class-names.ts';
export { PLAIN_VIEW } from './convert.ts';
export { recordBytesOf, recordHashes, withoutCopies } from './duplicates.ts';
export { findNotFinite } from './find-not-finite.ts';
export { type NamedClasses, namesIn, type OpenOptions, openDataset, type Peek, peekDataset } from './open.ts';
export { partition, partSizes, samplesWithin, subset } from './partition.ts';
export {
  imageShape,
  PRESETS,
  type PreprocessingOptions,
  type Preset,
  resolvePreprocessing,
} from './preprocessing.ts';
export { isRandom } from './random-samples.ts';
export { relabel } from './relabel.ts';
export { thumbnails } from './thumbnails.ts';
export type { Dataset, InputSpec, Layout, Preprocessing, Progress, Resize, Skipped, View } from './types.ts';
