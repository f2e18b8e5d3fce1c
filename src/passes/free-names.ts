import { nameTaken } from '../errors/index.ts';
import { renameValues } from '../graph/rename.ts';
import type { Graph } from '../graph/types.ts';
import { allNames, valueNames } from '../graph/walk.ts';
import type { Pass } from './pass.ts';

/**
 * Values of the model that have one of `wanted`, names that the early-exit model's own inputs and outputs have, get others. Inputs and outputs
 * keep theirs: callers know them. Throws `name-taken` for those.
 */
export const freeNames = (wanted: readonly string[]): Pass => ({
  name: 'free-names',
  run(graph: Graph): Graph {
    const used = allNames(graph);
    const values = valueNames(graph);
    const known = new Set([...graph.inputs, ...graph.outputs].map((v) => v.name));
    const names = new Map<string, string>();
    for (const name of wanted.filter((n) => values.has(n))) {
      if (known.has(name)) throw nameTaken(name);
      let other = `${name}_`;
      while (used.has(other)) other += '_';
      used.add(other);
      names.set(name, other);
    }
    return names.size > 0 ? renameValues(graph, names) : graph;
  },
});
