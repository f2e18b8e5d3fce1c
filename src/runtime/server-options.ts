/** What a split's client is told of its server: where it is, and how it is asked. */
import { MODEL_OPTIONS, type ModelSource, notLoaded } from './session.ts';
import { told, unknownIn } from './values.ts';

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

/** The longest that `setTimeout` takes. */
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;

/** `options` with what holds where they say nothing. Throws a TypeError or RangeError that names the option. */
export function checkedOptions(options: ServerOptions): Required<Omit<ServerOptions, 'server'>> {
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
  return { headers, timeoutMs, retries, restMs, maxInFlight, maxBatch, offline, fetch: send };
}

/** What `new Headers` takes, as an object. Throws a TypeError where it is something else; a value is in no message: it may be a secret. */
export function recordOf(headers: unknown): Record<string, string> {
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

/** The server's URL without `/v2` and what follows, and its query. */
export function serverPlace(server: string | URL, served: string): [base: string, search: string] {
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
