/** Leaves a server alone that does not answer, so that calls do not wait for it in vain. */
import { NotAnswered, type RowAnswer } from './wire.ts';

/** Times in a row that a server may answer nothing. */
const MOST_UNANSWERED = 3;

/**
 * A circuit breaker: a server that answered nothing three times in a row is left alone for `restMs`. Then one tries it, and others follow when
 * that is answered. Nothing here throws.
 */
export class Breaker {
  readonly #restMs: number;
  readonly #timeoutMs: number;
  #unanswered = 0;
  /** Nobody asks before, by `performance.now()`. */
  #until = 0;
  #pauseMs = 0;
  #problem = '';

  /** With a `restMs` of 0 it leaves no server alone. Asking takes `timeoutMs` at most. */
  constructor(restMs: number, timeoutMs: number) {
    this.#restMs = restMs;
    this.#timeoutMs = timeoutMs;
  }

  /** Why the server is not to be asked now; undefined where it is. Who comes first after a rest is the one that tries. */
  refusal(): NotAnswered | undefined {
    if (this.#restMs === 0 || this.#unanswered < MOST_UNANSWERED) return undefined;
    const left = this.#until - performance.now();
    if (left <= 0) {
      this.#until = performance.now() + this.#timeoutMs;
      return undefined;
    }
    const problem = `the server is left alone for ${this.#pauseMs} ms (restMs, or as it asked): it did not answer ${this.#unanswered} times in a row (${this.#problem})`;
    return new NotAnswered('client, server unreachable', problem, left);
  }

  /** What came of asking once, for any number of samples. One that is answered, or refused, shows that the server is there. */
  note(outcomes: readonly (RowAnswer | NotAnswered)[]): void {
    const isThere = (one: RowAnswer | NotAnswered) =>
      !(one instanceof NotAnswered) || one.where === 'client, server refused';
    if (outcomes.some(isThere)) {
      this.#unanswered = 0;
      return;
    }
    const { message, againMs = 0 } = outcomes[0] as NotAnswered;
    this.#unanswered++;
    this.#pauseMs = Math.max(this.#restMs, againMs);
    this.#until = performance.now() + this.#pauseMs;
    this.#problem = message;
  }
}
