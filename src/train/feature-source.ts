/** Sources of features: cached files, or the backbone itself. */
import { RecordReader } from '../cache/record-file.ts';
import type { View } from '../data/index.ts';
import { type Tensor as OrtTensor, Tensor } from '../ort/session.ts';
import { type Extractor, LOGITS, type Slot } from './extractor.ts';

/** Some samples' features; the arrays are used again by the next `read`. */
export interface FeatureBatch {
  /** By exit id: [n, ...dims], float32 or float16. */
  readonly features: Readonly<Record<string, OrtTensor>>;
  /** The backbone's, [n, classes]. */
  readonly logits: OrtTensor;
}

export interface SourceFacts {
  readonly size: number;
  /** [size] */
  readonly labels: Int32Array;
  readonly classes: number;
  readonly half: boolean;
}

export interface FeatureSource extends SourceFacts {
  readonly storage: 'cached' | 'recomputed';
  /** Ways in which a sample can be seen. */
  readonly views: readonly View[];
  /** Features of samples `indices`, each in the view whose index is in `views` (all in the first when left out). */
  read(indices: ArrayLike<number>, views?: ArrayLike<number>): Promise<FeatureBatch>;
  close(): Promise<void>;
}

/** The arrays that a batch is put together in, kept while batches have the same size. */
abstract class BatchedSource implements FeatureSource {
  abstract readonly storage: FeatureSource['storage'];
  readonly size: number;
  readonly labels: Int32Array;
  readonly classes: number;
  readonly half: boolean;
  protected bytes: readonly Uint8Array[] = [];
  private batch: FeatureBatch | undefined;
  private length = -1;

  constructor(
    facts: SourceFacts,
    protected readonly slots: readonly Slot[],
    readonly views: readonly View[],
  ) {
    this.size = facts.size;
    this.labels = facts.labels;
    this.classes = facts.classes;
    this.half = facts.half;
  }

  async read(
    indices: ArrayLike<number>,
    views: ArrayLike<number> = new Uint8Array(indices.length),
  ): Promise<FeatureBatch> {
    if (this.length !== indices.length) this.allocate(indices.length);
    await this.fillBatch(indices, views);
    return this.batch!;
  }

  abstract close(): Promise<void>;
  protected abstract fillBatch(indices: ArrayLike<number>, views: ArrayLike<number>): Promise<void>;

  private allocate(n: number): void {
    this.length = n;
    this.bytes = this.slots.map((slot) => new Uint8Array(n * slot.recordBytes));
    const tensors = this.slots.map(({ request, dims }, i) => {
      const { buffer } = this.bytes[i]!;
      return request.as === 'float16'
        ? new Tensor('float16', new Uint16Array(buffer), [n, ...dims])
        : new Tensor('float32', new Float32Array(buffer), [n, ...dims]);
    });
    const features = Object.fromEntries(this.slots.map((slot, i) => [slot.id, tensors[i]!]));
    const { [LOGITS]: logits, ...rest } = features;
    this.batch = { features: rest, logits: logits! };
  }
}

/** Complete files of features, as plain data, with which another thread can open them too. */
export interface CachedFeatures {
  readonly facts: SourceFacts;
  readonly slots: readonly Slot[];
  readonly views: readonly View[];
  /** [views][slots] */
  readonly paths: readonly (readonly string[])[];
}

export class CachedSource extends BatchedSource {
  readonly storage = 'cached';
  /** [views][slots] */
  private readonly files: readonly (readonly RecordReader[])[];

  constructor(
    private readonly cached: CachedFeatures,
    private readonly release: () => Promise<void> = async () => {},
  ) {
    super(cached.facts, cached.slots, cached.views);
    this.files = cached.paths.map((paths) =>
      paths.map((path, s) => new RecordReader(path, cached.slots[s]!.recordBytes)),
    );
  }

  /** Where the features of exits `ids` are, and the logits. */
  filesOf(ids: readonly string[]): CachedFeatures {
    const { cached } = this;
    const kept = [...cached.slots.keys()].filter((s) => [...ids, LOGITS].includes(cached.slots[s]!.id));
    return {
      ...cached,
      slots: kept.map((s) => cached.slots[s]!),
      paths: cached.paths.map((paths) => kept.map((s) => paths[s]!)),
    };
  }

  protected async fillBatch(indices: ArrayLike<number>, views: ArrayLike<number>): Promise<void> {
    for (let at = 0; at < indices.length; ) {
      let end = at + 1;
      while (end < indices.length && indices[end] === indices[end - 1]! + 1 && views[end] === views[at])
        end++;
      const files = this.files[views[at]!]!;
      for (const [s, file] of files.entries())
        file.read(indices[at]!, end - at, this.bytes[s]!, at * file.recordBytes);
      at = end;
    }
  }

  async close(): Promise<void> {
    for (const file of this.files.flat()) file.close();
    await this.release();
  }
}

export class RecomputedSource extends BatchedSource {
  readonly storage = 'recomputed';

  constructor(
    facts: SourceFacts,
    slots: readonly Slot[],
    views: readonly View[],
    private readonly extractor: Extractor,
  ) {
    super(facts, slots, views);
  }

  protected async fillBatch(indices: ArrayLike<number>, views: ArrayLike<number>): Promise<void> {
    const seen = Array.from(views, (v) => this.views[v]!);
    await this.extractor.run(indices, seen, (first, records) => {
      for (const [s, slot] of this.slots.entries()) this.bytes[s]!.set(records[s]!, first * slot.recordBytes);
    });
  }

  async close(): Promise<void> {
    await this.extractor.close();
  }
}
