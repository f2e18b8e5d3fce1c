/** Thresholds one at a time: what every cut at one exit would be worth and cost, the other thresholds held. */
import { CLOSED, type CostModel, type Outcomes } from './types.ts';

/**
 * Samples that reach one exit, surest first, and running sums over them. Cut p lets the first p leave. A sample whose score is NaN or
 * -Infinity reaches the exit, pays its head and stays.
 */
export interface Line {
  /** How many samples can be made to leave: cuts are 0..length. */
  readonly length: number;
  /** How many samples reach the exit, hence pay its head. */
  readonly reached: number;
  /** [length + 1]: worth and cost of letting the first p leave, less that of letting them go on. The head is not counted. */
  readonly worth: Float64Array;
  readonly cost: Float64Array;
  /** The threshold of cut p; `CLOSED` where no threshold makes that cut (ties, scores of 1 and more, p = 0). */
  threshold(p: number): number;
  /** The largest cut whose samples all score above `threshold`. */
  cutOf(threshold: number): number;
}

/**
 * Walks exits backwards. `worths` is [K + 1][N]: what sample i's answer at exit k is worth, the original's last.
 * Arrays are reused: a `Line` is good until the next call.
 */
export class Cascade {
  readonly exits: number;
  readonly samples: number;
  private readonly order: readonly Int32Array[];
  private readonly leftAt: Int32Array;
  private readonly onwardWorth: Float64Array;
  private readonly onwardCost: Float64Array;
  private readonly reaching: Int32Array;
  private readonly worthSum: Float64Array;
  private readonly costSum: Float64Array;

  constructor(
    private readonly scores: Outcomes['scores'],
    private readonly worths: readonly Float64Array[],
    readonly cost: CostModel,
  ) {
    this.exits = scores.length;
    this.samples = worths[0]!.length;
    this.order = scores.map(surestFirst);
    this.leftAt = new Int32Array(this.samples);
    this.onwardWorth = new Float64Array(this.samples);
    this.onwardCost = new Float64Array(this.samples);
    this.reaching = new Int32Array(this.samples);
    this.worthSum = new Float64Array(this.samples + 1);
    this.costSum = new Float64Array(this.samples + 1);
  }

  /** Starts a backward walk: who leaves where under `thresholds`, and what the original would make of everyone. */
  begin(thresholds: readonly number[]): void {
    const { exits, samples, leftAt } = this;
    leftAt.fill(exits);
    for (let k = 0; k < exits; k++) {
      const threshold = thresholds[k]!;
      if (!(threshold < CLOSED)) continue;
      const score = this.scores[k]!;
      for (let i = 0; i < samples; i++) if (leftAt[i] === exits && score[i]! > threshold) leftAt[i] = k;
    }
    this.onwardWorth.set(this.worths[exits]!);
    this.onwardCost.fill(1);
  }

  /** The cuts at exit k. Exits after it have been settled; those before it are as at `begin`. */
  line(k: number): Line {
    const { leftAt, onwardWorth, onwardCost, reaching, worthSum, costSum } = this;
    const score = this.scores[k]!;
    const order = this.order[k]!;
    const worths = this.worths[k]!;
    const prefix = this.cost.prefix[k]!;
    let length = 0;
    let worth = 0;
    let cost = 0;
    for (let r = 0; r < order.length; r++) {
      const i = order[r]!;
      if (leftAt[i]! < k) continue;
      worth += worths[i]! - onwardWorth[i]!;
      cost += prefix - onwardCost[i]!;
      reaching[length++] = i;
      worthSum[length] = worth;
      costSum[length] = cost;
    }
    let reached = 0;
    for (let i = 0; i < this.samples; i++) if (leftAt[i]! >= k) reached++;
    const at = (p: number) => score[reaching[p]!]!;
    return {
      length,
      reached,
      worth: worthSum,
      cost: costSum,
      threshold: (p) => (p === 0 ? CLOSED : p === length ? below(at(p - 1)) : between(at(p - 1), at(p))),
      cutOf: (threshold) => {
        let p = 0;
        while (p < length && at(p) > threshold) p++;
        return p;
      },
    };
  }

  /** Fixes exit k's threshold for the rest of this walk. */
  settle(k: number, threshold: number): void {
    if (!(threshold < CLOSED)) return;
    const score = this.scores[k]!;
    const worths = this.worths[k]!;
    const prefix = this.cost.prefix[k]!;
    const head = this.cost.head[k]!;
    for (let i = 0; i < this.samples; i++) {
      if (score[i]! > threshold) {
        this.onwardWorth[i] = worths[i]!;
        this.onwardCost[i] = prefix;
      }
      this.onwardCost[i]! += head;
    }
  }
}

/** Samples by falling score, equal ones in their own order; NaN and -Infinity, which no threshold lets leave, are not there. */
function surestFirst(score: Float32Array): Int32Array {
  const some = Int32Array.from(score.keys()).filter((i) => score[i]! > -Infinity);
  return some.sort((a, b) => (score[a]! === score[b]! ? a - b : score[b]! > score[a]! ? 1 : -1));
}

/**
 * The float32 midway between two neighbouring scores, so that upper > threshold ≥ lower in single and double precision alike;
 * `CLOSED` when no open threshold parts them.
 */
function between(upper: number, lower: number): number {
  if (upper === lower || lower >= CLOSED) return CLOSED;
  const top = Math.min(upper, CLOSED);
  const middle = Math.fround((top + lower) / 2);
  return middle < top ? middle : lower;
}

/** A threshold under `lowest`: -1 for scores in [0, 1]. */
function below(lowest: number): number {
  return lowest > -1 ? -1 : Math.fround(2 * lowest);
}
