/** A head that starts with pooling is cut in two: the stem that pools runs when features are extracted, so the cache is many times smaller. */
import { bindDims, inferTypes } from '../graph/infer.ts';
import { prune } from '../graph/prune.ts';
import { renameNode } from '../graph/rename.ts';
import type { Graph, Node } from '../graph/types.ts';
import { indexGraph } from '../graph/walk.ts';

/** A head's graph in two: `stem` (undefined when there is none) makes the `features` that `body` takes. */
export interface SplitHead {
  readonly stem: Graph | undefined;
  /** Input `features` [N, ...dims]; same outputs as the head. */
  readonly body: Graph;
  readonly dims: readonly number[];
}

const POOLING = 'GlobalAveragePool';
const MOVING = new Set(['Transpose', 'Gather', 'Concat', POOLING]);

/** Cuts behind the first nodes without parameters, where a pooling is among them and the rest reads only one value of theirs. */
export function splitStem(head: Graph): SplitHead {
  const { initializer } = indexGraph(head);
  const made = new Set(['features']);
  const nodes: Node[] = [];
  const isMoving = (name: string) => made.has(name) || initializer.get(name)?.dataType === 'int64';
  for (const node of head.nodes) {
    if (!MOVING.has(node.opType) || !node.inputs.every(isMoving)) continue;
    nodes.push(node);
    for (const output of node.outputs) made.add(output);
  }
  const rest = head.nodes.filter((n) => !nodes.includes(n));
  const read = new Set(rest.flatMap((n) => n.inputs.filter((name) => made.has(name))));
  const [cut = 'features', ...others] = read;
  const moves = others.length === 0 && cut !== 'features' && nodes.some((n) => n.opType === POOLING);
  const dims = inferTypes(bindDims(head, { N: 1 }))
    .get(moves ? cut : 'features')!
    .dims.slice(1);
  if (!moves) return { stem: undefined, body: head, dims };

  const features = { name: 'features', type: { dataType: 'float', dims: ['N', ...dims] } } as const;
  const outputs = [{ ...features, name: cut }];
  const body = rest.map((n) => renameNode(n, new Map([[cut, 'features']])));
  return {
    stem: prune({ ...head, name: 'stem', nodes, outputs }),
    body: prune({ ...head, nodes: body, inputs: [features] }),
    dims,
  };
}
