/** Generated split packages, installed and run against a fake server, and what their two parts say one after the other by hand. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import * as ort from 'onnxruntime-node';
import type * as Pets from '../../golden/stub-split/index.ts';
import type { Manifest } from '../../src/emit/manifest.ts';
import { emitPackage } from '../../src/emit/stub.ts';
import { writeOutput } from '../../src/emit/write.ts';
import { normalised } from '../../src/runtime/pictures.ts';
import { fromFloat16 } from '../../src/runtime/tensors.ts';
import { pixels as drawn } from '../data/fixtures.ts';
import { CHAIN } from './sample.ts';
import { type Kind, parts, SIZE } from './split-parts.ts';
import { FakeServer } from './split-server.ts';

const folder = mkdtempSync(join(tmpdir(), 'offramp-split-'));
// All files of tests that share this process share it too.
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

export interface Subject {
  readonly module: typeof Pets;
  /** Where the package is. */
  readonly home: string;
  readonly server: FakeServer;
  /** What the two parts say of `inputs` at `point`, by hand. */
  byHand(inputs: Float32Array, point: Pets.OperatingPointName): Promise<ByHand[]>;
  close(): Promise<void>;
}

export interface ByHand {
  readonly exit: number;
  readonly where: 'client' | 'server';
  readonly scores: number[];
  readonly confidence: number;
}

/** By what they were made of: making one takes a second. */
const packages = new Map<string, Promise<Pick<Subject, 'module' | 'home'>>>();

async function install(
  home: string,
  manifest: Manifest,
  model: Uint8Array,
): Promise<Pick<Subject, 'module' | 'home'>> {
  await writeOutput(
    home,
    new Map<string, string | Uint8Array>([...emitPackage(manifest), ['model.onnx', model]]),
  );
  return { home, module: await import(pathToFileURL(join(home, 'index.js')).href) };
}

/** The package of a kind of parts, and a server that has its rests. */
export async function subject(kind: Kind = {}): Promise<Subject> {
  const { manifest, front, rests } = parts(kind);
  const key = JSON.stringify(kind);
  if (!packages.has(key)) packages.set(key, install(join(folder, String(packages.size)), manifest, front));
  const { module, home } = await packages.get(key)!;
  const server = await new FakeServer(rests).start();
  const sessions = new Map<string, ort.InferenceSession>();
  const open = async (name: string, model: Uint8Array) => {
    if (!sessions.has(name))
      sessions.set(name, await ort.InferenceSession.create(model, { logSeverityLevel: 3 }));
    return sessions.get(name)!;
  };

  /** Sample by sample, so that nothing depends on how rows are gathered. */
  async function byHand(inputs: Float32Array, point: Pets.OperatingPointName): Promise<ByHand[]> {
    const { thresholds } = module.operatingPoints[point];
    const first = await open('front', front);
    const served = manifest.split!.models[point]!;
    const second = await open(served, rests[served]!);
    const answers: ByHand[] = [];
    for (let from = 0; from < inputs.length; from += SIZE) {
      const values = inputs.slice(from, from + SIZE);
      const limits = new ort.Tensor('float32', Float32Array.from(thresholds), [2]);
      const pixels = new ort.Tensor('float32', values, [1, 3, 2, 2]);
      const early = await first.run({ pixels, thresholds: limits });
      const own = said(early);
      if (own.exit < 2) {
        answers.push({ ...own, where: 'client' });
        continue;
      }
      const bytes = new ort.Tensor('uint8', Uint8Array.from(values, byteOf), [1, 3, 2, 2]);
      const feeds: Record<string, ort.Tensor> = {
        ...(kind.input !== 'none' && { pixels: kind.input === 'floats' ? pixels : bytes }),
        ...(early.relu_5 && { relu_5: renewed(early.relu_5) }),
        ...(early.policy_state_out && { policy_state: early.policy_state_out }),
      };
      answers.push({ ...said(await second.run(feeds)), where: 'server' });
    }
    return answers;
  }

  return {
    module,
    home,
    server,
    byHand,
    close: async () => {
      await server.stop();
      await server.release();
      for (const session of sessions.values()) await session.release();
    },
  };
}

function said(outputs: ort.InferenceSession.ReturnType): Omit<ByHand, 'where'> {
  return {
    exit: Number((outputs.exit_index!.data as BigInt64Array)[0]),
    confidence: (outputs.exit_confidence!.data as Float32Array)[0]!,
    scores: [...fromFloat16(outputs.logits!.data as Float32Array)],
  };
}

/** onnxruntime-node reads nothing out of a Float16Array. */
function renewed(tensor: ort.Tensor): ort.Tensor {
  if (tensor.type !== 'float16') return tensor;
  const { buffer, byteOffset, length } = tensor.data as Float32Array;
  const value = new Uint16Array(buffer, byteOffset, length);
  return Object.defineProperty(new ort.Tensor('float16', value, tensor.dims), 'data', { value });
}

const TABLES = [0, 1, 2].map((c) =>
  Float32Array.from({ length: 256 }, (_, pixel) => normalised(pixel, c, CHAIN.preprocessing!)),
);
const byteOf = (value: number, i: number) => TABLES[Math.floor(i / 4)]!.indexOf(value);

/** `count` samples of pixels as preprocessing makes them, dark ones and bright ones. */
export function samples(count: number, seed = 1): Float32Array {
  const bytes = drawn(SIZE * count, seed);
  return Float32Array.from(bytes, (byte, i) => {
    const brightness = Math.floor(i / SIZE) % 3;
    return TABLES[Math.floor((i % SIZE) / 4)]![Math.min(255, Math.floor(byte / 2) + 70 * brightness)]!;
  });
}

/** One sample all of whose pixels are `byte`: 0 is never answered here at any point, 255 is but at `exact`. */
export const flat = (byte: number) =>
  Float32Array.from({ length: SIZE }, (_, i) => TABLES[Math.floor(i / 4)]![byte]!);

/** What `promise` is rejected with. */
export async function rejection(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error('nothing was thrown');
}

export const pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));
