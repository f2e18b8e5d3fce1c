/**
 * The chain: networks in order, the original last, with exits along the way. An exit is wherever an answer can be had: at a tap of a network, by
 * a head, or at a network's end, where the network itself answers.
 */
import { costsOf } from '../calibrate/costs.ts';
import type { CostModel } from '../calibrate/index.ts';
import type { Preprocessing } from '../data/index.ts';
import type { ValueInfo } from '../graph/types.ts';
import type { LoadedModel } from '../parser/index.ts';
import type { ExitPlan, Head, TypedModel } from '../passes/exits.ts';

/** How the file of a network in front is read, as far as the original does not say. */
export interface FirstReading {
  /** What the numbers of its input are. */
  readonly preprocessing: Preprocessing;
  /** What is done to the original's inputs to make its own, in words. */
  readonly adapter: readonly string[];
  readonly output?: string | undefined;
  readonly dims?: Readonly<Record<string, number>>;
  readonly set?: Readonly<Record<string, number | readonly number[]>>;
  readonly externalDataFolder?: 'given';
  /** [C]: which of its outputs each class is, where that is another order. */
  readonly classOrder?: readonly number[];
  /** It came out of a compiled package, with its exits. */
  readonly package?: true;
  /** It is a student: Offramp built and trained it. */
  readonly grown?: Grown;
}

/** How a student was made. */
export interface Grown {
  /** Of the original's MACs, that it was to take at most. */
  readonly share: number;
  readonly family: string;
  /** Blocks of 16 channels at its first map. */
  readonly width: number;
  /** Blocks a stage. */
  readonly depth: number;
  /** Answers that it was built to give, its end included; absent when it is one. */
  readonly exits?: number;
  /** Absent while it is not trained. */
  readonly training?: GrownTraining;
}

/** How a student was trained. */
export interface GrownTraining {
  /** Passes over the training samples that the schedule of the learning rate was for. */
  readonly epochs: number;
  /** Steps that were made, where a limit ended it before those epochs. */
  readonly stoppedAt?: number;
  readonly batch: number;
  readonly learningRate: number;
  /** How pictures were varied and who answered them, where options said so. */
  readonly augment?: string;
  readonly teacher?: string;
  /** The loss that its exits shared, where options said so. */
  readonly exitLoss?: string;
  /** Bytes; set where the original's answers did not fit into the cache. */
  readonly cacheLimit?: number;
  /** From this step on the learning rate was half of it, since training had diverged. */
  readonly halvedAt?: number;
  /** Running means of the loss at some steps, counted from 1. */
  readonly steps: readonly number[];
  readonly losses: readonly number[];
  /** Share of validation samples that it got right after some steps. */
  readonly accuracies: readonly { readonly step: number; readonly accuracy: number }[];
}

/** A network of the chain. Each is run and cached on its own; they meet only in lowering. */
export interface Network {
  /** `first_1`, `first_2`, …; `student_1`, …; `original` for the last. */
  readonly id: string;
  /** Name of the file, or folder, that it came from; with folders where others have the same (`filesApart`). */
  readonly file: string;
  readonly source: LoadedModel;
  /** What is kept of it is kept under this: of its file, and of everything that was done to it. */
  readonly hash: string;
  /** It reads the original's inputs: what its own need is part of the graph (`adapter.ts`). Of all but the original, names begin with `<id>/`. */
  readonly typed: TypedModel;
  readonly plan: ExitPlan;
  /** How it is read; undefined of the original. */
  readonly reading?: FirstReading;
  /** [C]: names of its classes in its own order, where they are known. */
  readonly classNames?: readonly string[] | undefined;
  /** Its exits, in the order samples meet them; the last of a network that is not the original is its end. */
  readonly heads: readonly Head[];
}

export interface Chain {
  /** In the order samples meet them, the original last. */
  readonly networks: readonly Network[];
  /** [K] All exits, in the order samples meet them; `exit.network` says in which network each is. */
  readonly heads: readonly Head[];
}

/** The chain of `networks`, the original last: exits are numbered over all of them, and one network for single samples makes all so. */
export function chainOf(networks: readonly Network[]): Chain {
  const isFixed = networks.some(({ typed }) => typed.batch === 'fixed');
  let exits = 0;
  const placed = networks.map((one, network): Network => {
    const heads = one.heads.map((head): Head => {
      exits++;
      return { ...head, exit: { ...head.exit, id: `exit_${exits}`, network } };
    });
    const typed = isFixed && networks.length > 1 ? forSingleSamples(one.typed) : one.typed;
    return { ...one, typed, heads };
  });
  return { networks: placed, heads: placed.flatMap(({ heads }) => heads) };
}

/** `typed` as it is for one sample at a time. */
function forSingleSamples(typed: TypedModel): TypedModel {
  if (typed.batch === 'fixed') return typed;
  const { graph } = typed.model;
  const single = (values: readonly ValueInfo[]) =>
    values.map((value) => {
      const axis = typed.facts.get(value.name)?.batchAxis;
      if (axis === undefined || !value.type?.dims) return value;
      return { ...value, type: { ...value.type, dims: value.type.dims.with(axis, 1) } };
    });
  const fixed = { ...graph, inputs: single(graph.inputs), outputs: single(graph.outputs), valueInfo: [] };
  return { ...typed, model: { ...typed.model, graph: fixed }, batch: 'fixed' };
}

/** Shares of the original's MACs. */
export const costsOfChain = ({ networks, heads }: Chain): CostModel =>
  costsOf(
    networks.map(({ plan }) => plan),
    heads,
  );
