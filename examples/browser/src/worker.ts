/** The model, on a thread of its own: a run blocks the thread that it is on. src/model.ts asks; calls take turns in the package. */
import * as ort from 'onnxruntime-web/wasm';
import { type ClassifyOptions, type Model, modelClass, preprocess } from './package.ts';
import { readPicture } from './picture.ts';

export interface Asked {
  readonly question: keyof Questions;
  readonly given: readonly unknown[];
  /** Takes `{ answer }` or `{ problem }`. */
  readonly reply: MessagePort;
}

export type Questions = ReturnType<typeof questionsTo>;

const questionsTo = (model: Promise<Model>) => ({
  /** Until the model is there. */
  load: async () => void (await model),
  read: async (picture: Blob | ImageBitmap) => preprocess(await readPicture(picture)),
  classify: async (input: Float32Array, options: ClassifyOptions) =>
    (await (await model).classify(input, options))[0],
});

// Where the page is cross-origin isolated, ONNX Runtime starts threads that load this file again, under other names.
if (self.name === 'model') {
  const questions = questionsTo(modelClass.load(ort));
  addEventListener('message', async ({ data }: MessageEvent<Asked>) => {
    const { question, given, reply } = data;
    const answer = questions[question] as (...given: readonly unknown[]) => Promise<unknown>;
    try {
      reply.postMessage({ answer: await answer(...given) });
    } catch (error) {
      reply.postMessage({ problem: `${error}` });
    }
  });
}
