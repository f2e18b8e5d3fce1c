/** What Offramp finds in a model, and where exits could go. */
import type { Note } from '../errors/notes.ts';
import { type DataType, opsetOf } from '../graph/types.ts';
import { inspectFile, type ModelOptions } from '../model/inspect.ts';
import { attachExits } from '../passes/attach-exits.ts';
import type { Activation, Head, HeadKind, PlannedExit, RejectedTap, Tap } from '../passes/exits.ts';
import { checkCall } from './options.ts';

export interface InspectOptions extends ModelOptions {
  /** One for all exits, or one an exit; by default `token` at tokens and `strided` elsewhere. */
  readonly head?: HeadKind | readonly HeadKind[] | undefined;
}

/** An input that has a row for each sample. */
export interface InspectedInput {
  readonly name: string;
  readonly dataType: DataType;
  /** The first axis counts samples. */
  readonly dims: readonly ['N', ...number[]];
}

/** An exit that `compile` would place. */
export interface InspectedExit extends Omit<PlannedExit, 'network'> {
  readonly head: Head['kind'];
  /** MACs a sample of the head. */
  readonly headMacs: number;
}

/** A model as `compile` would take it, in plain data. */
export interface Inspection {
  /** Of the file; below 11 it is compiled as opset 12. */
  readonly opset: number;
  readonly inputs: readonly InspectedInput[];
  /** The output with the class scores. */
  readonly output: string;
  /** The value where exits merge: class scores before any activation. */
  readonly logits: string;
  /** What lies between `logits` and `output`. */
  readonly activation: Activation;
  readonly classes: number;
  /** `fixed`: the model takes one sample at a time. */
  readonly batch: 'dynamic' | 'fixed';
  /** MACs a sample of the whole model. */
  readonly totalMacs: number;
  /** Op types that the MAC count leaves out although they do arithmetic, with their node counts. */
  readonly notCounted: Readonly<Record<string, number>>;
  /** Where an exit can go, from the first to the last. */
  readonly taps: readonly Tap[];
  /** Where none can, and why. */
  readonly rejected: readonly RejectedTap[];
  /** In the order samples meet them. */
  readonly exits: readonly InspectedExit[];
  readonly notes: readonly Note[];
}

/** Reads the model and plans exits as `compile` would. Throws `bad-option`, and what reading a model and `attachExits` throw. */
export async function inspect(options: InspectOptions): Promise<Inspection> {
  checkCall('inspect', options);
  const { source, typed, plan, existing, notes } = await inspectFile(options);
  const heads = existing?.heads ?? attachExits(plan, { kind: options.head, seed: 1 });
  const { output, logits, activation, classes, batch } = typed;
  const { totalMacs, notCounted, taps, rejected } = plan;
  return {
    opset: opsetOf(source.model),
    inputs: typed.sampleInputs.map((name) => {
      const { dataType, dims } = typed.facts.get(name)!;
      return { name, dataType, dims: ['N', ...dims.slice(1)] };
    }),
    output,
    logits,
    activation,
    classes,
    batch,
    totalMacs,
    notCounted,
    taps,
    rejected,
    exits: heads.map(({ exit: { network: _, ...exit }, kind, macs }) => ({
      ...exit,
      head: kind,
      headMacs: macs,
    })),
    notes,
  };
}
