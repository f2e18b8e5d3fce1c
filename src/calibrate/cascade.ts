/** Thresholds one at a time: the worth and the cost of every cut at one exit, the other thresholds held. */
import { CLOSED, type CostModel, type Outcomes } from './types.ts';
import { leavingExits } from './walk.ts';

/**
 * The samples that reach one exit, surest first: cut p lets the first p leave. A sample whose score is NaN or -Infinity reaches the exit,
 * pays for its being open and stays. Valid only inside the `choose` that it is given to: `worth` and `cost` are overwritten at the next exit.
 */
export class Cuts {
  /** Samples that can be made to leave: cuts are 0..length. */
  length = 0;
  /** Samples that reach the exit. */
  reached = 0;
  /** What each of them pays more when the exit is open than when it is closed, nobody leaving. */
  opening = 0;
  /** [length + 1]: worth and cost of the first p leaving here, less those of their going on. `opening` is not counted. */
  readonly worth: Float64Array;
  readonly cost: Float64Array;
  /** [length]: falling. */
  readonly scores: Float32Array;

  constructor(samples: number) {
    this.worth = new Float64Array(samples + 1);
    this.cost = new Float64Array(samples + 1);
    this.scores = new Float32Array(samples);
  }

  /** The threshold of cut p; `CLOSED` where no threshold makes that cut (scores as good as equal, or as good as 1 and more; p = 0). */
  threshold(p: number): number {
    const { scores, length } = this;
    if (p === 0) return CLOSED;
    return p === length ? below(scores[p - 1]!) : between(scores[p - 1]!, scores[p]!);
  }

  /** The largest cut whose samples all score above `threshold`. */
  cutOf(threshold: number): number {
    let p = 0;
    while (p < this.length && this.scores[p]! > threshold) p++;
    return p;
  }
}

/** The exits of some samples. `worths` is [K + 1][N]: worth of sample i's answer at exit k, the final answer's last. */
export class Cascade {
  readonly exits: number;
  readonly samples: number;
  private readonly order: (Order | undefined)[] = [];
  private readonly cuts: Cuts;

  constructor(
    private readonly scores: Outcomes['scores'],
    private readonly worths: readonly Float64Array[],
    readonly cost: CostModel,
  ) {
    this.exits = scores.length;
    this.samples = worths[0]!.length;
    this.cuts = new Cuts(this.samples);
  }

  /**
   * Visits the exits that are `open` from last to first. `choose` is given the cuts there, where earlier exits have `thresholds` and later
   * ones what was chosen, and returns the threshold of exit k. Exits not `open` must be closed in `thresholds`. Ends before an exit that
   * `isEnd` is true of.
   */
  backwards(
    thresholds: readonly number[],
    open: readonly boolean[],
    choose: (k: number, cuts: Cuts) => number,
    isEnd?: (k: number) => boolean,
  ): void {
    const leaving = leavingExits(this.scores, this.samples, thresholds);
    const onward = {
      worth: Float64Array.from(this.worths[this.exits]!),
      cost: new Float64Array(this.samples).fill(1),
      network: this.cost.networks.length - 1,
    };
    for (let k = this.exits - 1; k >= 0; k--) {
      if (!open[k]) continue;
      if (isEnd?.(k)) return;
      this.fill(k, leaving, onward, this.wayTo(k, thresholds));
      this.hold(k, choose(k, this.cuts), onward);
    }
  }

  /** Cost of the way to exit k from the last exit before it in its network that is open in `thresholds`. */
  private wayTo(k: number, thresholds: readonly number[]): number {
    const { exits } = this.cost;
    const { network, prefix } = exits[k]!;
    for (let j = k - 1; exits[j]?.network === network; j--)
      if (thresholds[j]! < CLOSED) return prefix - exits[j]!.prefix;
    return prefix;
  }

  /** Fills `cuts` with those at exit k. `way`: what is run of its network for it alone, where no later exit there is open. */
  private fill(k: number, leaving: Int32Array, onward: Onward, way: number): void {
    const { cuts } = this;
    const [score, worths] = [this.scores[k]!, this.worths[k]!];
    const { network, prefix, head } = this.cost.exits[k]!;
    const isSame = network === onward.network;
    // Samples that stay go on from its tap in the same network; into a later network they go on from that one's start.
    const run = isSame ? prefix : 0;
    const order = this.order[k] ?? surestFirst(score);
    this.order[k] = order;
    // These loops are most of a search: what they read is taken out of its objects first.
    const { scores: cutScores, worth: cutWorth, cost: cutCost } = cuts;
    const { worth: onwardWorth, cost: onwardCost } = onward;
    const { surest, never } = order;
    let [worth, cost, length] = [0, 0, 0];
    for (let r = 0; r < surest.length; r++) {
      const i = surest[r]!;
      if (leaving[i]! < k) continue;
      worth += worths[i]! - onwardWorth[i]!;
      cost += run - onwardCost[i]!;
      cutScores[length++] = score[i]!;
      cutWorth[length] = worth;
      cutCost[length] = cost;
    }
    cuts.length = length;
    cuts.reached = length;
    for (const i of never) if (leaving[i]! >= k) cuts.reached++;
    cuts.opening = isSame ? head : head + way;
  }

  /** `onward` as seen from before exit k, which has `threshold`. */
  private hold(k: number, threshold: number, onward: Onward): void {
    if (!(threshold < CLOSED)) return;
    const [score, worths] = [this.scores[k]!, this.worths[k]!];
    const { network, prefix, head } = this.cost.exits[k]!;
    const run = network === onward.network ? 0 : prefix;
    const { worth, cost } = onward;
    for (let i = 0; i < score.length; i++) {
      if (score[i]! > threshold) {
        worth[i] = worths[i]!;
        cost[i] = prefix + head;
      } else cost[i] = cost[i]! + run + head;
    }
    onward.network = network;
  }
}

/** What samples that do not leave at the exit visited come to. */
interface Onward {
  /** [N] */
  readonly worth: Float64Array;
  /** [N]: counted from the start of `network`. */
  readonly cost: Float64Array;
  /** Network of the first open exit after the one visited; the original where there is none. */
  network: number;
}

interface Order {
  /** Samples by falling score, equal ones in their own order. */
  readonly surest: Int32Array;
  /** Those whose score is NaN or -Infinity, which exceeds no threshold. */
  readonly never: Int32Array;
}

function surestFirst(score: Float32Array): Order {
  const all = Int32Array.from(score.keys());
  const some = all.filter((i) => score[i]! > -Infinity);
  return {
    surest: some.sort((a, b) => (score[a]! === score[b]! ? a - b : score[b]! > score[a]! ? 1 : -1)),
    never: all.filter((i) => !(score[i]! > -Infinity)),
  };
}

/** Scores no further apart than this, or this share of them where they are beyond 1, are equal: the emitted model may round them to either side of a threshold. */
const EQUAL = 2 ** -21;

/**
 * The float32 midway between two neighbouring scores, so that upper > threshold ≥ lower in single and double precision alike;
 * `CLOSED` when no open threshold parts them, or only until they are computed in another order.
 */
function between(upper: number, lower: number): number {
  const top = Math.min(upper, CLOSED);
  if (!(top - lower > EQUAL * Math.max(1, Math.abs(lower)))) return CLOSED;
  return Math.fround((top + lower) / 2);
}

/** A threshold under `lowest`: -1 for scores in [0, 1]. */
function below(lowest: number): number {
  return lowest > -1 ? -1 : Math.fround(2 * lowest);
}
