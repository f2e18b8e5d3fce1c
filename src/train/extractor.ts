/** Runs the backbone for the features at every exit's tap and the logits. */
import type { Dataset, View } from '../data/index.ts';
import { elementBytes, elementCount } from '../graph/tensor.ts';
import { allNames } from '../graph/walk.ts';
import { Session, type SessionOptions } from '../ort/session.ts';
import { feedsOf } from '../ort/tensors.ts';
import type { Head, TypedModel } from '../passes/exits.ts';
import { extractFeatures, type FeatureRequest } from '../passes/extract-features.ts';
import { runPasses } from '../passes/pass.ts';
import { splitStem } from './stem.ts';

/** One thing extracted for every sample. */
export interface Slot {
  /** The exit's id, or `logits`. */
  readonly id: string;
  readonly request: FeatureRequest;
  /** Per sample. */
  readonly dims: readonly number[];
  readonly recordBytes: number;
}

export const LOGITS = 'logits';
const BATCH = 64;

/** The slots of `heads` in their order, the logits (always float32) last. */
export function slotsOf(typed: TypedModel, heads: readonly Head[], half: boolean): readonly Slot[] {
  const taken = allNames(typed.model.graph);
  const free = (name: string): string => (taken.has(name) ? free(`${name}_`) : name);
  const slot = (
    id: string,
    value: string,
    dims: readonly number[],
    as: 'float' | 'float16',
    stem?: FeatureRequest['stem'],
  ) => {
    const dataType = typed.facts.get(value)?.dataType ?? 'float';
    const output = dataType === as && !stem ? value : free(`feature/${id}`);
    const request: FeatureRequest = { output, value, dataType, as, stem };
    return { id, request, dims, recordBytes: elementCount(dims) * elementBytes(as)! };
  };
  const taps = heads.map(({ exit, graph }) => {
    const { stem, dims } = splitStem(graph);
    return slot(exit.id, exit.tap.value, dims, half ? 'float16' : 'float', stem);
  });
  return [...taps, slot(LOGITS, typed.logits, [typed.classes], 'float')];
}

/** What is read of a dataset. */
export type Samples = Pick<Dataset, 'inputs' | 'read'>;

export class Extractor {
  private constructor(
    private readonly session: Session,
    private readonly dataset: Samples,
    readonly slots: readonly Slot[],
    private readonly batch: number,
  ) {}

  /** `slots`: those wanted; nodes that none needs are not run. */
  static async open(typed: TypedModel, dataset: Samples, slots: readonly Slot[], options: SessionOptions) {
    const { model } = typed;
    const graph = runPasses(model.graph, [extractFeatures(slots.map((s) => s.request))]);
    const session = await Session.open({ ...model, graph }, options);
    return new Extractor(session, dataset, slots, typed.batch === 'fixed' ? 1 : BATCH);
  }

  /** Hands over the records of samples `indices`, a few at a time, as bytes in the order of `slots`. */
  async run(
    indices: ArrayLike<number>,
    views: View | readonly View[],
    take: (first: number, records: readonly Uint8Array[]) => void | Promise<void>,
  ): Promise<void> {
    for (let first = 0; first < indices.length; first += this.batch) {
      const n = Math.min(this.batch, indices.length - first);
      const some = Int32Array.from({ length: n }, (_, i) => indices[first + i]!);
      const seen = Array.isArray(views) ? views.slice(first, first + n) : views;
      const samples = await this.dataset.read(some, seen as View);
      const outputs = await this.session.run(feedsOf(this.dataset.inputs, samples, n));
      const bytes = this.slots.map(({ request }) => bytesOf(outputs[request.output]!.data as Uint16Array));
      await take(first, bytes);
    }
  }

  async close(): Promise<void> {
    await this.session.release();
  }
}

const bytesOf = (array: ArrayBufferView) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
