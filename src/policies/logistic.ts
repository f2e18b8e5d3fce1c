/** Ridge logistic regression: small, the same every time, and linear in the number of features. */

const NEWTON_STEPS = 30;
const INNER_STEPS = 40;
/** Share of the residual that the inner solver may leave. */
const INNER_RESIDUAL = 0.05;
/** Norm of the gradient, per sample, at which the fit has converged. */
const CONVERGED_GRADIENT = 1e-7;

export interface Logistic {
  readonly weights: Float64Array;
  readonly bias: number;
}

/**
 * Minimises `Σ_i [log(1 + e^z) - t·z] + ridge/2·|w|²`, z = w·x + b, over samples `some` of `rows` [n, size], by Newton
 * steps that conjugate gradients solve without ever forming the Hessian (Lin, Weng, Keerthi 2008, eqs. 4-8). The bias is
 * not penalised. Targets are Platt's `(n₊+1)/(n₊+2)` and `1/(n₋+2)` (Platt 1999, section 2.2), so that all right or
 * all wrong has a finite answer.
 */
export function logisticRegression(
  rows: Float64Array,
  size: number,
  positive: ArrayLike<number>,
  some: Int32Array,
  ridge: number,
): Logistic {
  const right = some.reduce((sum, i) => sum + (positive[i] ? 1 : 0), 0);
  const wrong = some.length - right;
  const targets = Float64Array.from(some, (i) => (positive[i] ? (right + 1) / (right + 2) : 1 / (wrong + 2)));
  const problem = new Problem(rows, size, some, targets, ridge);
  const beta = new Float64Array(size + 1);
  beta[size] = Math.log((right + 1) / (wrong + 1));
  let loss = problem.lossAt(beta);
  for (let step = 0; step < NEWTON_STEPS; step++) {
    const gradient = problem.gradient(beta);
    if (Math.sqrt(dot(gradient, gradient)) <= CONVERGED_GRADIENT * some.length) break;
    const direction = conjugateGradients((v) => problem.curve(v), gradient);
    const from = beta.slice();
    let next = Number.POSITIVE_INFINITY;
    for (let length = 1; next > loss && length > 1e-6; length /= 2) {
      for (let f = 0; f <= size; f++) beta[f] = from[f]! - length * direction[f]!;
      next = problem.lossAt(beta);
    }
    if (next > loss) beta.set(from);
    if (next >= loss) break;
    loss = next;
  }
  return { weights: beta.slice(0, size), bias: beta[size]! };
}

class Problem {
  private readonly scores: Float64Array;
  private readonly probabilities: Float64Array;

  constructor(
    private readonly rows: Float64Array,
    private readonly size: number,
    private readonly some: Int32Array,
    private readonly targets: Float64Array,
    private readonly ridge: number,
  ) {
    this.scores = new Float64Array(some.length);
    this.probabilities = new Float64Array(some.length);
  }

  /** The loss at `beta`; `gradient` and `curve` are then those at this `beta`. */
  lossAt(beta: Float64Array): number {
    this.times(beta, this.scores);
    let loss = 0;
    for (let f = 0; f < this.size; f++) loss += (this.ridge / 2) * beta[f]! * beta[f]!;
    for (let i = 0; i < this.scores.length; i++) {
      const z = this.scores[i]!;
      this.probabilities[i] = 1 / (1 + Math.exp(-z));
      loss += Math.log1p(Math.exp(-Math.abs(z))) + Math.max(0, z) - this.targets[i]! * z;
    }
    return loss;
  }

  /** Xᵀ(p - t) + ridge·beta. */
  gradient(beta: Float64Array): Float64Array {
    return this.transposeTimes(
      this.probabilities.map((p, i) => p - this.targets[i]!),
      beta,
    );
  }

  /** (Xᵀ·p(1-p)·X + ridge)·v. */
  curve(v: Float64Array): Float64Array {
    const moved = this.times(v, new Float64Array(this.some.length));
    return this.transposeTimes(
      moved.map((m, i) => m * this.probabilities[i]! * (1 - this.probabilities[i]!)),
      v,
    );
  }

  private times(v: Float64Array, out: Float64Array): Float64Array {
    const { rows, size, some } = this;
    for (let i = 0; i < some.length; i++) {
      const at = some[i]! * size;
      let sum = v[size]!;
      for (let f = 0; f < size; f++) sum += rows[at + f]! * v[f]!;
      out[i] = sum;
    }
    return out;
  }

  private transposeTimes(u: Float64Array, penalised: Float64Array): Float64Array {
    const { rows, size, some, ridge } = this;
    const out = penalised.map((b) => ridge * b);
    out[size] = 0;
    for (let i = 0; i < some.length; i++) {
      const at = some[i]! * size;
      const scale = u[i]!;
      for (let f = 0; f < size; f++) out[f]! += scale * rows[at + f]!;
      out[size]! += scale;
    }
    return out;
  }
}

const dot = (a: Float64Array, b: Float64Array) => a.reduce((sum, v, i) => sum + v * b[i]!, 0);

/** x with `apply(x)` near `b`, for a positive definite `apply` (Hestenes and Stiefel 1952, section 3). */
function conjugateGradients(apply: (v: Float64Array) => Float64Array, b: Float64Array): Float64Array {
  const x = new Float64Array(b.length);
  const residual = b.slice();
  const direction = b.slice();
  let size = dot(residual, residual);
  const enough = INNER_RESIDUAL ** 2 * size;
  for (let step = 0; step < INNER_STEPS && size > enough; step++) {
    const applied = apply(direction);
    const length = size / dot(direction, applied);
    for (let f = 0; f < x.length; f++) {
      x[f]! += length * direction[f]!;
      residual[f]! -= length * applied[f]!;
    }
    const next = dot(residual, residual);
    for (let f = 0; f < x.length; f++) direction[f] = residual[f]! + (next / size) * direction[f]!;
    size = next;
  }
  return x;
}
