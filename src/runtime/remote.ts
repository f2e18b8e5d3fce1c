/** A server that speaks the Open Inference Protocol, asked with patience: time-outs, repetitions, and nothing that hangs. */
import { checkedOptions, recordOf, type ServerOptions, serverPlace } from './server-options.ts';
import type { SplitStatistics } from './split-statistics.ts';
import { told } from './values.ts';
import {
  decodeAnswer,
  encodeRequest,
  inOneBuffer,
  JSON_LENGTH,
  mostBytes,
  NotAnswered,
  NotAsked,
  type RowAnswer,
  type SentRows,
  type WireQuestion,
} from './wire.ts';

/** Bytes of an error's body that are read. */
const MOST_OF_ERROR = 4096;
/** Pauses between repetitions are drawn between nothing and this, which doubles each time. */
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1000;
/** Others may have it too soon, too late or not at all. */
const BUSY_STATUSES = [429, 502, 503, 504];

type FetchResponse = Awaited<ReturnType<typeof fetch>>;

/** What `promise` gives, or a rejection with the signal's reason once that aborts: what is waited for may not know of the signal. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
    if (signal.aborted) stop();
  });
}

/** Aborts with a `NotAnswered` after `timeoutMs`. */
export class AskDeadline {
  readonly #controller = new AbortController();
  readonly #timer: ReturnType<typeof setTimeout>;
  readonly #end: number;

  constructor(timeoutMs: number) {
    this.#end = performance.now() + timeoutMs;
    const problem = `the server has not answered within ${timeoutMs} ms`;
    this.#timer = setTimeout(
      () => this.stop(new NotAnswered('client, server unreachable', problem)),
      timeoutMs,
    );
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Milliseconds. */
  get left(): number {
    return this.#end - performance.now();
  }

  /** Nobody waits any more. Harmless where all is done. */
  stop(reason?: unknown): void {
    clearTimeout(this.#timer);
    this.#controller.abort(reason);
  }
}

/** The server. Its options are checked here, nothing is sent. */
export class RemoteServer {
  readonly options: ReturnType<typeof checkedOptions>;
  readonly #base: string;
  readonly #search: string;
  readonly #statistics: Pick<SplitStatistics<string>, 'sent' | 'received'>;
  /** Whether the server takes binary tensors; undefined until it has said so. */
  #isBinary: Promise<boolean> | undefined;

