/** The model, on a thread of its own: a run blocks the thread that it is on. src/model.ts asks; calls take turns in the package. */
import * as ort from 'onnxruntime-web/wasm';
import {
  type ClassifyOptions,
  type Model,
  modelClass,
  preprocess,
  type Result,
  type Traffic,
} from './package.ts';
import { readPicture } from './picture.ts';

export interface Asked {
  readonly question: keyof Questions;
  readonly given: readonly unknown[];
  /** Takes `{ answer }` or `{ problem }`. */
  readonly reply: MessagePort;
}

export type Questions = typeof questions;

/** A result, and how long it took. */
export type Answer = Result & { readonly waitMs: number };

let model: Promise<Model>;
/** Aborted while the network is switched off. */
let network = new AbortController();

/** `fetch`, unless the network is switched off, also in the middle of it. */
const fetchIfOn: typeof fetch = (url, init) =>
  fetch(url, { ...init, signal: AbortSignal.any([network.signal, init!.signal!]) });

const questions = {
  /** Until the model is there. The client of a split asks `server`. */
  load: async (server: string | undefined): Promise<void> => {
    // Whoever switches the network on again wants to see it at once: the server is not left alone after failures.
    const asking = server === undefined ? undefined : { server, fetch: fetchIfOn, restMs: 0 };
    model = modelClass.load(ort, asking);
    await model;
  },
  read: async (picture: Blob | ImageBitmap) => preprocess(await readPicture(picture)),
  classify: async (input: Float32Array, options: ClassifyOptions): Promise<Answer> => {
    const began = performance.now();
    const [result] = await (await model).classify(input, options);
    return { ...result, waitMs: performance.now() - began };
  },
  switchNetwork: async (isOn: boolean): Promise<void> => {
    if (isOn) network = new AbortController();
    else network.abort(new Error('the network is cut off by the switch on this page'));
  },
  traffic: async (): Promise<Traffic> => (await model).statistics.toJSON(),
};

// Where the page is cross-origin isolated, ONNX Runtime starts threads that load this file again, under other names.
if (self.name === 'model') {
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
