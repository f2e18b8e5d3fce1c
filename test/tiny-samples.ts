/** Labelled samples for the small networks of models.ts. */
import { writeFileSync } from 'node:fs';
import { zipSync } from 'fflate';
import { Tensor, withSession } from '../src/ort/session.ts';
import { npy } from './data/fixtures.ts';
import { noise } from './models.ts';

const SIDE = 8;
const CLASSES = 5;

/** An npz at `path` of `tinySamples`, all of them `times` times. */
export async function writeTinySamples(
  model: string,
  path: string,
  count: number,
  seed: number,
  times = 1,
): Promise<void> {
  const { pixels, labels } = await tinySamples(model, count, seed);
  const repeated = (bytes: Uint8Array) => Buffer.concat(Array<Uint8Array>(times).fill(bytes));
  const arrays = {
    'x.npy': npy('|u1', [times * count, SIDE, SIDE, 3], repeated(pixels)),
    'y.npy': npy('<i4', [times * count], repeated(new Uint8Array(labels.buffer))),
  };
  writeFileSync(path, zipSync(arrays));
}

/**
 * Images [n, 8, 8, 3] whose contrast varies, labelled by the model of 5 classes at `model`, every twelfth label wrong; `planar` is what
 * the model was fed, [n, 3, 8, 8] divided by 255.
 */
export async function tinySamples(model: string, count: number, seed: number) {
  const size = SIDE * SIDE * 3;
  const pixels = Uint8Array.from(noise(count * size, seed), (v, i) => {
    const contrast = 0.1 + (0.9 * (Math.floor(i / size) % 10)) / 9;
    const tint = (Math.floor(i / size) % 7) * 25;
    return Math.min(
      255,
      Math.max(0, Math.round(128 + 127 * v * contrast + (i % 3 === 0 ? tint : -tint) / 2)),
    );
  });
  const planar = new Float32Array(pixels.length);
  for (let n = 0; n < count; n++)
    for (let p = 0; p < SIDE * SIDE; p++)
      for (let c = 0; c < 3; c++)
        planar[n * size + c * SIDE * SIDE + p] = pixels[n * size + p * 3 + c]! / 255;
  const labels = await withSession(model, {}, async (session) => {
    const { scores } = await session.run({ image: new Tensor('float32', planar, [count, 3, SIDE, SIDE]) });
    return Int32Array.from({ length: count }, (_, n) => {
      const row = (scores!.data as Float32Array).subarray(n * CLASSES, (n + 1) * CLASSES);
      return (row.indexOf(Math.max(...row)) + (n % 12 === 0 ? 1 : 0)) % CLASSES;
    });
  });
  return { pixels, planar, labels };
}
