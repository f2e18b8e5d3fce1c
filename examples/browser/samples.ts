import sharp from 'sharp';
import { CLASSES, drawSamples, SIDE } from '../demo/shapes.ts';

const COUNT = 12;
const SEED = 2026;

export interface Sample {
  /** The class that was drawn. */
  readonly name: string;
  readonly png: Buffer;
}

/** The pictures that come with the page: some are easy, some hard. */
export async function drawnSamples(): Promise<Sample[]> {
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
