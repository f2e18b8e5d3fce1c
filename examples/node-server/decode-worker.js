/**
 * A thread that makes the model's input of one picture after another: bytes come in, `{ input }` or `{ problem }` goes out. Plain
 * JavaScript, since tsx does not reach into threads on every Node.
 */
import { parentPort, workerData } from 'node:worker_threads';
import sharp from 'sharp';

const { module, maxPixels } = workerData;
const { preprocess } = await import(module);
/** Seconds. Some files of few pixels are slow to decode. */
const TIMEOUT = 5;

parentPort.on('message', async (body) => {
  try {
    const input = await inputOf(body);
    parentPort.postMessage({ input }, [input.buffer]);
  } catch (error) {
    parentPort.postMessage({ problem: error.message });
  }
});
parentPort.postMessage('ready');

/** Decoded as the compiler decodes. */
async function inputOf(body) {
  const { data, info } = await sharp(body, { ignoreIcc: true, limitInputPixels: maxPixels })
    .timeout({ seconds: TIMEOUT })
    .removeAlpha()
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true });
  return preprocess({ data, width: info.width, height: info.height });
}
