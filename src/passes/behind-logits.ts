/** What a classifier makes of its logits, as a model of its own. */
import { makeNode, makeValue } from '../graph/builder.ts';
import { prune } from '../graph/prune.ts';
import { renameNode } from '../graph/rename.ts';
import type { Model } from '../graph/types.ts';
import { allNames } from '../graph/walk.ts';
import type { TypedModel } from './exits.ts';

export interface BehindLogits {
  /** Has the inputs that `outputs` need besides the logits. */
  readonly model: Model;
  /** Name of the input that takes the logits, shaped and typed as the original's. */
  readonly input: string;
}

/** `typed` with its logits as an input instead of computed, and the original's `outputs` as outputs. */
export function behindLogits({ model, logits, facts }: TypedModel, outputs: readonly string[]): BehindLogits {
  const { graph } = model;
  const names = allNames(graph);
  const fresh = (stem: string): string => (names.has(stem) ? fresh(`${stem}_`) : stem);
  const input = fresh('given_logits');
  const computed = new Map([[logits, fresh('computed_logits')]]);
  const { dataType, dims } = facts.get(logits)!;
  const nodes = graph.nodes.map((node) =>
    node.outputs.includes(logits) ? renameNode(node, computed) : node,
  );
  const given = {
    ...graph,
    nodes: [makeNode('Identity', [input], [logits]), ...nodes],
    inputs: [...graph.inputs, makeValue(input, dataType, [undefined, ...dims.slice(1)])],
    outputs: graph.outputs.filter(({ name }) => outputs.includes(name)),
  };
  return { model: { ...model, graph: prune(given) }, input };
}
