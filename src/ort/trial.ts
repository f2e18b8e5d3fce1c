/** Entry of a process that runs a model once, and may be killed meanwhile: a run of ONNX Runtime cannot be stopped otherwise. */
import * as ort from 'onnxruntime-node';
import type { Trial } from './trial-process.ts';

process.once('message', async ({ bytes, options, feeds }: Trial) => {
  try {
    const session = await ort.InferenceSession.create(bytes, options);
    const tensors = Object.entries(feeds).map(([name, { type, data, dims }]) => [
      name,
      new ort.Tensor(type as 'float32', data as Float32Array, dims),
    ]);
    const outputs = session.outputMetadata.filter(({ isTensor }) => isTensor).map(({ name }) => name);
    await session.run(Object.fromEntries(tensors), outputs);
  } catch {
    // It ends: what is wrong is said where it is run again.
  }
  process.exit(0);
});
