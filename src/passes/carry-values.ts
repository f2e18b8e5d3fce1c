/** Analysis: what has to come along where only some of the samples go on. */
import type { Node } from '../graph/types.ts';
import { indexGraph, inOrder, nodeReads } from '../graph/walk.ts';
import { nodeMacs } from './count-macs.ts';
import type { TypedModel } from './exits.ts';

export interface Carried {
  /** Values with a batch axis: the rows of the samples that go on are gathered. */
  readonly live: readonly string[];
  /** Nodes computed again from those, in graph order: their outputs depend on the batch in another way (a Shape, say). */
  readonly remade: readonly Node[];
}

/**
 * What nodes that read `read` need of everything made before them. `isLater`: the node runs only for samples that go on, so
 * what it makes is not carried. With a fixed batch nothing is gathered, and nothing remade. A string is the reason why it cannot be.
 */
export function carryValues(
  typed: TypedModel,
  sampled: ReadonlySet<string>,
  read: Iterable<string>,
  isLater: (node: Node) => boolean,
): Carried | string {
  const { graph } = typed.model;
  const { producer } = indexGraph(graph);
  const live = new Set<string>();
  const remade = new Set<Node>();
  const stack = [...read];
  for (let name = stack.shift(); name !== undefined; name = stack.shift()) {
    const maker = producer.get(name);
    if (!sampled.has(name) || (maker && isLater(maker))) continue;
    const fact = typed.facts.get(name);
    if (typed.batch === 'fixed' || fact?.batchAxis !== undefined) {
      live.add(name);
      continue;
    }
    const why = fact ? (fact.batchTrouble ?? 'it has no batch axis') : 'it is not a tensor';
    const cost = maker && nodeMacs(maker, (value) => typed.facts.get(value)?.dims);
    if (!maker || cost !== 0) return `${name}, which is needed later: ${why}`;
    remade.add(maker);
    stack.push(...nodeReads(maker));
  }
  return { live: [...live], remade: inOrder(graph, remade) };
}
