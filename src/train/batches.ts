import { Random } from '../graph/random.ts';
import { type Tensor as OrtTensor, Tensor } from '../ort/session.ts';
import { argMaxRows } from '../policies/rows.ts';
import type { FeatureBatch, FeatureSource } from './feature-source.ts';

/** Shuffled batches of one size, epoch after epoch; an epoch shows each sample once, in a view drawn for the occasion. */
export class Batches {
  readonly size: number;
  readonly perEpoch: number;
  private order = new Int32Array();
  private taken = 0;
  private readonly views: Uint32Array;
  private readonly labels: BigInt64Array;
  private readonly random: Random;

  constructor(
    private readonly source: FeatureSource,
    wanted: number,
    seed: number,
  ) {
    this.size = Math.min(wanted, source.size);
    this.perEpoch = Math.floor(source.size / this.size);
    this.views = new Uint32Array(this.size);
    this.labels = new BigInt64Array(this.size);
    this.random = new Random(seed, 'batches');
  }

  /** The next batch; an epoch's left-over samples are dropped. Its arrays are used again by the one after. */
  async next(targets: 'labels' | 'original'): Promise<FeatureBatch & { readonly labels: OrtTensor }> {
    const { source, size, views, labels } = this;
    const picks = this.draw();
    const read = await source.read(picks, views);
    const answers = targets === 'original' ? argMaxRows(read.logits.data as Float32Array, size) : undefined;
    for (let i = 0; i < size; i++) labels[i] = BigInt(answers ? answers[i]! : source.labels[picks[i]!]!);
    return { ...read, labels: new Tensor('int64', labels, [size]) };
  }

  /** Leaves `count` batches out, as if they had been read. */
  skip(count: number): void {
    for (let i = 0; i < count; i++) this.draw();
  }

  /** The samples of the next batch; their views are in `views`. */
  private draw(): Int32Array {
    const { source, size, views } = this;
    if (this.taken + size > this.order.length) {
      this.order = this.random.shuffle(Int32Array.from({ length: source.size }, (_, i) => i));
      this.taken = 0;
    }
    // In file order: neighbours are read together, and the order within a batch means nothing to its mean.
    const picks = this.order.subarray(this.taken, this.taken + size).sort();
    this.taken += size;
    for (let i = 0; i < size; i++) views[i] = this.random.integer(0, source.views.length);
    return picks;
  }
}
