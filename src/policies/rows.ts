/** Arithmetic on rows of class scores. */

/** Writes the softmax of `z` [C] into `p` [C], which may be `z` itself. */
export function softmax(z: Float32Array | Float64Array, p: Float64Array): void {
  const largest = largestOf(z);
  let sum = 0;
  for (let c = 0; c < p.length; c++) {
    p[c] = Math.exp(z[c]! - largest);
    sum += p[c]!;
  }
  for (let c = 0; c < p.length; c++) p[c]! /= sum;
}

/** Σ_c exp(z_c - shift): what a softmax divides by, and log softmax takes the logarithm of. */
export function sumOfExp(z: Float32Array, shift: number): number {
  let sum = 0;
  for (let c = 0; c < z.length; c++) sum += Math.exp(z[c]! - shift);
  return sum;
}

/** `write(p, i)` for the softmax p of every row i of `logits` [n, classes]; p is used again for the next row. */
export function eachSoftmax(
  logits: Float32Array,
  classes: number,
  write: (p: Float64Array, row: number) => void,
): void {
  const p = new Float64Array(classes);
  for (let row = 0; row < logits.length / classes; row++) {
    softmax(logits.subarray(row * classes, (row + 1) * classes), p);
    write(p, row);
  }
}

/** One number for the softmax of every row of `logits` [n, classes], rounded to float32. */
export function ofSoftmax(
  logits: Float32Array,
  classes: number,
  score: (p: Float64Array) => number,
): Float32Array {
  const scores = new Float32Array(logits.length / classes);
  eachSoftmax(logits, classes, (p, row) => {
    scores[row] = score(p);
  });
  return scores;
}

/** log softmax of every row of `logits` [n, classes], rounded to float32. */
export function logSoftmax(logits: Float32Array, classes: number): Float32Array {
  const logs = new Float32Array(logits.length);
  for (let start = 0; start < logits.length; start += classes) {
    const z = logits.subarray(start, start + classes);
    const largest = largestOf(z);
    const sum = sumOfExp(z, largest);
    for (let c = 0; c < classes; c++) logs[start + c] = z[c]! - largest - Math.log(sum);
  }
  return logs;
}

/** Largest element, NaN if there is one. */
export function largestOf(p: ArrayLike<number>): number {
  let largest = -Infinity;
  for (let c = 0; c < p.length; c++) largest = Math.max(largest, p[c]!);
  return largest;
}

/** Index of the largest of each of `rows` rows, the first of equals, as ONNX's ArgMax. */
export function argMaxRows(scores: Float32Array, rows: number): Int32Array {
  const width = scores.length / rows;
  const found = new Int32Array(rows);
  for (let row = 0; row < rows; row++) {
    let best = row * width;
    for (let i = best + 1; i < (row + 1) * width; i++) if (scores[i]! > scores[best]!) best = i;
    found[row] = best - row * width;
  }
  return found;
}
