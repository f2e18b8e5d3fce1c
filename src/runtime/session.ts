/** Opening, running and freeing a session. */
import type * as Ort from 'onnxruntime-common';
import type { Runtime } from './tensors.ts';
import { told, unknownIn } from './values.ts';

/** Where the model comes from, `model.onnx` of this package unless given, and how its session is opened. */
export type ModelSource = (
  | { readonly path?: never; readonly url?: never; readonly bytes?: never }
  | { readonly path: string; readonly url?: never; readonly bytes?: never }
  | { readonly path?: never; readonly url: string | URL; readonly bytes?: never }
  | { readonly path?: never; readonly url?: never; readonly bytes: Uint8Array | ArrayBufferLike }
) & {
  /** Laid over the `sessionOptions` of this module. */
  readonly sessionOptions?: Ort.InferenceSession.SessionOptions;
};

/** What a session is opened with, and how one knows that it is the right one. */
export interface ModelFacts {
  /** Name of the class, for errors. */
  readonly owner: string;
  readonly sessionOptions: Ort.InferenceSession.SessionOptions;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** The package's own model file. */
  readonly file: () => URL;
  /** Its external data: what the model calls a file, and where it is. */
  readonly data?: () => Readonly<Record<string, URL>>;
}

/** Names in a `ModelSource`. */
export const MODEL_OPTIONS = ['path', 'url', 'bytes', 'sessionOptions'] as const;

/** Why a model does not load, the `code` of the Error. */
export type LoadCode = 'bad-call' | 'model-missing' | 'not-a-model' | 'other-model';

export const notLoaded = (code: LoadCode, message: string, cause?: unknown) =>
  Object.assign(code === 'bad-call' ? new TypeError(message) : new Error(message, { cause }), { code });

/**
 * Throws an Error with a `LoadCode` when there is no model to be had, when the file is no model, or when it lacks inputs or outputs that it should
 * have; a TypeError when it is called with something else.
 */
export async function openSession(
  ort: Runtime,
  source: ModelSource,
  { owner, sessionOptions, inputs, outputs, file, data }: ModelFacts,
): Promise<Ort.InferenceSession> {
  if (typeof ort?.InferenceSession?.create !== 'function')
    throw notLoaded(
      'bad-call',
      `${owner}.load takes the module of ONNX Runtime, onnxruntime-node or onnxruntime-web: load(ort)`,
    );
  if (typeof source !== 'object' || source === null)
    throw notLoaded(
      'bad-call',
      `${owner}.load takes { url }, { path } or { bytes } as the model, not ${source}`,
    );
  const problem = unknownIn(source, [...MODEL_OPTIONS]);
  if (problem !== undefined) throw notLoaded('bad-call', `${owner}.load: ${problem}`);
  const places = (['path', 'url', 'bytes'] as const).filter((name) => source[name] !== undefined);
  if (places.length > 1)
    throw notLoaded(
      'bad-call',
      `${owner}.load takes the model from one place, not from ${places.join(' and ')}`,
    );
  if (places[0] === 'path' && (typeof source.path !== 'string' || source.path === ''))
    throw notLoaded('bad-call', `${owner}.load: path: the name of a file expected, got ${told(source.path)}`);
  const given =
    source.bytes ?? source.path ?? (source.url === undefined ? undefined : await modelAt(source.url));
  const own = given === undefined ? ownFile(file, owner) : undefined;
  const model = given ?? (await modelAt(own!).catch(explained));
  const isRemote = own !== undefined && own.protocol !== 'file:';
  const options = {
    ...sessionOptions,
    ...(isRemote && data && { externalData: externalData(data()) }),
    ...source.sessionOptions,
  };
  const bytes = typeof model === 'string' ? undefined : bytesOf(model);
  const opening =
    typeof model === 'string'
      ? ort.InferenceSession.create(model, options)
      : ort.InferenceSession.create(bytes!, options);
  const session = await opening.catch((error: Error) => {
    const place = typeof model === 'string' ? model : source.url ? `${source.url}` : own?.href;
    if (typeof model === 'string' && /exist|ENOENT/.test(error.message) && firstBytes(model) === undefined) {
      const absent = notLoaded('model-missing', `there is no file ${model}`, error);
      throw own ? explained(absent) : absent;
    }
    throw notAModel(owner, place, bytes ?? firstBytes(model as string), error);
  });
  const missing = [
    ...inputs.filter((name) => !session.inputNames.includes(name)),
    ...outputs.filter((name) => !session.outputNames.includes(name)),
  ];
  if (missing.length === 0) return session;
  await session.release();
  throw notLoaded('other-model', `this is not the model of ${owner}: it has no ${missing.join(', ')}`);
}

/** What Git has in place of a large file that was not fetched. */
const LFS_POINTER = 'version https://git-lfs';
const UNPARSED = /protobuf parsing failed/i;

/** `start`: the first bytes of the file, or all of them, where they are known. What else is wrong ONNX Runtime says: then `error` itself. */
function notAModel(
  owner: string,
  place: string | undefined,
  start: Uint8Array | 'folder' | undefined,
  error: Error,
): Error {
  const isFolder = start === 'folder';
  const text =
    isFolder || start === undefined
      ? undefined
      : new TextDecoder('latin1').decode(start.subarray(0, LFS_POINTER.length));
  const problem = isFolder
    ? 'it is a folder: name the file in it'
    : text === ''
      ? 'it is empty'
      : text === LFS_POINTER
        ? 'it is a Git LFS pointer in place of the model, which `git lfs pull` fetches'
        : UNPARSED.test(error.message)
          ? 'it is no ONNX model, or not all of one: copy model.onnx from the package again'
          : undefined;
  if (problem === undefined) return error;
  return notLoaded(
    'not-a-model',
    `the model of ${owner}${place ? `, ${place},` : ''} does not load: ${problem}`,
    error,
  );
}

