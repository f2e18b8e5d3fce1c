/**
 * Draws one of the demo's pictures of each class, as PNG.
 *
 *   npx tsx examples/node-server/draw-pictures.ts pictures/
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { CLASSES, drawSamples, SIDE } from '../demo/shapes.ts';

const SEED = 4;

const folder = process.argv[2] ?? 'pictures';
mkdirSync(folder, { recursive: true });
const { pixels } = drawSamples(CLASSES.length, SEED);
for (const [n, name] of CLASSES.entries()) {
  const own = pixels.subarray(n * SIDE * SIDE * 3, (n + 1) * SIDE * SIDE * 3);
  const raw = { width: SIDE, height: SIDE, channels: 3 } as const;
  await sharp(own, { raw })
    .png()
    .toFile(join(folder, `${name}.png`));
}
