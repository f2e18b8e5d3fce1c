/** Calls of one tick ask the server together. */
import { Breaker } from './breaker.ts';
import { AskDeadline, type RemoteServer, unlessAborted } from './remote.ts';
import { chosen, stacked } from './sent.ts';
import type { SplitStatistics } from './split-statistics.ts';
import { NotAnswered, NotAsked, type RowAnswer, type SentRows, type WireQuestion } from './wire.ts';

/** What came of asking for one row. */
export type RowOutcome = RowAnswer | NotAnswered;

/** Asks for `rows`, which are `count`. Settles by the deadline. */
type SendRows = (rows: readonly SentRows[], count: number, deadline: AskDeadline) => Promise<RowOutcome[]>;

/** What calls of one tick want of one served model: sent when each of them knows what it asks. */
class AskRound {
  readonly served: string;
  readonly #send: SendRows;
  readonly #timeoutMs: number;
  readonly #outcomes: Promise<RowOutcome[]>;
  #settle: (outcomes: Promise<RowOutcome[]>) => void = () => {};
  /** Calls that have yet to ask or to leave. */
  #undecided = 0;
  /** Calls that wait for an answer. */
  #waiting = 0;
  readonly #rows: (readonly SentRows[])[] = [];
  #count = 0;
  #deadline: AskDeadline | undefined;

  constructor(served: string, timeoutMs: number, send: SendRows) {
    this.served = served;
    this.#timeoutMs = timeoutMs;
    this.#send = send;
    this.#outcomes = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  join(): void {
    this.#undecided++;
  }

  leave(): void {
    if (--this.#undecided > 0 || this.#waiting === 0) return;
    const [first] = this.#rows;
    const rows = first!.map((_, i) => stacked(this.#rows.map((one) => one[i]!)));
    this.#deadline = new AskDeadline(this.#timeoutMs);
    this.#settle(this.#send(rows, this.#count, this.#deadline));
  }

  async ask(
    rows: readonly SentRows[],
    count: number,
    signal: AbortSignal | undefined,
  ): Promise<RowOutcome[]> {
    const from = this.#count;
    this.#rows.push(rows);
    this.#count += count;
    this.#waiting++;
    this.leave();
    try {
      const outcomes = await unlessAborted(this.#outcomes, signal);
      return outcomes.slice(from, from + count);
    } finally {
      if (--this.#waiting === 0) this.#deadline?.stop();
    }
  }
}

/** A call's place in a round. It asks or leaves, once: the others wait for it. */
export class AskSeat {
  readonly #round: AskRound;
  #isTaken = true;

  constructor(round: AskRound) {
    this.#round = round;
    round.join();
  }

  /** What the server says of `count` rows. Rejects with the signal's reason once that aborts. */
  ask(rows: readonly SentRows[], count: number, signal: AbortSignal | undefined): Promise<RowOutcome[]> {
    this.#isTaken = false;
    return this.#round.ask(rows, count, signal);
  }

  /** Harmless when it has asked. */
  leave(): void {
    if (this.#isTaken) this.#round.leave();
    this.#isTaken = false;
  }
}

/** Rows of a round that have not been asked for yet, from `next` on. */
interface AskWork {
  readonly rows: readonly SentRows[];
  readonly outcomes: RowOutcome[];
  readonly deadline: AskDeadline;
  next: number;
  /** Why the others are not asked for. */
  failure?: NotAnswered;
}

/** Puts calls that were made in the same tick, for the same served model, into as few requests as may be. */
export class AskTogether {
  readonly #remote: RemoteServer;
  readonly #facts: Omit<WireQuestion, 'served' | 'rows'>;
  readonly #statistics: Pick<SplitStatistics<string>, 'answered' | 'failed'>;
  readonly #breaker: Breaker;
  /** Rows a request. */
  readonly #most: number;
  /** Of this tick. */
  #rounds: readonly AskRound[] = [];
  #inFlight = 0;

  /** A model of a `fixed` batch takes one row at a time. */
  constructor(
    remote: RemoteServer,
    facts: Omit<WireQuestion, 'served' | 'rows'>,
    statistics: Pick<SplitStatistics<string>, 'answered' | 'failed'>,
    batch: 'dynamic' | 'fixed',
  ) {
    this.#remote = remote;
    this.#facts = facts;
    this.#statistics = statistics;
    this.#breaker = new Breaker(remote.options.restMs, remote.options.timeoutMs);
    this.#most = batch === 'fixed' ? 1 : remote.options.maxBatch;
  }

  join(served: string): AskSeat {
    if (this.#rounds.length === 0)
      // When all that runs now has run, and before anything that was waited for goes on.
      Promise.resolve().then(() => {
        this.#rounds = [];
      });
    let round = this.#rounds.find((one) => one.served === served);
    if (!round) {
      round = new AskRound(served, this.#remote.options.timeoutMs, (rows, count, deadline) =>
        this.#send(served, rows, count, deadline),
      );
      this.#rounds = [...this.#rounds, round];
    }
    return new AskSeat(round);
  }

  async #send(
    served: string,
    rows: readonly SentRows[],
    count: number,
    deadline: AskDeadline,
  ): Promise<RowOutcome[]> {
    const { maxInFlight } = this.#remote.options;
    const lanes = Math.min(Math.ceil(count / this.#most), maxInFlight - this.#inFlight);
    const work: AskWork = { rows, outcomes: new Array(count), deadline, next: 0 };
    if (lanes <= 0) {
      const problem = `${maxInFlight} requests are open already (maxInFlight)`;
      this.#statistics.failed(problem);
      deadline.stop();
      return work.outcomes.fill(new NotAsked(problem));
    }
    const began = performance.now();
    const refusal = this.#breaker.refusal(began);
    if (refusal) {
      deadline.stop();
      return work.outcomes.fill(refusal);
    }
    this.#inFlight += lanes;
    try {
      await Promise.all(Array.from({ length: lanes }, () => this.#askInTurn(served, work)));
    } catch (error) {
      this.#breaker.leave(began);
      throw error;
    } finally {
      this.#inFlight -= lanes;
      deadline.stop();
    }
    this.#breaker.note(work.outcomes, began);
    return work.outcomes;
  }

  /** Asks for one part of the rows after another. */
  async #askInTurn(served: string, work: AskWork): Promise<void> {
    const { outcomes, rows, deadline } = work;
    while (work.next < outcomes.length) {
      const from = work.next;
      const to = Math.min(from + this.#most, outcomes.length);
      work.next = to;
      const isWhole = to - from === outcomes.length;
      const places = Array.from({ length: to - from }, (_, i) => from + i);
      const part = isWhole ? rows : rows.map((one) => chosen(one, places));
      const asked = { ...this.#facts, served, rows: to - from };
      const answers = work.failure ?? (await this.#ask(asked, part, deadline));
      if (answers instanceof NotAnswered) {
        work.failure = answers;
        outcomes.fill(answers, from, to);
      } else for (const [i, answer] of answers.entries()) outcomes[from + i] = answer;
    }
  }

  async #ask(
    asked: WireQuestion,
    rows: readonly SentRows[],
    deadline: AskDeadline,
  ): Promise<RowAnswer[] | NotAnswered> {
    const began = performance.now();
    try {
      const answers = await this.#remote.infer(asked, rows, deadline);
      this.#statistics.answered(performance.now() - began);
      return answers;
    } catch (error) {
      if (!(error instanceof NotAnswered)) throw error;
      this.#statistics.failed(error.message);
      return error;
    }
  }
}
