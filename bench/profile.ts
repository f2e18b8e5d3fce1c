/** Where the time of a session's runs goes, by op: ONNX Runtime's own profile. */
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';

interface Event {
  readonly cat: string;
  readonly name: string;
  readonly dur: number;
  readonly args?: { readonly op_name?: string };
}

/** Milliseconds a run. */
export interface Profile {
  readonly byOp: ReadonlyMap<string, number>;
  readonly byNode: ReadonlyMap<string, number>;
}

/** Runs `use`, and says what the runs of the last session that it opened took: medians of each node, summed by op. */
export async function profiled(use: () => Promise<void>): Promise<Profile> {
  const prefix = `offramp-profile-${process.pid}-`;
  const { create } = ort.InferenceSession;
  let last: ort.InferenceSession | undefined;
  const profiling = async (model: Uint8Array, options: ort.InferenceSession.SessionOptions) => {
    const told = { ...options, enableProfiling: true, profileFilePrefix: join(tmpdir(), prefix) };
    last = await create.call(ort.InferenceSession, model, told);
    const { release } = last;
    last.release = async function released(this: ort.InferenceSession) {
      this.endProfiling();
      await release.call(this);
    };
    return last;
  };
  ort.InferenceSession.create = profiling as typeof create;
  try {
    await use();
  } finally {
    ort.InferenceSession.create = create;
  }
  const files = readdirSync(tmpdir()).filter((name) => name.startsWith(prefix));
  const texts = files.sort().map((name) => readFileSync(join(tmpdir(), name), 'utf8'));
  for (const name of files) rmSync(join(tmpdir(), name));
  // Of the sessions that probe for a blocked layout there are others.
  return summed(JSON.parse(texts.reduce((a, b) => (b.length > a.length ? b : a))) as Event[]);
}

function summed(events: readonly Event[]): Profile {
  const times = new Map<string, number[]>();
  for (const { cat, name, dur, args } of events) {
    if (cat !== 'Node' || !name.endsWith('_kernel_time')) continue;
    const key = `${args?.op_name}  ${name.replace('_kernel_time', '')}`;
    times.set(key, [...(times.get(key) ?? []), dur / 1000]);
  }
  const byNode = new Map([...times].map(([key, ms]) => [key, ms.sort((a, b) => a - b)[ms.length >> 1]!]));
  const byOp = new Map<string, number>();
  for (const [key, ms] of byNode) {
    const op = key.split('  ')[0]!;
    byOp.set(op, (byOp.get(op) ?? 0) + ms);
  }
  return { byOp, byNode };
}
