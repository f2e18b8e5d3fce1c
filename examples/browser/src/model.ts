/** The model as the page sees it: questions to the worker that runs it. */
import { type ClassifyOptions, operatingPoints, split, type Traffic } from './package.ts';
import type { Answer, Asked, Questions } from './worker.ts';

const worker = new Worker(new URL('./worker.ts', import.meta.url), {
  type: 'module',
  name: 'model',
});

function ask<Q extends keyof Questions>(
  question: Q,
  given: Parameters<Questions[Q]>,
  moved: Transferable[] = [],
): ReturnType<Questions[Q]> {
  const answered = new Promise((resolve, reject) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = ({ data }) => {
      port1.close();
      if ('problem' in data) reject(new Error(data.problem));
      else resolve(data.answer);
    };
    worker.postMessage({ question, given, reply: port2 } satisfies Asked, [port2, ...moved]);
  });
  return answered as ReturnType<Questions[Q]>;
}

/** Until the model is there. `server` is what the client of a split asks. Rejects when it does not load. */
export function loadModel(server?: string): Promise<void> {
  const failed = new Promise<never>((_, reject) => {
    worker.addEventListener('error', ({ message }) =>
      reject(new Error(message || 'The worker’s script was not found.')),
    );
  });
  return Promise.race([ask('load', [server]), failed]);
}

/** A picture as `classify` takes it; an ImageBitmap is used up. Rejects when this browser cannot read it. */
export const read = (picture: Blob | ImageBitmap): Promise<Float32Array> =>
  ask('read', [picture], picture instanceof ImageBitmap ? [picture] : []);

export const classify = (input: Float32Array, options: ClassifyOptions): Promise<Answer> =>
  ask('classify', [input, options]);

/** Cuts the network off from the client of a split, what is under way too, or gives it back. */
export const switchNetwork = (isOn: boolean): Promise<void> => ask('switchNetwork', [isOn]);

/** Of the client of a split, since the page was opened. */
export const traffic = (): Promise<Traffic> => ask('traffic', []);

export interface FirstAnswer {
  readonly result: Answer;
  /** Whether this is what `classify` says at the point, too. Otherwise the picture goes on there. */
  readonly isFinal: boolean;
}

/**
 * What the first exit that is open at the point says, whatever its confidence: there in the shortest time. Where a point has no open
 * exit, the first of all answers. A run cannot be continued, so a picture that goes on is run again from its beginning. The client of a
 * split has one answer only: running twice would save none of the time that asking takes.
 */
export async function firstAnswer(input: Float32Array, at: string): Promise<FirstAnswer> {
  if (split) return { result: await classify(input, { at }), isFinal: true };
  const { thresholds } = operatingPoints[at]!;
  const exit = Math.max(
    thresholds.findIndex((threshold) => threshold < 1),
    0,
  );
  const threshold = thresholds[exit]!;
  const result = await classify(input, { thresholds: thresholds.with(exit, Number.NEGATIVE_INFINITY) });
  // The model compares with a float32. Elsewhere left: a confidence that is NaN, or thresholds that are built in; both went on as at the point.
  const leaves = threshold < 1 && result.confidence > Math.fround(threshold);
  return { result, isFinal: leaves || result.exit !== exit };
}
