/**
 * Uniform numbers in [0, 1) by Mulberry32 (T. Ettinger): the same for the same seed, without anything but arithmetic, for first weights and random
 * inputs. Data are drawn and shuffled by `Random` of data/, which has a stream for each name.
 */
export function uniforms(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
