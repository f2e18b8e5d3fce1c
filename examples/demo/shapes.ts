/**
 * The demo's data, drawn by code: ten classes of small pictures whose difficulty varies from sample to sample. Each sample
 * draws one number, its difficulty in [0, 1), that drives contrast, noise, clutter, size, tilt, occlusion and how strongly
 * a figure of another class shines through. The same seed gives the same bytes on every machine: only arithmetic that
 * IEEE 754 pins down is used, so no Math.sin and no Math.pow.
 */
import { writeFileSync } from 'node:fs';
import { zipSync } from 'fflate';

export const SIDE = 32;
export const CLASSES = [
  'disc', 'square', 'triangle', 'cross', 'ring', 'star', 'bars-horizontal', 'bars-vertical', 'bars-diagonal', 'checker',
] as const; // biome-ignore format: index = label

export interface Samples {
  /** [count, 32, 32, 3], RGB. */
  readonly pixels: Uint8Array;
  /** [count], index into CLASSES. */
  readonly labels: Int32Array;
}

/** Draws `count` samples, classes taking turns. Sample i depends on `seed` and i alone. */
export function drawSamples(count: number, seed: number): Samples {
  const pixels = new Uint8Array(count * SIDE * SIDE * 3);
  const labels = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    labels[i] = i % CLASSES.length;
    drawOne(labels[i]!, new Random(seed, i), pixels.subarray(i * SIDE * SIDE * 3, (i + 1) * SIDE * SIDE * 3));
  }
  return { pixels, labels };
}

/** Mulberry32 (T. Ettinger), one stream a sample. */
class Random {
  private state: number;

  constructor(seed: number, stream: number) {
    this.state = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(stream + 1, 0xc2b2ae35);
    this.unit();
  }

  /** 32 random bits. */
  bits(): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }

  /** In [0, 1). */
  unit(): number {
    return this.bits() / 2 ** 32;
  }

  between(low: number, high: number): number {
    return low + (high - low) * this.unit();
  }

  below(n: number): number {
    return Math.floor(this.unit() * n);
  }

  /** About normal: deviation 1, never beyond 3.5. */
  bell(): number {
    return (this.unit() + this.unit() + this.unit() + this.unit() - 2) * 1.7320508075688772;
  }
}

/** Membership in a figure at (x, y), in units of its radius; a signed distance, negative inside. */
type Figure = (x: number, y: number) => number;

const STAR_POINTS = [0, 72, 144, 216, 288].map((degrees) => direction(degrees));

const FIGURES: readonly Figure[] = [
  (x, y) => Math.sqrt(x * x + y * y) - 0.95,
  (x, y) => Math.max(Math.abs(x), Math.abs(y)) - 0.85,
  (x, y) => Math.max(0.8660254 * Math.abs(x) + 0.5 * y, -y) - 0.55,
  (x, y) => {
    return Math.max(Math.abs(x) - 1, Math.abs(y) - 1, Math.min(Math.abs(x), Math.abs(y)) - 0.3);
  },
  (x, y) => Math.abs(Math.sqrt(x * x + y * y) - 0.75) - 0.22,
  // A five-pointed star is where at least four of five half planes agree: the second largest of five distances.
  (x, y) => {
    let first = -9;
    let second = -9;
    for (const point of STAR_POINTS) {
      const d = point[0] * x + point[1] * y;
      if (d > first) {
        second = first;
        first = d;
      } else if (d > second) second = d;
    }
    return second - 0.36;
  },
  (_, y) => wave(y * 1.6) * 0.3,
  (x, _) => wave(x * 1.6) * 0.3,
  (x, y) => wave((x + y) * 1.15) * 0.3,
  (x, y) => wave(x * 1.3) * wave(y * 1.3) * 0.4,
];

/** Stripes and checkers fill the picture and must not turn into one another. */
const isTexture = (label: number) => label >= 6;

/** A triangle wave of period 2 in [-1, 1]. */
function wave(t: number): number {
  const phase = t - 2 * Math.floor(t / 2);
  return phase < 1 ? 1 - 2 * phase : 2 * phase - 3;
}

/** Cosine and sine of an angle by Taylor series: exact enough, and the same bits everywhere. */
function direction(degrees: number): readonly [number, number] {
  let t = (degrees - 360 * Math.round(degrees / 360)) * (Math.PI / 180);
  let flip = 1;
  if (Math.abs(t) > Math.PI / 2) {
    t -= Math.sign(t) * Math.PI;
    flip = -1;
  }
  const q = t * t;
  const cos = 1 - (q / 2) * (1 - (q / 12) * (1 - (q / 30) * (1 - (q / 56) * (1 - q / 90))));
  const sin = t * (1 - (q / 6) * (1 - (q / 20) * (1 - (q / 42) * (1 - (q / 72) * (1 - q / 110)))));
  return [flip * cos, flip * sin];
}

interface Placed {
  readonly figure: Figure;
  readonly x: number;
  readonly y: number;
  readonly radius: number;
  /** -1 turns left and right around. */
  readonly mirror: number;
  readonly cos: number;
  readonly sin: number;
  readonly color: readonly number[];
  /** 1 covers what is below it. */
  readonly opacity: number;
}

