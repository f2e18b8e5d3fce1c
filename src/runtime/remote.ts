/** A server that speaks the Open Inference Protocol, asked with patience: time-outs, repetitions, and nothing that hangs. */
import { MODEL_OPTIONS, type ModelSource, notLoaded } from './session.ts';
import type { SplitStatistics } from './split-statistics.ts';
import { told, unknownIn } from './values.ts';
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

/** An object of texts, a `Headers`, a Map, or a list of pairs. */
export type ServerHeaders = Readonly<Record<string, string>> | Iterable<readonly [string, string]>;

/** Where the rest of the model is served, and how it is asked. */
export interface ServerOptions {
  /** The server, or the model on it: `https://…/v2/models/…`. */
  readonly server: string | URL;
  /** Sent with every request, e.g. `authorization`; a function is called before each. */
  readonly headers?: ServerHeaders | (() => ServerHeaders | Promise<ServerHeaders>);
  /** Milliseconds that asking may take a call, repetitions included; 2,000 by default. */
  readonly timeoutMs?: number;
  /** How often a request is repeated that was not answered; 2 by default. */
  readonly retries?: number;
  /**
   * Milliseconds that a server is left alone which answered nothing three times in a row, 5,000 by default: samples are answered here at once, until one
   * call finds it again. 0: it is always asked.
   */
  readonly restMs?: number;
  /** Requests that may be open at a time, 8 by default; beyond that samples are answered here. */
  readonly maxInFlight?: number;
  /** Samples a request, 32 by default; those of a larger call are asked for in several. */
  readonly maxBatch?: number;
  /** What becomes of a sample that the server does not answer: answered here (the default), or `classify` rejects with `NotAnswered`. */
  readonly offline?: 'answer' | 'throw';
  /** In place of the global `fetch`. */
  readonly fetch?: typeof fetch;
}

const SERVER_OPTIONS = [
  'server',
  'headers',
  'timeoutMs',
  'retries',
  'restMs',
  'maxInFlight',
  'maxBatch',
  'offline',
  'fetch',
] as const satisfies readonly (keyof ServerOptions)[];

/** What `load` is given: options of the server, and where the model comes from. Throws a TypeError where it is no object. */
export function serverAndModel(
  source: ModelSource & ServerOptions,
  owner: string,
): [server: ServerOptions, model: ModelSource] {
  if (typeof source !== 'object' || source === null)
    throw notLoaded(
      'bad-call',
      `${owner}.load takes { server }, the URL of the server that has the rest of the model, not ${told(source)}`,
    );
  const problem = unknownIn(source, [...SERVER_OPTIONS, ...MODEL_OPTIONS]);
  if (problem !== undefined) throw notLoaded('bad-call', `${owner}.load: ${problem}`);
  const isServers = ([name]: [string, unknown]) => (SERVER_OPTIONS as readonly string[]).includes(name);
  const given = Object.entries(source);
  return [
    Object.fromEntries(given.filter(isServers)) as unknown as ServerOptions,
    Object.fromEntries(given.filter((one) => !isServers(one))),
  ];
}

/** Bytes of an error's body that are read. */
const MOST_OF_ERROR = 4096;
/** Pauses between repetitions are drawn between nothing and this, which doubles each time. */
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1000;
/** The longest that `setTimeout` takes. */
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;
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
  readonly options: Required<Omit<ServerOptions, 'server'>>;
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
    const {
      headers = {},
      timeoutMs = 2000,
      retries = 2,
      restMs = 5000,
      maxInFlight = 8,
      maxBatch = 32,
      offline = 'answer',
    } = options;
    if (typeof headers !== 'function') recordOf(headers);
    if (options.fetch !== undefined && typeof options.fetch !== 'function')
      throw new TypeError(`fetch: a function expected, got ${told(options.fetch)}`);
    // Called as a function of its own: browsers' fetch wants no other `this`.
    const send: typeof fetch = options.fetch ?? ((url, init) => fetch(url, init));
    // Not by comparing alone: texts, true and null are numbers to that.
    if (!(Number.isFinite(timeoutMs) && timeoutMs > 0 && timeoutMs <= LONGEST_TIMEOUT_MS))
      throw new RangeError(
        `timeoutMs: milliseconds up to ${LONGEST_TIMEOUT_MS} expected, got ${told(timeoutMs)}`,
      );
    if (!(Number.isFinite(restMs) && restMs >= 0))
      throw new RangeError(`restMs: milliseconds from 0 up expected, got ${told(restMs)}`);
    const counts = { retries: [retries, 0], maxInFlight: [maxInFlight, 1], maxBatch: [maxBatch, 1] } as const;
    for (const [name, [value, least]] of Object.entries(counts))
      if (!Number.isInteger(value) || value < least)
        throw new RangeError(`${name}: a whole number from ${least} up expected, got ${value}`);
    if (offline !== 'answer' && offline !== 'throw')
      throw new RangeError(`offline: 'answer' or 'throw' expected, got '${offline}'`);
    this.options = { headers, timeoutMs, retries, restMs, maxInFlight, maxBatch, offline, fetch: send };
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

/** What `new Headers` takes, as an object. Throws a TypeError where it is something else; a value is in no message: it may be a secret. */
function recordOf(headers: unknown): Record<string, string> {
  if (typeof headers !== 'object' || headers === null)
    throw new TypeError(`headers: an object of texts expected, got ${typeof headers}`);
  const isList = typeof (headers as Iterable<unknown>)[Symbol.iterator] === 'function';
  const pairs = isList ? Array.from(headers as Iterable<unknown>) : Object.entries(headers);
  for (const pair of pairs) {
    const isPair = Array.isArray(pair) && pair.length === 2 && typeof pair[0] === 'string';
    if (!isPair) throw new TypeError('headers: an object of texts, or pairs of them, expected');
    if (typeof pair[1] !== 'string')
      throw new TypeError(`headers: a text expected for "${pair[0]}", got ${typeof pair[1]}`);
  }
  return Object.fromEntries(pairs as [string, string][]);
}

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

/** The server's URL without `/v2` and what follows, and its query. */
function serverPlace(server: string | URL, served: string): [base: string, search: string] {
  const page = (globalThis as { location?: { readonly href: string } }).location?.href;
  let url: URL;
  try {
    // Anything else would be a path below the page.
    if (typeof server !== 'string' && !('href' in server)) throw new TypeError();
    url = new URL(server, page);
  } catch {
    throw new TypeError(
      `server: the URL of the server that has the rest of the model expected, got ${server}`,
    );
  }
  if (!/^https?:$/.test(url.protocol))
    throw new RangeError(
      `server: a URL of http or https expected, such as https://example.org, got one of ${url.protocol}`,
    );
  if (url.username || url.password)
    throw new RangeError(
      'server: a URL without a user and a password expected; headers.authorization says them',
    );
  const [, before, model] = url.pathname.match(/^(.*?)(?:\/v2(?:\/models(?:\/([^/]+))?)?)?\/*$/)!;
  const isOurs = model === undefined || model === served || isServed(model, served);
  if (!isOurs) throw new RangeError(`server: the rest of this model is "${served}", not "${model}"`);
  return [`${url.origin}${before}`, url.search];
}

/** Whether `model` is `served` with a hash behind it. */
const isServed = (model: string, served: string): boolean =>
  model.startsWith(`${served}_`) && /^[0-9a-f]{12}$/.test(model.slice(served.length + 1));
