/** Leaves a server alone that does not answer, so that calls do not wait for it in vain. */
import { NotAnswered } from './wire.ts';

/** Requests in a row. */
const MOST_UNANSWERED = 3;

/**
 * A circuit breaker: a server that did not answer three requests in a row is left alone for `restMs`. Then one request tries it, and others
 * follow when that is answered. Nothing here throws.
 */
export class Breaker {
  readonly #restMs: number;
  readonly #timeoutMs: number;
  #unanswered = 0;
  /** No request before, by `performance.now()`. */
  #until = 0;
  #pauseMs = 0;
  #problem = '';

  /** With a `restMs` of 0 it leaves no server alone. A request takes `timeoutMs` at most. */
  constructor(restMs: number, timeoutMs: number) {
    this.#restMs = restMs;
    this.#timeoutMs = timeoutMs;
  }

  /** Why the server is not to be asked now; undefined where it is. Who asks first after a rest is the one that tries. */
  refusal(): NotAnswered | undefined {
    if (this.#restMs === 0 || this.#unanswered < MOST_UNANSWERED) return undefined;
    const left = this.#until - performance.now();
    if (left <= 0) {
      this.#until = performance.now() + this.#timeoutMs;
      return undefined;
    }
    const problem = `the server is left alone for ${this.#pauseMs} ms (restMs, or as it asked): it did not answer ${this.#unanswered} requests in a row (${this.#problem})`;
    return new NotAnswered('client, server unreachable', problem, left);
  }

  /** The server is there, whatever it said. */
  answered(): void {
    this.#unanswered = 0;
  }

  /** A request was not answered. */
  failed({ message, againMs = 0 }: NotAnswered): void {
    this.#unanswered++;
    this.#pauseMs = Math.max(this.#restMs, againMs);
    this.#until = performance.now() + this.#pauseMs;
    this.#problem = message;
  }
}
