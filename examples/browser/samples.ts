/** The pictures that come with the page. A picture's class is known: it is the name of its folder, or what was drawn. */
import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';

const COUNT = 12;
const SEED = 2026;

export interface Sample {
  /** The class that was drawn. */
  readonly name: string;
  readonly png: Buffer;
}

/** Pictures that the demo's code draws: some are easy, some hard. */
export async function drawnSamples(): Promise<Sample[]> {
  // Only here: a page of another model does without them.
  const [{ default: sharp }, { CLASSES, drawSamples, SIDE }] = await Promise.all([
    import('sharp'),
    import('../demo/shapes.ts'),
  ]);
  const { pixels, labels } = drawSamples(COUNT, SEED);
  const size = SIDE * SIDE * 3;
  const raw = { width: SIDE, height: SIDE, channels: 3 } as const;
  const encode = async (label: number, i: number) => {
    const png = await sharp(pixels.subarray(i * size, (i + 1) * size), { raw })
      .png()
      .toBuffer();
    return { name: CLASSES[label]!, png };
  };
  return Promise.all(Array.from(labels, encode));
}

/** The files of `folder`, which has a folder a class, in the order of their paths. */
export function picturesIn(folder: string): { name: string; file: string }[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && !entry.name.startsWith('.'))
    .map(({ parentPath, name }) => ({ name: basename(parentPath), file: join(parentPath, name) }))
    .sort((a, b) => (a.file < b.file ? -1 : 1));
}