function drawOne(label: number, random: Random, out: Uint8Array): void {
  const difficulty = random.unit();
  const hard = difficulty * difficulty;
  const ground = [0, 1, 2].map(() => random.between(20, 235));
  const slope = [random.bell() * 40 * difficulty, random.bell() * 40 * difficulty];

  const layers: Placed[] = [];
  for (let n = random.below(1 + Math.floor(5 * difficulty)); n > 0; n--) {
    layers.push(
      place(random.below(6), random, difficulty, random.between(2, 4), ground, random.between(0.3, 0.8)),
    );
  }
  const other = (label + 1 + random.below(CLASSES.length - 1)) % CLASSES.length;
  const contrast = 1 - 0.55 * hard;
  if (random.unit() < difficulty) {
    layers.push(place(other, random, difficulty, radiusOf(other, random, difficulty), ground, 0.4 * hard));
  }
  layers.push(place(label, random, difficulty, radiusOf(label, random, difficulty), ground, contrast));
  const occluder =
    random.unit() < hard
      ? { x: random.below(SIDE), y: random.below(SIDE), side: random.between(5, 11) }
      : undefined;
  const cover = [0, 1, 2].map(() => random.between(20, 235));
  // A sum of three bytes deviates by 128, two of them by 181.
  const grain = (3 + 32 * hard) / 181;

  let at = 0;
  for (let y = 0; y < SIDE; y++) {
    for (let x = 0; x < SIDE; x++) {
      const tilt = (slope[0]! * (x - 16) + slope[1]! * (y - 16)) / 16;
      let r = ground[0]! + tilt;
      let g = ground[1]! + tilt;
      let b = ground[2]! + tilt;
      for (const layer of layers) {
        const share = coverage(layer, x, y) * layer.opacity;
        if (share <= 0) continue;
        r += (layer.color[0]! - r) * share;
        g += (layer.color[1]! - g) * share;
        b += (layer.color[2]! - b) * share;
      }
      if (
        occluder &&
        Math.abs(x - occluder.x) < occluder.side / 2 &&
        Math.abs(y - occluder.y) < occluder.side / 2
      )
        [r, g, b] = cover as [number, number, number];
      // Three draws make four sums of three bytes: noise of the whole pixel and of each channel, near enough to normal.
      const [i, j, k] = [random.bits(), random.bits(), random.bits()];
      const grey = byteSum(i, j, k, 0) - 382.5;
      out[at++] = toByte(r + (grey + byteSum(i, j, k, 8) - 382.5) * grain);
      out[at++] = toByte(g + (grey + byteSum(i, j, k, 16) - 382.5) * grain);
      out[at++] = toByte(b + (grey + byteSum(i, j, k, 24) - 382.5) * grain);
    }
  }
}

function radiusOf(label: number, random: Random, difficulty: number): number {
  return isTexture(label)
    ? random.between(6.5 - 2 * difficulty, 8)
    : random.between(11 - 5.5 * difficulty, 13);
}

function place(
  label: number,
  random: Random,
  difficulty: number,
  radius: number,
  ground: readonly number[],
  opacity: number,
): Placed {
  // Stripes turn little: half of 45° would make them ambiguous.
  const turn = random.bell() * (isTexture(label) ? 7 : 18) * difficulty;
  const [cos, sin] = direction(turn);
  const play = isTexture(label) ? 8 : 16 - radius * 0.75;
  const spread = isTexture(label) ? 1 : 0.25 + 0.75 * difficulty;
  return {
    figure: FIGURES[label]!,
    x: 15.5 + random.between(-1, 1) * play * spread,
    y: 15.5 + random.between(-1, 1) * play * spread,
    radius,
    mirror: random.unit() < 0.5 ? -1 : 1,
    cos,
    sin,
    color: contrasting(ground, random),
    opacity,
  };
}

/** A colour well away from `ground` in lightness. */
function contrasting(ground: readonly number[], random: Random): number[] {
  const light = (c: readonly number[]) => 0.3 * c[0]! + 0.59 * c[1]! + 0.11 * c[2]!;
  for (;;) {
    const color = [0, 1, 2].map(() => random.between(0, 255));
    if (Math.abs(light(color) - light(ground)) > 70) return color;
  }
}

/** Share of the pixel that the figure covers, edges softened over one pixel. */
function coverage(p: Placed, x: number, y: number): number {
  const dx = (p.mirror * (x - p.x)) / p.radius;
  const dy = (y - p.y) / p.radius;
  const distance = p.figure(p.cos * dx + p.sin * dy, p.cos * dy - p.sin * dx) * p.radius;
  return distance < -0.5 ? 1 : distance > 0.5 ? 0 : 0.5 - distance;
}

const byteSum = (i: number, j: number, k: number, shift: number) =>
  ((i >>> shift) & 255) + ((j >>> shift) & 255) + ((k >>> shift) & 255);

const toByte = (v: number) => (v < 0 ? 0 : v > 255 ? 255 : Math.round(v));

/** Writes `x` uint8 [N, 32, 32, 3] and `y` int64 [N] as an npz archive, the same bytes every time. */
export function writeNpz(path: string, { pixels, labels }: Samples): void {
  const count = labels.length;
  const y = BigInt64Array.from(labels, BigInt);
  const entries = {
    'x.npy': npy('|u1', [count, SIDE, SIDE, 3], pixels),
    'y.npy': npy('<i8', [count], new Uint8Array(y.buffer)),
  };
  writeFileSync(path, zipSync(entries, { level: 0, mtime: new Date(1980, 0, 1) }));
}

/** An array in NumPy's format 1.0 (numpy.lib.format): magic, header padded to 64 bytes, elements. */
function npy(descr: string, shape: readonly number[], bytes: Uint8Array): Uint8Array {
  const dims = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const dict = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${dims}), }`;
  const header = `${dict.padEnd(Math.ceil((dict.length + 11) / 64) * 64 - 11)}\n`;
  const out = new Uint8Array(10 + header.length + bytes.length);
  out.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, header.length & 0xff, header.length >> 8]);
  out.set(new TextEncoder().encode(header), 10);
  out.set(bytes, 10 + header.length);
  return out;
}
