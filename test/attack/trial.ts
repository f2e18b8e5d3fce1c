/** What `npm run attack` tries. */
import type { Random } from '../../src/graph/random.ts';

/** A kind of bad day. */
export interface Trial {
  readonly name: string;
  /** Attempts where no minutes are given. */
  readonly times: number;
  /** Of the minutes that are given, relative to other trials. */
  readonly share: number;
  /** What this machine lacks for it, if anything: then it is skipped, and that is said. */
  lacks?(): string | undefined;
  /** Makes what all attempts have in common. */
  open(): Promise<Ready>;
}

export interface Ready {
  attempt(random: Random): Promise<Outcome>;
  close(): Promise<void>;
}

/** What one attempt came to. */
export interface Outcome {
  /** How often something bad was done: kills that hit, for instance, which may be none. */
  readonly tries: number;
  /** What was wrong; nothing, mostly. */
  readonly faults: readonly string[];
  /** How much was lost that had been taken on: answers, or files that had been finished. */
  readonly lost: number;
}
