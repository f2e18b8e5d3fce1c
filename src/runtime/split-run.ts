/** A model whose rest is on a server: answered here, or asked there. */
import type * as Ort from 'onnxruntime-common';
import { type AskSeat, AskTogether } from './ask-together.ts';
import { type RemoteServer, unlessAborted } from './remote.ts';
import { chosen } from './sent.ts';
import type { Turns } from './session.ts';
import type { SplitStatistics } from './split-statistics.ts';
import { dataOf, fromFloat16, type Runtime } from './tensors.ts';
import { told } from './values.ts';
import { type AnsweredWhere, NotAnswered, type SentRows } from './wire.ts';

/** What a split model is made of. K exits, numbered over both parts. */
export interface SplitFacts {
  /** Name of the class, for errors. */
  readonly owner: string;
  /** Exits here. */
  readonly cut: number;
  /** K. */
  readonly full: number;
  readonly batch: 'dynamic' | 'fixed';
  /** Scores of a sample. */
  readonly each: number;
  readonly scoresType: 'float32' | 'float16';
  readonly outputs: readonly [scores: string, exitIndex: string, exitConfidence: string];
  /** The input that takes thresholds. */
  readonly thresholds: string;
  /** What the model here makes for the rest: its outputs, and the inputs there that they become. */
  readonly passed: readonly {
    readonly output: string;
    readonly name: string;
    readonly type: Ort.Tensor.Type;
  }[];
}

/** One call. */
export interface SplitCall {
  readonly served: string;
  /** The call's own inputs that travel, of all its samples. */
  readonly sent: readonly SentRows[];
  /** [K] */
  readonly thresholds: Float32Array;
  readonly signal: AbortSignal | undefined;
}

/** N samples answered. */
export interface SplitAnswers {
  /** [N, scores of a sample] */
  readonly scores: Float32Array;
  /** [N] */
  readonly exitIndex: readonly number[];
  /** [N] */
  readonly confidence: readonly number[];
  /** [N] */
  readonly where: readonly AnsweredWhere[];
  /** [K]: what samples were run with that are answered here in the server's stead. */
  readonly steadThresholds: Float32Array;
}

/** What the model here says: exit `full` of samples that the rest would take. */
interface FrontAnswers {
  readonly outputs: Ort.InferenceSession.ReturnType;
  readonly scores: Float32Array;
  readonly exitIndex: readonly number[];
  readonly confidence: readonly number[];
}

/** The two parts as one. Calls may overlap. */
export class SplitRun {
  readonly #ort: Runtime;
  readonly #turns: Turns;
  readonly #facts: SplitFacts;
  readonly #remote: RemoteServer;
  readonly #together: AskTogether;
  readonly #statistics: Pick<SplitStatistics<string>, 'ranHere' | 'answered' | 'failed' | 'rejected'>;
  readonly #open = new Set<Promise<SplitAnswers>>();
  #released: Promise<void> | undefined;

  constructor(
    ort: Runtime,
    turns: Turns,
    facts: SplitFacts,
    remote: RemoteServer,
    statistics: Pick<SplitStatistics<string>, 'ranHere' | 'answered' | 'failed' | 'rejected'>,
  ) {
    this.#ort = ort;
    this.#turns = turns;
    this.#facts = facts;
    this.#remote = remote;
    this.#statistics = statistics;
    const { outputs, scoresType, each, cut, full, batch } = facts;
    const asked = { outputs, scoresType, each, exits: [cut, full] } as const;
    this.#together = new AskTogether(remote, asked, statistics, batch);
  }