  /** `served` is what names of its models begin with. Throws a TypeError or RangeError that names the option. */
  constructor(
    options: ServerOptions,
    served: string,
    statistics: Pick<SplitStatistics<string>, 'sent' | 'received'>,
  ) {
    [this.#base, this.#search] = serverPlace(options.server, served);
    this.#statistics = statistics;
    this.options = checkedOptions(options);
  }

  /** The answer to `asked`, by `deadline`. Rejects with `NotAnswered`, or with the reason that the deadline was stopped for. */
  async infer(asked: WireQuestion, rows: readonly SentRows[], deadline: AskDeadline): Promise<RowAnswer[]> {
    for (let attempt = 0; ; attempt++) {
      try {
        return await unlessAborted(this.#attempt(asked, rows, deadline.signal), deadline.signal);
      } catch (error) {
        const againMs = error instanceof NotAnswered ? error.againMs : undefined;
        const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** attempt) * Math.random();
        const isLast = againMs === undefined || attempt >= this.options.retries;
        if (isLast || againMs + pause >= deadline.left) {
          // The server that comes back may be another.
          this.#isBinary = undefined;
          throw error;
        }
        await sleep(againMs + pause, deadline.signal);
      }
    }
  }

  async #attempt(asked: WireQuestion, rows: readonly SentRows[], signal: AbortSignal): Promise<RowAnswer[]> {
    this.#isBinary ??= this.#askExtensions();
    const request = encodeRequest(asked, rows, await this.#isBinary);
    const path = `/v2/models/${encodeURIComponent(asked.served)}/infer`;
    const response = await this.#fetch(path, { method: 'POST', body: request.body }, request.headers, signal);
    this.#statistics.sent(request.body.byteLength);
    if (!response.ok) throw await this.#refusal(response, asked.served);
    return decodeAnswer(
      asked,
      await this.#bodyOf(response, mostBytes(asked)),
      response.headers.get(JSON_LENGTH),
    );
  }

  /** Whether the server says that it takes binary tensors. Not by any call's deadline: other calls wait for it too. */
  async #askExtensions(): Promise<boolean> {
    const deadline = new AskDeadline(this.options.timeoutMs);
    try {
      return await unlessAborted(this.#extensionsBy(deadline.signal), deadline.signal);
    } catch (error) {
      this.#isBinary = undefined;
      throw error;
    } finally {
      deadline.stop();
    }
  }

  async #extensionsBy(signal: AbortSignal): Promise<boolean> {
    const response = await this.#fetch('/v2', { method: 'GET' }, {}, signal);
    if (isElsewhere(response) || [401, 403, ...BUSY_STATUSES].includes(response.status))
      throw await this.#refusal(response);
    const text = new TextDecoder().decode(await this.#bodyOf(response, mostBytes({ rows: 0, each: 0 })));
    try {
      return (JSON.parse(text) as { extensions: string[] }).extensions.includes('binary_tensor_data');
    } catch {
      // Servers need not have this page; JSON all have to know.
      return false;
    }
  }

  /** Rejects with a `NotAnswered` where nothing came back. */
  async #fetch(
    path: string,
    init: { readonly method: string; readonly body?: ArrayBuffer },
    own: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<FetchResponse> {
    const { fetch: send } = this.options;
    const headers = { ...(await this.#callersHeaders(own)), ...own };
    let response: FetchResponse | null | undefined;
    try {
      // Headers of the caller are for this server alone.
      const options = { ...init, headers, signal, redirect: 'manual' } as const;
      response = await send(`${this.#base}${path}${this.#search}`, options);
    } catch (error) {
      throw unreachable(error);
    }
    if (typeof response?.status === 'number' && typeof response.headers?.get === 'function') return response;
    throw new NotAnswered('client, server refused', `fetch gives no response, but ${told(response)}`);
  }

  /** Those of the caller that are not in `own`. A value is in no message: it may be a secret. */
  async #callersHeaders(own: Readonly<Record<string, string>>): Promise<Record<string, string>> {
    const { headers } = this.options;
    let given: Readonly<Record<string, string>>;
    try {
      given = recordOf(typeof headers === 'function' ? await headers() : headers);
    } catch (error) {
      const why = (error as Error | null)?.message;
      throw new NotAsked(`headers: ${why?.replace(/^headers: /, '')}`);
    }
    const taken = Object.keys(own).map((name) => name.toLowerCase());
    const others = Object.entries(given).filter(([name]) => !taken.includes(name.toLowerCase()));
    for (const [name, value] of others)
      if (!/^[!#$%&'*+.^_`|~\w-]+$/.test(name) || !/^[\t\x20-\x7e\x80-\xff]*$/.test(value))
        throw new NotAnswered('client, server refused', `headers: "${name}" has what no header may have`);
    return Object.fromEntries(others);
  }

  async #bodyOf(response: FetchResponse, most: number): Promise<Uint8Array> {
    const pieces: Uint8Array[] = [];
    let length = 0;
    const reader = response.body?.getReader();
    try {
      for (let next = await reader?.read(); next?.value; next = await reader?.read()) {
        length += next.value.length;
        this.#statistics.received(next.value.length);
        pieces.push(next.value);
        if (length <= most) continue;
        reader?.cancel().catch(() => {});
        throw new NotAnswered('client, server refused', `the server's answer has more than ${most} bytes`);
      }
    } catch (error) {
      throw error instanceof NotAnswered ? error : unreachable(error);
    }
    return new Uint8Array(inOneBuffer(pieces));
  }

  /** What an answer that is none says, in words. */
  async #refusal(response: FetchResponse, served?: string): Promise<NotAnswered> {
    const { status } = response;
    if (isElsewhere(response)) {
      response.body?.cancel().catch(() => {});
      return new NotAnswered(
        'client, server refused',
        'the server sends elsewhere: give the URL that it sends to',
      );
    }
    const body = await this.#bodyOf(response, MOST_OF_ERROR).catch(() => new Uint8Array());
    const said = saidIn(new TextDecoder().decode(body));
    if (BUSY_STATUSES.includes(status)) {
      const seconds = secondsIn(response.headers.get('Retry-After'));
      return new NotAnswered(
        'client, server unreachable',
        `the server answers ${status}${said}`,
        1000 * Math.max(0, seconds || 0),
      );
    }
    const skew =
      status === 404 && served !== undefined
        ? `: it has no model "${served}"; client and server are of different splits (install the client again), or the URL is another server's`
        : '';
    return new NotAnswered('client, server refused', `the server answers ${status}${skew}${said}`);
  }
}

/** Of a Retry-After: a number, or a date. */
const secondsIn = (after: string | null): number =>
  after === null || /^\s*\d+\s*$/.test(after) ? Number(after) : (Date.parse(after) - Date.now()) / 1000;

const isElsewhere = ({ status, type }: FetchResponse): boolean =>
  type === 'opaqueredirect' || (status >= 300 && status < 400);

/** The server's own words, one line of them. */
function saidIn(body: string): string {
  let said: unknown = body;
  try {
    said = (JSON.parse(body) as { error: unknown }).error;
  } catch {}
  // A page for people says nothing.
  if (typeof said !== 'string' || said.trim() === '' || said.trimStart().startsWith('<')) return '';
  return ` (${said.replace(/\s+/g, ' ').trim().slice(0, 200)})`;
}

/** Node says in `cause` what browsers do not say at all. */
function unreachable(error: unknown): NotAnswered {
  const { message, cause } = (error ?? {}) as {
    message?: string;
    cause?: { message?: string; code?: string };
  };
  const told = (cause?.message || cause?.code || message || String(error)).replace(/\s+/g, ' ').trim();
  const why = /wrong version number/.test(told) ? 'it speaks http, not https' : told;
  const hint = /^(Failed to fetch|Load failed|NetworkError)/.test(why)
    ? ', which is all that browsers say, also where the server does not allow this page (CORS)'
    : '';
  return new NotAnswered('client, server unreachable', `the server cannot be reached: ${why}${hint}`, 0);
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  let timer: ReturnType<typeof setTimeout>;
  const slept = new Promise<void>((wake) => {
    timer = setTimeout(wake, ms);
  });
  return unlessAborted(slept, signal).finally(() => clearTimeout(timer));
}
