/** Of networks in front of the original. */
import { OfframpError } from './offramp-error.ts';

export const firstClassCount = (file: string, classes: number, original: number) =>
  new OfframpError(
    'first-class-count',
    `first network ${file} tells ${classes} classes apart, the original ${original}`,
    'All networks of a chain must have the same classes: leave this one out of `first`.',
  );

export const firstIsOriginal = (file: string) =>
  new OfframpError(
    'first-is-original',
    `first network ${file} is the original itself, and reads the same`,
    'Leave it out of `first`, or give it smaller pictures: `size`.',
  );

export const networkMissing = (file: string, folder: string, sha256: string) =>
  new OfframpError(
    'network-missing',
    `${file}, a network of ${folder} (sha256 ${sha256}), is not among the files that were given`,
    'Give its file: `first`, or put it beside the original.',
  );
