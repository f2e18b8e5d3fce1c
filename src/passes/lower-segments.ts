/** The original's nodes between two exits, with the tensors that only they read. */
import type { GraphBuilder } from '../graph/builder.ts';
import { renameNode } from '../graph/rename.ts';
import type { Tensor } from '../graph/types.ts';
import { indexGraph, nodeReads } from '../graph/walk.ts';
import { type Cut, MAIN } from './cut-segments.ts';
import type { Lowering } from './lowering.ts';

/** The segment whose branch alone reads `tensor`; undefined when it belongs in the main graph. `placeWeights` moves large ones there too. */
export function branchOf({ homeOf }: Cut, tensor: Tensor): number | undefined {
  const home = homeOf.get(tensor.name) ?? MAIN;
  return home === MAIN ? undefined : home;
}

/** Writes segment `k` into `b`; `names`: what values of the original are called there. */
export function lowerSegment(
  { typed, cut, originals }: Lowering,
  k: number,
  b: GraphBuilder,
  names: ReadonlyMap<string, string>,
): void {
  const { initializer } = indexGraph(typed.model.graph);
  const local = new Set<Tensor>();
  for (const node of cut.segments[k]!) {
    for (const name of k > 0 || cut.isNested ? nodeReads(node) : []) {
      const tensor = initializer.get(name);
      if (tensor && branchOf(cut, tensor) === k) local.add(tensor);
    }
    const moved = renameNode(node, names);
    originals.add(moved);
    b.nodes.push(moved);
  }
  b.initializers.push(...local);
}
