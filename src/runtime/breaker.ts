/** Leaves a server alone that does not answer, so that calls do not wait for it in vain. */
import { NotAnswered, NotAsked, type RowAnswer } from './wire.ts';

/** Times in a row, one after another, that a server may answer nothing. */
const MOST_UNANSWERED = 3;
/** The longest that a `Retry-After` keeps others from asking: what says it may be wrong, or gone meanwhile. */
const LONGEST_REST_MS = 60_000;

/**
 * A circuit breaker: a server that answered nothing three times in a row is left alone for `restMs`. Then one tries it, and others follow when
 * that is answered. Nothing here throws.
 */
export class Breaker {
  readonly #restMs: number;
  readonly #timeoutMs: number;
  #unanswered = 0;
  /** Nobody asks before, by `performance.now()` as all times here. */
  #until = 0;
  /** When the server was last known to answer, or not to. */
  #known = 0;
  /** When the one began that tries the server after a rest. */
  #trial: number | undefined;
  #pauseMs = 0;
  #problem = '';

  /** With a `restMs` of 0 it leaves no server alone. Asking takes `timeoutMs` at most. */
  constructor(restMs: number, timeoutMs: number) {
    this.#restMs = restMs;
    this.#timeoutMs = timeoutMs;
  }

  /** Why the server is not to be asked `now`; undefined where it is. Who comes first after a rest is the one that tries. */
  refusal(now: number): NotAnswered | undefined {
    if (this.#restMs === 0 || this.#unanswered < MOST_UNANSWERED) return undefined;
    const left = this.#until - now;
    if (left <= 0) {
      this.#trial = now;
      this.#until = now + this.#timeoutMs;
      return undefined;
    }
    const problem = `the server is left alone for ${this.#pauseMs} ms (restMs, or as it asked): it did not answer ${this.#unanswered} times in a row (${this.#problem})`;
    return new NotAnswered('client, server unreachable', problem, Math.ceil(left));
  }

  /** What came of asking once, for any number of samples, since `began`. One that is answered, or refused, shows that the server is there. */
  note(outcomes: readonly (RowAnswer | NotAnswered)[], began: number): void {
    const isThere = (one: RowAnswer | NotAnswered) =>
      !(one instanceof NotAnswered) || one.where === 'client, server refused';
    if (outcomes.some(isThere)) {
      this.#unanswered = 0;
      this.#known = performance.now();
      return;
    }
    const failure = outcomes[0] as NotAnswered;
    if (failure instanceof NotAsked) {
      this.leave(began);
      return;
    }
    // What is asked side by side fails for one reason; and what is known since it began is newer.
    if (began < this.#known) return;
    this.#known = performance.now();
    this.#unanswered++;
    this.#pauseMs = Math.max(this.#restMs, Math.min(failure.againMs ?? 0, LONGEST_REST_MS));
    this.#until = this.#known + this.#pauseMs;
    this.#problem = failure.message;
  }

  /** Nobody waits any more for what was asked since `began`, or it was not asked: another may try. */
  leave(began: number): void {
    if (began === this.#trial) this.#until = 0;
  }
}
