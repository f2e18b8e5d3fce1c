/** Decodes the picture files as any page would. */
import * as ort from 'onnxruntime-web/wasm';
import { answersTo } from './answers.js';

async function decode(file) {
  const response = await fetch(file);
  const bitmap = await createImageBitmap(await response.blob(), { colorSpaceConversion: 'none' });
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext('2d');
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, width, height);
}

async function main() {
  const { files } = await (await fetch('pictures.json')).json();
  const pictures = await Promise.all(files.map(decode));
  const pixels = await new Blob(pictures.map(({ data }) => data)).arrayBuffer();
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', pixels));
  return { pixels: [...hash], answers: await answersTo(pictures, ort) };
}

window.done = main();
