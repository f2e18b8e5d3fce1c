/** The only file that imports onnxruntime-node: sessions with the options Offramp measures with, and coded errors. */
import { availableParallelism } from 'node:os';
import * as ort from 'onnxruntime-node';
import { messageOf, providerMissing, runFailed, sessionFailed, unsupportedType } from '../errors/index.ts';
import { GraphBuilder, makeModel, makeNode, makeValue } from '../graph/builder.ts';
import type { Model } from '../graph/types.ts';
import { serializeModel } from '../parser/index.ts';

/** Version of the ONNX Runtime that everything runs on. */
export const ONNXRUNTIME_VERSION: string = ort.env.versions.node ?? ort.env.versions.common;

export const { Tensor } = ort;
export type Tensor = ort.Tensor;
export type Feeds = Readonly<Record<string, ort.Tensor>>;
export type Outputs = Readonly<Record<string, ort.Tensor>>;

export interface SessionOptions {
  /** Threads inside an op; all cores by default. */
  readonly threads?: number;
  /** Ops that may run at a time, each on one thread, instead of one op on all threads: for graphs of independent parts. */
  readonly parallelOps?: number;
  /** ONNX Runtime's execution provider; `cpu` by default. */
  readonly provider?: string;
  /** `disabled` keeps every value of the graph observable. */
  readonly optimization?: 'disabled' | 'basic' | 'extended' | 'all';
  /** Idle threads spin for work: faster for a lone session, 1.2–6× slower as soon as two are alive. Off by default. */
  readonly spinning?: boolean;
  /** Folder that relative external data is found in. */
  readonly externalDataFolder?: string | undefined;
}

/** What onnxruntime-node is given for `options`. Also recorded in the manifest. */
export function toOrtOptions(options: SessionOptions): ort.InferenceSession.SessionOptions {
  const folder = options.externalDataFolder;
  return {
    executionProviders: [options.provider ?? 'cpu'],
    intraOpNumThreads: options.parallelOps ? 1 : (options.threads ?? availableParallelism()),
    interOpNumThreads: options.parallelOps ?? 1,
    executionMode: options.parallelOps ? 'parallel' : 'sequential',
    graphOptimizationLevel: options.optimization ?? 'all',
    // Of what is thrown anyway ONNX Runtime would write a red line too.
    logSeverityLevel: 4,
    extra: {
      session: {
        intra_op: { allow_spinning: options.spinning ? '1' : '0' },
        inter_op: { allow_spinning: options.spinning ? '1' : '0' },
        ...(folder === undefined ? {} : { model_external_initializers_file_folder_path: folder }),
      },
    },
  };
}

/**
 * Session options for `threads` and `provider`, after a session was opened to try the provider; `cpu`, which is always there, is left
 * out. Throws `provider-missing`.
 */
export async function settleSession({
  threads,
  provider = CPU,
}: {
  readonly threads?: number | undefined;
  readonly provider?: string | undefined;
}): Promise<SessionOptions> {
  if (provider !== CPU) await tryProvider(provider);
  return { ...(threads !== undefined && { threads }), ...(provider !== CPU && { provider }) };
}

const CPU = 'cpu';

/** Opens a session of one Identity: a provider that is built in may still lack its libraries or its device. */
async function tryProvider(provider: string): Promise<void> {
  const known = ort.listSupportedBackends().map(({ name }) => name);
  if (!known.includes(provider)) throw providerMissing(provider, known);
  const graph = new GraphBuilder();
  graph.inputs.push(makeValue('x', 'float', [1]));
  graph.outputs.push(makeValue('y', 'float', [1]));
  graph.nodes.push(makeNode('Identity', ['x'], ['y']));
  const { logLevel } = ort.env;
  ort.env.logLevel = 'fatal';
  try {
    await withSession(makeModel(graph.build('provider')), { provider }, async () => {});
  } catch (error) {
    throw providerMissing(provider, known, (error as Error).cause ?? error);
  } finally {
    if (logLevel) ort.env.logLevel = logLevel;
  }
}

export class Session {
  private constructor(private readonly inner: ort.InferenceSession) {}

  /** Loads a model (IR, bytes, or a path). Throws `session-failed` with ONNX Runtime's own words. */
  static async open(model: Model | Uint8Array | string, options: SessionOptions = {}): Promise<Session> {
    const source = typeof model === 'string' || model instanceof Uint8Array ? model : serializeModel(model);
    try {
      const created = ort.InferenceSession.create(source as Uint8Array, toOrtOptions(options));
      return new Session(await created);
    } catch (error) {
      throw sessionFailed('load', messageOf(error), error);
    }
  }

  get inputMetadata(): readonly ort.InferenceSession.ValueMetadata[] {
    return this.inner.inputMetadata;
  }

  get outputMetadata(): readonly ort.InferenceSession.ValueMetadata[] {
    return this.inner.outputMetadata;
  }

  get outputNames(): readonly string[] {
    return this.inner.outputNames;
  }

  /**
   * Runs once; `fetches` names the wanted outputs: by default all tensors, since maps and sequences cannot be fetched. What comes back has no names but
   * theirs, not even `constructor`. Blocks the event loop while it computes. Throws `session-failed`, `unsupported-type`, and `id-out-of-range` where
   * samples hold an id that the model has no row for.
   */
  async run(feeds: Feeds, fetches?: readonly string[]): Promise<Outputs> {
    const given = HAS_FLOAT16_ARRAY ? withBits(feeds) : feeds;
    const wanted = this.inner.outputMetadata.filter(
      ({ name, isTensor }) => fetches?.includes(name) ?? isTensor,
    );
    for (const output of wanted)
      if (output.isTensor && FATAL.has(output.type)) throw unsupportedType(output.type);
    try {
      const outputs = await this.inner.run(given, fetches ? [...fetches] : wanted.map(({ name }) => name));
      return Object.assign(Object.create(null), outputs);
    } catch (error) {
      throw runFailed(messageOf(error), error);
    }
  }

  async release(): Promise<void> {
    await this.inner.release();
  }
}

/** Types whose tensors onnxruntime-node 1.30 takes for so large that the process ends. */
const FATAL = new Set<string>(['int4', 'uint4']);

/** From Node 24 on. */
const HAS_FLOAT16_ARRAY = 'Float16Array' in globalThis;

/** `feeds` as onnxruntime-node 1.30 can read them: the elements of a Float16Array arrive as none, so the bits stand in for them. */
function withBits(feeds: Feeds): Feeds {
  return Object.fromEntries(
    Object.entries(feeds).map(([name, tensor]) => {
      if (tensor.type !== 'float16' || tensor.data instanceof Uint16Array) return [name, tensor];
      const { buffer, byteOffset, length } = tensor.data as Float32Array;
      const value = new Uint16Array(buffer, byteOffset, length);
      return [name, Object.defineProperty(new Tensor('float16', value, tensor.dims), 'data', { value })];
    }),
  );
}

/** Opens a session, hands it to `use`, and releases it whatever happens. */
export async function withSession<T>(
  model: Model | Uint8Array | string,
  options: SessionOptions,
  use: (session: Session) => Promise<T>,
): Promise<T> {
  const session = await Session.open(model, options);
  try {
    return await use(session);
  } finally {
    await session.release();
  }
}
