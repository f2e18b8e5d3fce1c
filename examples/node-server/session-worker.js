/** A thread that runs models, one run after another; see sessions.ts. Plain JavaScript, since tsx does not reach into threads on every Node. */
import { parentPort } from 'node:worker_threads';
import * as ort from 'onnxruntime-node';

/** By the path of the file. */
const sessions = new Map();
let last = Promise.resolve();

parentPort.on('message', ({ id, ...message }) => {
  last = last.then(async () => {
    try {
      parentPort.postMessage({ id, result: await answer(message) });
    } catch (error) {
      parentPort.postMessage({ id, problem: error.message });
    }
  });
});

async function answer({ open, options, run, feeds, fetches }) {
  if (open !== undefined) {
    const session = await ort.InferenceSession.create(open, options);
    sessions.set(open, session);
    return { inputs: session.inputMetadata, outputs: session.outputMetadata };
  }
  if (run !== undefined) {
    const outputs = await sessions.get(run).run(mapped(feeds, asTensor), fetches);
    return mapped(outputs, asPlain);
  }
  for (const session of sessions.values()) await session.release();
}

const mapped = (tensors, convert) =>
  Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, convert(tensor)]));

function asTensor({ type, data, dims }) {
  const tensor = new ort.Tensor(type, data, dims);
  // Where Node has a Float16Array the tensor holds one, and onnxruntime-node reads nothing out of it; its bits it reads.
  if (type === 'float16')
    Object.defineProperty(tensor, 'data', {
      value: new Uint16Array(data.buffer, data.byteOffset, data.length),
    });
  return tensor;
}

const asPlain = ({ type, data, dims }) => ({ type, data, dims });
