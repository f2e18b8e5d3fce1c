/** Runs trained heads over cached or recomputed features. */
import { makeModel } from '../graph/builder.ts';
import { type SessionOptions, withSession } from '../ort/session.ts';
import type { Head } from '../passes/exits.ts';
import { POOLED } from '../passes/heads.ts';
import type { FeatureSource } from './feature-source.ts';
import { joinHeads } from './losses.ts';
import { splitStem } from './stem.ts';

export interface HeadOutputs {
  /** Per head, [n, classes]. */
  readonly logits: readonly Float32Array[];
  /** Per head, [n]. */
  readonly confidence: readonly Float32Array[];
  /** Per head, [n, F]. */
  readonly pooled: readonly Float32Array[];
  /** The backbone's logits, [n, classes]. */
  readonly original: Float32Array;
}

export interface RunHeadsOptions {
  readonly session?: SessionOptions;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (done: number, total: number) => void;
}

const BATCH = 256;

/** Runs `heads` (inference form) over samples `indices` of `source`, a batch at a time, in its first view. */
export async function runHeads(
  heads: readonly Head[],
  source: FeatureSource,
  indices: ArrayLike<number> = Int32Array.from({ length: source.size }, (_, i) => i),
  options: RunHeadsOptions = {},
): Promise<HeadOutputs> {
  const ids = heads.map((head) => head.exit.id);
  const named = heads.map(({ exit, graph }) => ({ id: exit.id, graph: splitStem(graph).body }));
  const joined = joinHeads(named, source.half);
  const pooled = ids.map((id) => ({ name: `${id}/${POOLED}`, type: undefined }));
  const model = makeModel({ ...joined, outputs: [...joined.outputs, ...pooled] });
  const gathered = new Map<string, Float32Array>();
  const total = indices.length;
  const gather = (name: string, first: number, rows: number, data: Float32Array) => {
    const width = data.length / rows;
    const all = gathered.get(name) ?? new Float32Array(total * width);
    gathered.set(name, all);
    all.set(data, first * width);
  };
  await withSession(model, options.session ?? {}, async (session) => {
    for (let first = 0; first < total; first += BATCH) {
      options.signal?.throwIfAborted();
      const rows = Math.min(BATCH, total - first);
      const batch = await source.read(Int32Array.from({ length: rows }, (_, i) => indices[first + i]!));
      const feeds = Object.fromEntries(ids.map((id) => [`${id}/features`, batch.features[id]!]));
      const outputs = await session.run(feeds);
      for (const name of session.outputNames) gather(name, first, rows, outputs[name]!.data as Float32Array);
      gather('original', first, rows, batch.logits.data as Float32Array);
      options.onProgress?.(first + rows, total);
    }
  });
  const of = (name: string) => gathered.get(name) ?? new Float32Array();
  return {
    logits: ids.map((id) => of(`${id}/logits`)),
    confidence: ids.map((id) => of(`${id}/confidence`)),
    pooled: ids.map((id) => of(`${id}/${POOLED}`)),
    original: of('original'),
  };
}
