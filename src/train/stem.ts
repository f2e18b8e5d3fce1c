/** A head that starts with pooling has it done where features are extracted, so that the cache is many times smaller. */
import { bindDims, inferTypes } from '../graph/infer.ts';
import { renameNode } from '../graph/rename.ts';
import type { Graph, Node } from '../graph/types.ts';
import { indexGraph } from '../graph/walk.ts';

/** A head's graph in two: `stem` (undefined when there is none) makes the `features` that `body` takes. */
export interface SplitHead {
  readonly stem: Graph | undefined;
  /** Input `features` [N, ...dims]; same outputs and initializers as the head. */
  readonly body: Graph;
  readonly dims: readonly number[];
}

const POOLING = 'GlobalAveragePool';
const MOVING = new Set(['Transpose', POOLING]);

/** Cuts after the last pooling that only nodes without parameters lead to. */
export function splitStem(head: Graph): SplitHead {
  const { consumers } = indexGraph(head);
  const walked: Node[] = [];
  let value = 'features';
  for (;;) {
    const [node, ...others] = consumers.get(value) ?? [];
    if (!node || others.length > 0 || !MOVING.has(node.opType)) break;
    walked.push(node);
    value = node.outputs[0]!;
  }
  const nodes = walked.slice(0, walked.findLastIndex((n) => n.opType === POOLING) + 1);
  const cut = nodes.at(-1)?.outputs[0] ?? 'features';
  const dims = inferTypes(bindDims(head, { N: 1 }))
    .get(cut)!
    .dims.slice(1);
  if (nodes.length === 0) return { stem: undefined, body: head, dims };

  const features = { name: 'features', type: { dataType: 'float', dims: ['N', ...dims] } } as const;
  const outputs = [{ ...features, name: cut }];
  const rest = head.nodes.filter((n) => !nodes.includes(n));
  const body = rest.map((n) => renameNode(n, new Map([[cut, 'features']])));
  return {
    stem: { ...head, name: 'stem', nodes, initializers: [], outputs },
    body: { ...head, nodes: body, inputs: [features] },
    dims,
  };
}
