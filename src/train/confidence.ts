/** Fitted on a trained head: its confidence layer, a logistic regression of its correctness on its pooled vector [F]; its temperature. */
import { floatTensor, toFloat32Array } from '../graph/tensor.ts';
import type { Tensor } from '../graph/types.ts';
import type { Head } from '../passes/exits.ts';
import { logisticRegression } from '../policies/logistic.ts';

/** Penalties that cross-validation chooses from, per standardised coefficient; with few samples it chooses a strong one. */
const RIDGES = [3, 30, 300];
const FOLDS = 3;

/** `head` with the confidence layer of `fitConfidenceLayer`. */
export function fitConfidence<H extends Head>(head: H, pooled: Float32Array, correct: ArrayLike<number>): H {
  const { weights, bias } = fitConfidenceLayer(pooled, correct);
  return withConfidence(head, weights, bias);
}

/** sigmoid(pooled · weights + bias) */
export interface ConfidenceLayer {
  readonly weights: Float32Array;
  readonly bias: number;
}

/**
 * The layer that predicts whether a head's answer is right. `pooled` [n, F] and `correct` [n] (0 or 1) must come from samples that
 * neither head nor backbone was fitted on. Features are standardised for the fit and the layer rescaled in turn;
 * the penalty is chosen by 3-fold cross-validation.
 */
export function fitConfidenceLayer(pooled: Float32Array, correct: ArrayLike<number>): ConfidenceLayer {
  const n = correct.length;
  const size = pooled.length / n;
  const { rows, mean, deviation } = standardise(pooled, n, size);
  const all = Int32Array.from({ length: n }, (_, i) => i);
  const scored = RIDGES.map((ridge) => ({ ridge, loss: crossValidate(rows, size, correct, all, ridge) }));
  const { ridge } = scored.reduce((best, one) => (one.loss < best.loss ? one : best));
  const { weights, bias } = logisticRegression(rows, size, correct, all, ridge);
  const shift = weights.reduce((sum, w, f) => sum + (w * mean[f]!) / deviation[f]!, 0);
  return { weights: Float32Array.from(weights, (w, f) => w / deviation[f]!), bias: bias - shift };
}

/** `head` with `confidence = sigmoid(pooled · weights + bias)`. */
export function withConfidence<H extends Head>(head: H, weights: Float32Array, bias: number): H {
  return withInitializers(head, {
    'confidence/weight': () => floatTensor('confidence/weight', [1, weights.length], weights),
    'confidence/bias': () => floatTensor('confidence/bias', [1], [bias]),
  });
}

/** `head` with its logits divided by `temperature` in its last layer; answers and confidence are unchanged. */
export function withTemperature<H extends Head>(head: H, temperature: number): H {
  const divided = (t: Tensor) =>
    floatTensor(
      t.name,
      t.dims,
      toFloat32Array(t).map((w) => w / temperature),
    );
  return withInitializers(head, { 'classifier/weight': divided, 'classifier/bias': divided });
}

function withInitializers<H extends Head>(head: H, change: Record<string, (old: Tensor) => Tensor>): H {
  const initializers = head.graph.initializers.map((t) => change[t.name]?.(t) ?? t);
  return { ...head, graph: { ...head.graph, initializers } };
}

/** Mean negative log-likelihood on held-out folds (sample i is in fold i mod 3). */
function crossValidate(
  rows: Float64Array,
  size: number,
  correct: ArrayLike<number>,
  all: Int32Array,
  ridge: number,
): number {
  let loss = 0;
  for (let fold = 0; fold < FOLDS; fold++) {
    const fitted = all.filter((i) => i % FOLDS !== fold);
    const { weights, bias } = logisticRegression(rows, size, correct, fitted, ridge);
    for (let i = fold; i < all.length; i += FOLDS) {
      let z = bias;
      for (let f = 0; f < size; f++) z += rows[i * size + f]! * weights[f]!;
      loss += Math.log1p(Math.exp(-Math.abs(z))) + Math.max(0, correct[i]! ? -z : z);
    }
  }
  return loss / all.length;
}

/** Columns of `pooled` with mean 0 and deviation 1; a constant column becomes 0. */
function standardise(pooled: Float32Array, n: number, size: number) {
  const mean = new Float64Array(size);
  const deviation = new Float64Array(size);
  for (let i = 0; i < pooled.length; i++) mean[i % size]! += pooled[i]! / n;
  for (let i = 0; i < pooled.length; i++) deviation[i % size]! += (pooled[i]! - mean[i % size]!) ** 2 / n;
  for (let f = 0; f < size; f++) deviation[f] = Math.sqrt(deviation[f]!) || 1;
  const rows = Float64Array.from(pooled, (v, i) => (v - mean[i % size]!) / deviation[i % size]!);
  return { rows, mean, deviation };
}
