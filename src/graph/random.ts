/** Random numbers that a seed determines: the same on every machine. */
import { createHash } from 'node:crypto';

/**
 * Draws, splits and shuffles data: sfc32 (Chris Doty-Humphrey, PractRand), seeded by a hash of its arguments, so that
 * `new Random(seed, 'heads', k)` and `new Random(seed, 'shuffle', epoch)` are unrelated streams.
 */
export class Random {
  readonly #state: Uint32Array;
  #spare: number | undefined;

  constructor(seed: number, ...purpose: readonly (string | number)[]) {
    const digest = createHash('sha256')
      .update(JSON.stringify([seed, ...purpose]))
      .digest();
    this.#state = new Uint32Array(4).map((_, i) => digest.readUInt32LE(4 * i));
  }

  /** A whole number in [0, 2³²). */
  uint32(): number {
    const s = this.#state;
    const [a, b, c, d] = s as unknown as [number, number, number, number];
    const sum = (a + b + d) >>> 0;
    s[0] = b ^ (b >>> 9);
    s[1] = c + (c << 3);
    s[2] = ((c << 21) | (c >>> 11)) + sum;
    s[3] = d + 1;
    return sum;
  }

  /** Uniform in [0, 1), 53 bits. */
  uniform(): number {
    return ((this.uint32() >>> 5) * 2 ** 26 + (this.uint32() >>> 6)) / 2 ** 53;
  }

  /** A whole number in [low, high). */
  integer(low: number, high: number): number {
    return low + Math.floor(this.uniform() * (high - low));
  }

  /** Standard normal (Box and Muller 1958, eq. 1). */
  gaussian(): number {
    if (this.#spare !== undefined) {
      const value = this.#spare;
      this.#spare = undefined;
      return value;
    }
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    const angle = 2 * Math.PI * this.uniform();
    this.#spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }

  /** Shuffles `values` in place (Fisher and Yates). */
  shuffle<T extends { [i: number]: number; length: number }>(values: T): T {
    for (let i = values.length - 1; i > 0; i--) {
      const j = this.integer(0, i + 1);
      const held = values[i]!;
      values[i] = values[j]!;
      values[j] = held;
    }
    return values;
  }
}

/** 0 … n-1 in a random order that `seed` and `purpose` determine. */
export function shuffled(n: number, seed: number, ...purpose: readonly (string | number)[]): Int32Array {
  return new Random(seed, 'shuffled', ...purpose).shuffle(Int32Array.from({ length: n }, (_, i) => i));
}

/**
 * Uniform numbers in [0, 1) by Mulberry32 (T. Ettinger), for first weights and random inputs. Seeds give unrelated streams only by luck;
 * where streams must be unrelated, use `Random`.
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
