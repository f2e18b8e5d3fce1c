/** The model, on a thread of its own: a run blocks the thread that it is on. src/model.ts asks; calls take turns in the package. */
import { type ClassifyOptions, modelClass, preprocess } from './package.ts';
import { readPicture } from './picture.ts';

// Imported so that it is a file of its own: the threads that it starts load that file again, and shall not run this one.
const model = import('onnxruntime-web/wasm').then((ort) => modelClass.load(ort));

const questions = {
  /** Until the model is there. */
  load: async () => void (await model),
  read: async (picture: Blob | ImageBitmap) => preprocess(await readPicture(picture)),
  classify: async (input: Float32Array, options: ClassifyOptions) =>
    (await (await model).classify(input, options))[0],
};

export type Questions = typeof questions;

export interface Asked {
  readonly question: keyof Questions;
  readonly given: readonly unknown[];
  /** Takes `{ answer }` or `{ problem }`. */
  readonly reply: MessagePort;
}

addEventListener('message', async ({ data }: MessageEvent<Asked>) => {
  const { question, given, reply } = data;
  const answer = questions[question] as (...given: readonly unknown[]) => Promise<unknown>;
  try {
    reply.postMessage({ answer: await answer(...given) });
  } catch (error) {
    reply.postMessage({ problem: `${error}` });
  }
});