/** The first bytes of the file at `path`, none of an empty one, or that it is a folder; undefined where that cannot be told, as in a browser. */
function firstBytes(path: string): Uint8Array | 'folder' | undefined {
  interface Files {
    openSync(path: string): number;
    readSync(file: number, to: Uint8Array): number;
    closeSync(file: number): void;
  }
  const { process } = globalThis as { process?: { getBuiltinModule?(name: string): unknown } };
  // Not an import: bundlers for the browser stop at one.
  const files = process?.getBuiltinModule?.('node:fs') as Files | undefined;
  try {
    const file = files?.openSync(path);
    if (file === undefined) return undefined;
    try {
      const start = new Uint8Array(LFS_POINTER.length);
      return start.subarray(0, files!.readSync(file, start));
    } finally {
      files!.closeSync(file);
    }
  } catch (error) {
    return (error as { code?: string }).code === 'EISDIR' ? 'folder' : undefined;
  }
}

/** What onnxruntime reads: bytes, copied where other threads share them. */
function bytesOf(model: Uint8Array | ArrayBufferLike): Uint8Array {
  const bytes = ArrayBuffer.isView(model) ? model : new Uint8Array(model);
  return Object.prototype.toString.call(bytes.buffer) === '[object SharedArrayBuffer]'
    ? bytes.slice()
    : bytes;
}

const SAY_WHERE = 'say where it is: load(ort, { url }), { path } or { bytes }';

/** Where the package's own model is, as far as a bundler has left that known. */
function ownFile(file: () => URL, owner: string): URL {
  try {
    return file();
  } catch (cause) {
    throw notLoaded(
      'model-missing',
      `${owner} does not know where its model.onnx is: import.meta.url says no place, as in bundles that are not ES modules; ${SAY_WHERE}`,
      cause,
    );
  }
}

/** Bundlers that do not know `new URL(…, import.meta.url)` take the code and leave the model behind. */
function explained(cause: Error): never {
  throw notLoaded(
    'model-missing',
    `${cause.message}. Where a bundler has left model.onnx behind, have it put the file there, or ${SAY_WHERE}`,
    cause,
  );
}

/** Only onnxruntime-node finds external data by itself. */
function externalData(files: Readonly<Record<string, URL>>): { path: string; data: string }[] {
  return Object.entries(files).map(([path, url]) => ({ path, data: url.href }));
}

/** What onnxruntime takes: the path of a file, where there are files, or a URL. */
export function pathOrUrl(url: URL): string {
  if (url.protocol !== 'file:') return url.href;
  // Not node:url's fileURLToPath: bundlers for the browser stop at an import of node:url.
  const path = decodeURIComponent(url.pathname);
  if (url.hostname) return `//${url.hostname}${path}`;
  return /^\/[A-Za-z]:\//.test(path) ? path.slice(1) : path;
}

/** The path of a file, or the bytes of what is elsewhere. */
async function modelAt(url: string | URL): Promise<ArrayBuffer | string> {
  if (String(url).startsWith('file:')) return pathOrUrl(new URL(url));
  const response = await fetch(url).catch((cause: Error) => {
    throw notLoaded('model-missing', `could not fetch ${url}: ${cause.message}`, cause);
  });
  if (!response.ok)
    throw notLoaded('model-missing', `could not fetch ${url}: ${response.status} ${response.statusText}`);
  const bytes = await response.arrayBuffer();
  // Many servers answer with their start page, and 200, where there is no such file. No ONNX file begins so.
  if (/^\s*</.test(new TextDecoder().decode(bytes.slice(0, 64))))
    throw notLoaded('model-missing', `there is no model at ${url}: a page (HTML) comes from there`);
  return bytes;
}

/** A session whose runs follow one another, in the order they were asked for: not every backend allows two at a time. */
export class Turns {
  readonly #session: Ort.InferenceSession;
  readonly #owner: string;
  /** Lets the next go ahead, one of each that waits. */
  readonly #waiting: (() => void)[] = [];
  #isBusy = false;
  #released: Promise<void> | undefined;

  /** `owner` is who an error says has been released. */
  constructor(session: Ort.InferenceSession, owner: string) {
    this.#session = session;
    this.#owner = owner;
  }

  /** Throws an Error once released. */
  check(): void {
    if (this.#released) throw new Error(`this ${this.#owner} has been released`);
  }

  run(
    feeds: Ort.InferenceSession.FeedsType,
    fetches: readonly string[],
  ): Promise<Ort.InferenceSession.ReturnType> {
    return this.#inTurn(() => this.#session.run(feeds, fetches));
  }

  /** Frees the session when the runs asked for before are done. */
  release(): Promise<void> {
    this.#released ??= this.#inTurn(() => this.#session.release());
    return this.#released;
  }

  async #inTurn<T>(act: () => Promise<T>): Promise<T> {
    if (this.#isBusy) await new Promise<void>((go) => this.#waiting.push(go));
    this.#isBusy = true;
    try {
      return await act();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#isBusy = false;
    }
  }
}
