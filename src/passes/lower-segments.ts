/** The original's nodes between two exits, and where their weights are kept. */
import type { GraphBuilder } from '../graph/builder.ts';
import { renameNode } from '../graph/rename.ts';
import type { Node, Tensor } from '../graph/types.ts';
import { indexGraph, nodeReads } from '../graph/walk.ts';
import { type Cut, MAIN } from './cut-segments.ts';
import type { Lowering } from './lowering.ts';

/** Above this size an initializer stays in the main graph: a copy inside a branch costs memory and load time. */
const BRANCH_LOCAL_BYTES = 4096;

/** The segment whose branch holds `tensor` itself; undefined when it stays in the main graph. */
export function branchOf({ homeOf }: Cut, tensor: Tensor): number | undefined {
  const home = homeOf.get(tensor.name) ?? MAIN;
  const large = tensor.external !== undefined || tensor.bytes.byteLength > BRANCH_LOCAL_BYTES;
  return home === MAIN || large ? undefined : home;
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
    const here = new Map(names);
    for (const name of k > 0 || cut.isNested ? nodeReads(node) : []) {
      const tensor = initializer.get(name);
      if (!tensor) continue;
      if (branchOf(cut, tensor) === k) local.add(tensor);
      // ONNX Runtime folds this Concat into a constant of the branch: only those get the blocked layout and prepacking.
      else if (isWeight(node, name))
        here.set(name, b.op('Concat', [name], { axis: 0 }, b.fresh(`${name}/branch_${k}`)));
    }
    const moved = renameNode(node, here);
    originals.add(moved);
    b.nodes.push(moved);
  }
  b.initializers.push(...local);
}

/** Whether `name` is a weight that ONNX Runtime prepares ahead when it is a constant of the node's own graph. */
function isWeight(node: Node, name: string): boolean {
  if (node.opType === 'MatMul') return node.inputs.includes(name);
  return ['Conv', 'ConvTranspose', 'Gemm'].includes(node.opType) && node.inputs[1] === name;
}
