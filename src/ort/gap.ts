/** How far numbers that two models computed lie apart. */

/**
 * The largest |a[i] - b[i]|. NaN is 0 from NaN, and so is an infinity from itself; from everything else they are an infinity away, and so are
 * arrays of different lengths. Never NaN: it may be compared with a limit.
 */
export function largestGap(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  let largest = 0;
  for (let i = 0; i < a.length; i++) {
    if (Object.is(a[i], b[i])) continue;
    const gap = Math.abs(a[i]! - b[i]!);
    if (!Number.isFinite(gap)) return Number.POSITIVE_INFINITY;
    largest = Math.max(largest, gap);
  }
  return largest;
}

/** The largest magnitude among the finite ones of `values`, `atLeast` at least. */
export function largestFinite(values: ArrayLike<number>, atLeast = 0): number {
  let largest = atLeast;
  for (let i = 0; i < values.length; i++) {
    const magnitude = Math.abs(values[i]!);
    if (magnitude > largest && magnitude < Number.POSITIVE_INFINITY) largest = magnitude;
  }
  return largest;
}

/** `largestGap` as a share of the largest finite magnitude in `a`: 0 where there is no gap, an infinity where all of `a` is 0 and `b` is not. */
export function relativeGap(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const gap = largestGap(a, b);
  return gap === 0 ? 0 : gap / largestFinite(a);
}