  /** Throws an Error once released. */
  check(): void {
    if (this.#released) throw new Error(`this ${this.#facts.owner} has been released`);
  }

  /** Frees the session when the calls made before are done. */
  release(): Promise<void> {
    this.#released ??= Promise.allSettled(this.#open).then(() => this.#turns.release());
    return this.#released;
  }

  /** `feeds` are those of the model here. Rejects with the signal's reason, and with `NotAnswered` where the caller wants that. */
  async run(feeds: Ort.InferenceSession.FeedsType, call: SplitCall): Promise<SplitAnswers> {
    const seat = this.#together.join(call.served);
    const running = this.#run(feeds, call, seat).finally(() => seat.leave());
    this.#open.add(running);
    try {
      return await running;
    } finally {
      this.#open.delete(running);
    }
  }

  async #run(feeds: Ort.InferenceSession.FeedsType, call: SplitCall, seat: AskSeat): Promise<SplitAnswers> {
    const { thresholds, signal } = call;
    const { full, each } = this.#facts;
    if (signal !== undefined && typeof signal?.throwIfAborted !== 'function')
      throw new TypeError(`signal: an AbortSignal expected, got ${told(signal)}`);
    signal?.throwIfAborted();
    const front = await this.#runHere(feeds, signal);
    const where = front.exitIndex.map((): AnsweredWhere => 'client');
    const inPlay = [...front.exitIndex.keys()].filter((n) => front.exitIndex[n] === full);
    if (inPlay.length === 0) return { ...front, where, steadThresholds: thresholds };
    const outcomes = await seat.ask(this.#rowsOf(front, call, inPlay), inPlay.length, signal);
    const failure = outcomes.find((outcome) => outcome instanceof NotAnswered);
    if (failure && this.#remote.options.offline === 'throw') {
      this.#statistics.rejected(where.length, inPlay.length);
      throw failure;
    }
    const stead = failure && (await this.#inStead(front, feeds, call));
    const scores = front.scores.slice();
    const exitIndex = [...front.exitIndex];
    const confidence = [...front.confidence];
    for (const [i, n] of inPlay.entries()) {
      const outcome = outcomes[i]!;
      const isAnswer = !(outcome instanceof NotAnswered);
      where[n] = isAnswer ? 'server' : outcome.where;
      exitIndex[n] = isAnswer ? outcome.exit : stead!.exit;
      confidence[n] = isAnswer ? outcome.confidence : stead!.confidence[n]!;
      scores.set(isAnswer ? outcome.scores : stead!.scores.subarray(n * each, (n + 1) * each), n * each);
    }
    return { scores, exitIndex, confidence, where, steadThresholds: stead?.thresholds ?? thresholds };
  }

  async #runHere(
    feeds: Ort.InferenceSession.FeedsType,
    signal: AbortSignal | undefined,
  ): Promise<FrontAnswers> {
    const { outputs: names, passed, scoresType } = this.#facts;
    const [scores, exitIndex, confidence] = names;
    const began = performance.now();
    const fetched = [...names, ...passed.map(({ output }) => output)];
    const outputs = await unlessAborted(this.#turns.run(feeds, fetched), signal);
    this.#statistics.ranHere(performance.now() - began);
    return {
      outputs,
      scores:
        scoresType === 'float16'
          ? fromFloat16(dataOf(outputs, scores, 'float16'))
          : dataOf(outputs, scores, 'float32'),
      exitIndex: Array.from(dataOf(outputs, exitIndex, 'int64'), Number),
      confidence: Array.from(dataOf(outputs, confidence, 'float32')),
    };
  }

  /** What travels of the samples `inPlay`. */
  #rowsOf({ outputs }: FrontAnswers, { sent }: SplitCall, inPlay: readonly number[]): SentRows[] {
    const passed = this.#facts.passed.map(({ output, name, type }) => {
      const data = dataOf(outputs, output, type);
      const [count, ...dims] = outputs[output]!.dims;
      const rows = { name, type, dims, data };
      // Features are those of samples in play, the policy's state is that of all.
      return count === inPlay.length ? rows : chosen(rows, inPlay);
    });
    return [...sent.map((rows) => chosen(rows, inPlay)), ...passed];
  }

  /** Answers of the last exit here that is open; where none is, of the last, which is opened for that. */
  async #inStead(
    front: FrontAnswers,
    feeds: Ort.InferenceSession.FeedsType,
    { thresholds, signal }: SplitCall,
  ): Promise<FrontAnswers & { readonly exit: number; readonly thresholds: Float32Array }> {
    const { cut, full } = this.#facts;
    for (let exit = cut - 1; exit >= 0; exit--)
      if (thresholds[exit]! < 1) return { ...front, exit, thresholds };
    const opened = new Float32Array(full).fill(1);
    // Every confidence is greater.
    opened[cut - 1] = Number.NEGATIVE_INFINITY;
    const tensor = new this.#ort.Tensor('float32', opened, [full]);
    const answers = await this.#runHere({ ...feeds, [this.#facts.thresholds]: tensor }, signal);
    return { ...answers, exit: cut - 1, thresholds: opened };
  }
}

/**
 * Name of the served model for a call: of the operating point `at`, or, where the call has `thresholds` of its own, one with the same behind the
 * first `cut` exits, which the server's are built with. Throws a RangeError where there is none.
 */
export function servedFor<Name extends string>(
  points: Readonly<Record<Name, { readonly thresholds: readonly number[] }>>,
  models: Readonly<Record<Name, string>>,
  cut: number,
  at: Name | undefined,
  thresholds: Float32Array,
): string {
  if (at !== undefined) return models[at];
  const names = Object.keys(models) as Name[];
  const behind = (all: readonly number[]) => all.slice(cut).map((value) => Math.min(Math.fround(value), 1));
  const wanted = behind([...thresholds]).join(', ');
  const found = names.find((name) => behind(points[name].thresholds).join(', ') === wanted);
  if (found !== undefined) return models[found];
  const known = names.map((name) => `[${points[name].thresholds.slice(cut).join(', ')}] ("${name}")`);
  throw new RangeError(
    `thresholds: those behind the first ${cut} are built into the served models: ${known.join(', ')}; got [${Array.from(thresholds).slice(cut).join(', ')}]`,
  );
}
