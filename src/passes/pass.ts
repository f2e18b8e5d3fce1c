/** The shape every transform has, and the runner that checks invariants after each and names the pass that broke one. */
import { OfframpError, passBrokeInvariant, within } from '../errors/index.ts';
import { checkGraph } from '../graph/check.ts';
import type { Graph } from '../graph/types.ts';

/** Graph → Graph, pure. Returns the very same object when it has nothing to do. */
export interface Pass {
  /** Kebab-case, verb-object. */
  readonly name: string;
  run(graph: Graph): Graph;
  /** Throws when `after` is not what the pass promises, besides the graph invariants. */
  ensures?(after: Graph, before: Graph): void;
}

/** Runs `passes` in order. After each that changed something, its invariants are checked: throws `pass-broke-invariant`. */
export function runPasses(graph: Graph, passes: readonly Pass[]): Graph {
  return passes.reduce((before, pass) => {
    return within(`pass ${pass.name}`, () => {
      const after = pass.run(before);
      if (after === before) return before;
      try {
        checkGraph(after);
        pass.ensures?.(after, before);
      } catch (error) {
        throw error instanceof OfframpError ? passBrokeInvariant(pass.name, error.message) : error;
      }
      return after;
    });
  }, graph);
}
