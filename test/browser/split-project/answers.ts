/** What a package says about pictures, asked for so many at a time, one call after another: the same code in Node and in the browser. */
import type { Said } from '../../examples/same-answers.ts';

export interface Picture {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
}

interface Model {
  classify(
    pictures: readonly Picture[],
    options: { at: string },
  ): Promise<readonly (Omit<Said, 'scores'> & { scores: Float32Array })[]>;
}

export async function answersTo(
  model: Model,
  pictures: readonly Picture[],
  at: string,
  batch: number,
): Promise<Said[]> {
  const answers: Said[] = [];
  for (let from = 0; from < pictures.length; from += batch) {
    const results = await model.classify(pictures.slice(from, from + batch), { at });
    for (const { exit, confidence, where, scores } of results)
      answers.push({ exit, confidence, ...(where && { where }), scores: [...scores] });
  }
  return answers;
}

/** `pixels` as pictures of `side` x `side`, a byte a colour. */
export function picturesOf(pixels: Uint8Array, side: number): Picture[] {
  const size = side * side * 3;
  return Array.from({ length: pixels.length / size }, (_, n) => ({
    data: pixels.subarray(n * size, (n + 1) * size),
    width: side,
    height: side,
  }));
}
