/**
 * The chain: networks in order, the original last, with exits along the way. An exit is wherever an answer can be had: at a tap of a network, by
 * a head, or at a network's end, where the network itself answers.
 */
import type { LoadedModel } from '../parser/index.ts';
import type { ExitPlan, Head, TypedModel } from '../passes/exits.ts';

/** A network of the chain. Each is run and cached on its own; they meet only in lowering. */
export interface Network {
  /** `first_1`, `first_2`, …; `original` for the last. */
  readonly id: string;
  /** Base name of the file, or folder, that it came from. */
  readonly file: string;
  readonly source: LoadedModel;
  /** What is kept of it is kept under this: of its file, and of everything that was done to it. */
  readonly hash: string;
  /** It reads the original's inputs: what its own need is part of the graph (`adapter.ts`). Of all but the original, names begin with `<id>/`. */
  readonly typed: TypedModel;
  readonly plan: ExitPlan;
  /** Its exits, in the order samples meet them; the last of a network that is not the original is its end. */
  readonly heads: readonly Head[];
}

export interface Chain {
  /** In the order samples meet them, the original last. */
  readonly networks: readonly Network[];
  /** [K] All exits, in the order samples meet them; `exit.network` says in which network each is. */
  readonly heads: readonly Head[];
}
