/** What `trainHeads` is given, and what it reports while it runs: the worker threads share both. */
import type { SessionOptions } from '../ort/session.ts';
import type { DistillOptions } from './losses.ts';
import type { Recipe, RecipeName } from './recipes.ts';

/** What is left out comes from the recipe. */
export interface TrainOptions extends Partial<Omit<Recipe, 'schedule'>> {
  readonly recipe?: RecipeName;
  readonly seed: number;
  /** Of `distill`. */
  readonly distill?: DistillOptions;
  /** Of `pteenet-*`: each head's relative cost when a sample leaves there; by default its prefix and its own head. */
  readonly costs?: readonly number[];
  readonly session?: SessionOptions;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: TrainProgress) => void) | undefined;
}

export interface TrainProgress {
  readonly phase: 'train';
  /** Steps. */
  readonly done: number;
  readonly total: number;
  /** Running mean over recent steps of the heads' joint loss. */
  readonly loss: number;
  /** The same of each head, by exit id; of recipes whose heads share one loss, that one as `joint`. */
  readonly losses: Readonly<Record<string, number>>;
  /** Samples a second, every head having seen each. */
  readonly rate: number;
}
