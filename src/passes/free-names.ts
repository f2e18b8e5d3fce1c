import { nameTaken, nameUnusable } from '../errors/index.ts';
import { renameValues } from '../graph/rename.ts';
import type { Graph } from '../graph/types.ts';
import { allNames, valueNames } from '../graph/walk.ts';
import type { Pass } from './pass.ts';

/** JavaScript takes it for something else, so onnxruntime-node and callers of the package lose a value of this name. */
const UNUSABLE = '__proto__';

/**
 * Values of the model that have one of `wanted`, names that the early-exit model's own inputs and outputs have, get others, and so do those
 * that no object of JavaScript can hold. Inputs and outputs keep theirs: callers know them. Throws `name-taken` and `name-unusable` for those.
 */
export const freeNames = (wanted: readonly string[]): Pass => ({
  name: 'free-names',
  run(graph: Graph): Graph {
    const used = allNames(graph);
    const values = valueNames(graph);
    const known = new Set([...graph.inputs, ...graph.outputs].map((v) => v.name));
    const names = new Map<string, string>();
    for (const name of [...wanted, UNUSABLE].filter((n) => values.has(n))) {
      if (known.has(name)) throw name === UNUSABLE ? nameUnusable(name) : nameTaken(name);
      let other = `${name}_`;
      while (used.has(other)) other += '_';
      used.add(other);
      names.set(name, other);
    }
    return names.size > 0 ? renameValues(graph, names) : graph;
  },
});
