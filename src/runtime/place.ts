/** Where a picture of another size goes in the model's input: how large it becomes, and which part of it is kept. */

/**
 * `stretch` ignores the aspect ratio, `cover` crops the centre, `contain` adds black borders. Of the others the picture becomes as large as they
 * say, and the centre of that is kept, with black borders where it is too small: its shorter or its longer side so many pixels
 * (`shortest:256`, `longest:256`), or height x width (`256x256`).
 */
export type Resize =
  | 'stretch'
  | 'cover'
  | 'contain'
  | `shortest:${number}`
  | `longest:${number}`
  | `${number}x${number}`;

/** One axis: the picture is scaled to `whole`, of which `size` from `first` on are kept, `border` from the edge. */
export interface Placed {
  readonly whole: number;
  readonly first: number;
  readonly size: number;
  readonly border: number;
}

interface Size {
  readonly width: number;
  readonly height: number;
}

/** Both axes of a picture of size `from` that is brought to size `to`. */
export function placed(from: Size, to: Size, resize: Resize): { readonly x: Placed; readonly y: Placed } {
  const whole = scaledSize(from, to, resize);
  // `cover` was first to round up here; the others round as torchvision, Hugging Face's processors and transformers.js do.
  const round = resize === 'cover' ? Math.ceil : Math.floor;
  return { x: centred(whole.width, to.width, round), y: centred(whole.height, to.height, round) };
}

function centred(whole: number, to: number, round: (half: number) => number): Placed {
  return whole < to
    ? { whole, first: 0, size: whole, border: Math.floor((to - whole) / 2) }
    : { whole, first: round((whole - to) / 2), size: to, border: 0 };
}

/** The size of the whole picture, before anything is cut off or added. */
function scaledSize(from: Size, to: Size, resize: Resize): Size {
  if (resize === 'stretch') return to;
  const [across, down] = [to.width / from.width, to.height / from.height];
  if (resize === 'cover' || resize === 'contain') {
    const scale = resize === 'cover' ? Math.max(across, down) : Math.min(across, down);
    const scaled = (size: number) => Math.max(1, Math.round(size * scale));
    return { width: scaled(from.width), height: scaled(from.height) };
  }
  const [height, width] = resize.split('x').map(Number) as [number, number?];
  if (width !== undefined) return { width, height };
  const [side, length] = resize.split(':') as [string, string];
  const edge = side === 'shortest' ? Math.min(from.width, from.height) : Math.max(from.width, from.height);
  // Cut to two decimals first, as transformers.js does, so that a product like 255.99999999999997 is 256.
  const scaled = (size: number) =>
    Math.max(1, Math.floor(Number((size * (Number(length) / edge)).toFixed(2))));
  return { width: scaled(from.width), height: scaled(from.height) };
}

/** Whether a picture of size `from` is used as it is. */
export function fits(from: Size, to: Size, resize: Resize | null | undefined): boolean {
  if (from.width !== to.width || from.height !== to.height) return false;
  if (!resize) return true;
  const { width, height } = scaledSize(from, to, resize);
  return width === to.width && height === to.height;
}

/** [y.size, x.size, channels] with black borders around it: [height, width, channels]. */
export function bordered<A extends Uint8Array | Uint8ClampedArray>(
  inner: A,
  { width, height }: Size,
  x: Placed,
  y: Placed,
  channels: number,
): A | Uint8ClampedArray {
  if (x.size === width && y.size === height) return inner;
  const data = new Uint8ClampedArray(width * height * channels);
  for (let row = 0; row < y.size; row++) {
    const line = inner.subarray(row * x.size * channels, (row + 1) * x.size * channels);
    data.set(line, ((y.border + row) * width + x.border) * channels);
  }
  return data;
}
