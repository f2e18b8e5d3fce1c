/** The one door to onnxruntime-node: sessions with the options Offramp measures with, and coded errors. */
import { availableParallelism } from 'node:os';
import * as ort from 'onnxruntime-node';
import { messageOf, sessionFailed } from './errors.ts';
import type { DataType, Model } from './graph/types.ts';
import { serializeModel } from './parser/index.ts';

export const { Tensor } = ort;
export type Tensor = ort.Tensor;
export type Feeds = Readonly<Record<string, ort.Tensor>>;
export type Outputs = Readonly<Record<string, ort.Tensor>>;

export interface SessionOptions {
  /** Threads inside an op; all cores by default. */
  readonly threads?: number;
  /** ONNX Runtime's execution provider; `cpu` by default. */
  readonly provider?: string;
  /** `disabled` keeps every value of the graph observable. */
  readonly optimization?: 'disabled' | 'basic' | 'extended' | 'all';
  /** Idle threads spin for work: faster for a lone session, 1.2–6× slower as soon as two are alive. Off by default. */
  readonly spinning?: boolean;
  /** Folder that relative external data is found in. */
  readonly externalDataFolder?: string | undefined;
}

/** ONNX's name of an onnxruntime tensor type. */
export function dataTypeOf(type: string): DataType {
  return type === 'float32' ? 'float' : type === 'float64' ? 'double' : (type as DataType);
}

/** What onnxruntime-node is given for `options`. Also recorded in the manifest. */
export function toOrtOptions(options: SessionOptions): ort.InferenceSession.SessionOptions {
  const folder = options.externalDataFolder;
  return {
    executionProviders: [options.provider ?? 'cpu'],
    intraOpNumThreads: options.threads ?? availableParallelism(),
    interOpNumThreads: 1,
    graphOptimizationLevel: options.optimization ?? 'all',
    logSeverityLevel: 3,
    extra: {
      session: {
        intra_op: { allow_spinning: options.spinning ? '1' : '0' },
        ...(folder === undefined ? {} : { model_external_initializers_file_folder_path: folder }),
      },
    },
  };
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

  /** Runs once; `fetches` names the wanted outputs (all by default). Blocks the event loop while it computes. */
  async run(feeds: Feeds, fetches?: readonly string[]): Promise<Outputs> {
    try {
      return await (fetches ? this.inner.run(feeds, [...fetches]) : this.inner.run(feeds));
    } catch (error) {
      throw sessionFailed('run', messageOf(error), error);
    }
  }

  async release(): Promise<void> {
    await this.inner.release();
  }
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
