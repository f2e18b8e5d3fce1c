/**
 * ONNX Runtime on threads of its own. onnxruntime-node's `run` holds up the thread that calls it until it is done; here that is not the
 * event loop, which goes on reading requests, so the next batch grows meanwhile and `/health` is answered.
 */
import { Worker } from 'node:worker_threads';
import * as ort from 'onnxruntime-node';
import type { Datatype, Numbers, Tensor, Tensors } from './tensors.ts';

/** What crosses between threads. */
interface PlainTensor {
  readonly type: ort.Tensor.Type;
  readonly data: unknown;
  readonly dims: readonly number[];
}

type Options = ort.InferenceSession.SessionOptions;

/** Of ONNX Runtime what generated packages use. */
export type Runtime = Pick<typeof ort, 'Tensor'> & {
  readonly InferenceSession: { create(path: string, options?: Options): Promise<Session> };
};

interface Pending {
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
}

/** A thread that runs models, one run after another. */
class SessionThread {
  readonly #worker = new Worker(new URL('./session-worker.js', import.meta.url));
  readonly #pending = new Map<number, Pending>();
  #asked = 0;

  constructor() {
    // A thread that fails ends the process, by its `error` that nobody listens to.
    this.#worker.unref();
    this.#worker.on('message', ({ id, result, problem }) => {
      const { resolve, reject } = this.#pending.get(id)!;
      this.#pending.delete(id);
      if (this.#pending.size === 0) this.#worker.unref();
      if (problem === undefined) resolve(result as never);
      else reject(new Error(problem));
    });
  }

  /** Of what it was asked for, how much it has not answered. */
  get load(): number {
    return this.#pending.size;
  }

  /** What is in `transfer` moves there. */
  ask<T>(message: object, transfer: ArrayBuffer[] = []): Promise<T> {
    const id = this.#asked++;
    // It keeps the process alive only while somebody waits for it.
    this.#worker.ref();
    this.#worker.postMessage({ id, ...message }, transfer);
    return new Promise((resolve, reject) => this.#pending.set(id, { resolve, reject }));
  }

  /** Ends it, once what it was asked for before is done. */
  async close(): Promise<void> {
    await this.ask({ close: true });
    await this.#worker.terminate();
  }
}

export class Sessions {
  /** For `load` of a generated package: its sessions are on the threads, too. */
  readonly runtime: Runtime = {
    Tensor: ort.Tensor,
    InferenceSession: { create: (path, options) => this.open(path, options) },
  };
  readonly #options: Options;
  readonly #threads: readonly SessionThread[];
  readonly #opened = new Map<string, Promise<Session>>();

  /** So many `workers` each have a copy of every session. `options` are laid over those of each session. */
  constructor(workers: number, options: Options = {}) {
    this.#options = options;
    this.#threads = Array.from({ length: workers }, () => new SessionThread());
  }

  /** The session of a file, which is opened once. Rejects when it is no model. */
  open(path: string, options: Options = {}): Promise<Session> {
    let session = this.#opened.get(path);
    if (!session) {
      const asked = { open: path, options: { ...options, ...this.#options } };
      session = Promise.all(this.#threads.map((thread) => thread.ask<SessionFacts>(asked))).then(
        ([facts]) =>
          new Session(facts!, (message, transfer) => this.#idlest().ask({ run: path, ...message }, transfer)),
      );
      this.#opened.set(path, session);
    }
    return session;
  }

  /** Frees all sessions, once the runs asked for before are done. */
  async close(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.close()));
  }

  #idlest(): SessionThread {
    return this.#threads.reduce((best, thread) => (thread.load < best.load ? thread : best));
  }
}

/** An input or output as the file has it: the names of axes that vary instead of their sizes. */
export interface ValueFacts {
  readonly name: string;
  readonly type: ort.Tensor.Type;
  readonly shape: readonly (number | string)[];
}

interface SessionFacts {
  readonly inputs: readonly ValueFacts[];
  readonly outputs: readonly ValueFacts[];
}

type Run = (
  message: { feeds: Record<string, PlainTensor>; fetches: readonly string[] },
  /** Moved rather than copied. */
  transfer?: ArrayBuffer[],
) => Promise<Record<string, PlainTensor>>;

/** As ONNX Runtime's, as far as generated packages use it, and `infer` for tensors with the protocol's names. */
export class Session {
  readonly inputs: readonly ValueFacts[];
  readonly outputs: readonly ValueFacts[];
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  readonly #run: Run;

  constructor({ inputs, outputs }: SessionFacts, run: Run) {
    this.inputs = inputs;
    this.outputs = outputs;
    this.inputNames = inputs.map(({ name }) => name);
    this.outputNames = outputs.map(({ name }) => name);
    this.#run = run;
  }

  async run(feeds: Readonly<Record<string, ort.Tensor>>, fetches: readonly string[] = this.outputNames) {
    const plain = Object.entries(feeds).map(([name, { type, data, dims }]) => [name, { type, data, dims }]);
    const outputs = await this.#run({ feeds: Object.fromEntries(plain), fetches });
    return Object.fromEntries(
      Object.entries(outputs).map(([name, { type, data, dims }]) => [name, new ort.Tensor(type, data as never, dims)]),
    );
  }

  /** The outputs `fetches`. The numbers of `feeds` move to the thread, and cannot be read here any more; those of `constants` stay. */
  async infer(feeds: Tensors, constants: Tensors, fetches: readonly string[]): Promise<Tensors> {
    const plain = [...feeds, ...constants].map(([name, tensor]) => [name, toPlain(tensor)]);
    const moved = Array.from(feeds.values(), ({ data }) => data.buffer as ArrayBuffer);
    const outputs = await this.#run({ feeds: Object.fromEntries(plain), fetches }, moved);
    return new Map(fetches.map((name) => [name, fromPlain(outputs[name]!)]));
  }

  /** Other users of the file may be left: `Sessions.close` frees all. */
  async release(): Promise<void> {}
} // biome-ignore format: one line

const TYPES: Readonly<Record<Datatype, ort.Tensor.Type>> = {
  BOOL: 'bool',
  UINT8: 'uint8',
  UINT16: 'uint16',
  UINT32: 'uint32',
  UINT64: 'uint64',
  INT8: 'int8',
  INT16: 'int16',
  INT32: 'int32',
  INT64: 'int64',
  FP16: 'float16',
  FP32: 'float32',
  FP64: 'float64',
};

/** By ONNX Runtime's name of a type. */
export const DATATYPES = Object.fromEntries(
  Object.entries(TYPES).map(([datatype, type]) => [type, datatype]),
) as Readonly<Record<ort.Tensor.Type, Datatype | undefined>>;

const toPlain = ({ datatype, shape, data }: Tensor): PlainTensor => ({
  type: TYPES[datatype],
  data,
  dims: shape,
});

/** On Nodes that have a Float16Array FP16 comes as one. */
function fromPlain({ type, data, dims }: PlainTensor): Tensor {
  const datatype = DATATYPES[type]!;
  const { buffer, byteOffset, length } = data as Numbers;
  const numbers = datatype === 'FP16' ? new Uint16Array(buffer, byteOffset, length) : (data as Numbers);
  return { datatype, shape: dims, data: numbers };
}
