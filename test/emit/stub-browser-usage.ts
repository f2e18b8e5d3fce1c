/** Compiled with the browser's types and without Node's, never run. */
import type * as Ort from 'onnxruntime-common';
import { Pets } from '../../golden/stub-image-labels/index.ts';
import * as split from '../../golden/stub-split/index.ts';

export async function use(ort: typeof Ort, canvas: HTMLCanvasElement): Promise<void> {
  const model = await Pets.load(ort, { url: new URL('./pets.onnx', document.baseURI) });
  const image: ImageData = canvas.getContext('2d')!.getImageData(0, 0, 2, 2);
  const [r] = await model.classify(image, { at: 'fast' });
  document.title = r.label;
  await model.classify([image, image]);
  const client = await split.Pets.load(ort, { server: '/api', fetch: window.fetch });
  const [asked] = await client.classify(image, { signal: AbortSignal.timeout(100) });
  document.title = `${asked.where} ${asked.label}`;
}
