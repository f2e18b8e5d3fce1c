/** The shape every transform has, and the runner that checks invariants after each and names the pass that broke one. */
import { OfframpError, passBrokeInvariant, within } from '../errors/index.ts';
import { checkGraph } from '../graph/check.ts';
import type { Graph } from '../graph/types.ts';

/** Graph → Graph, pure. Returns the very same object when it has nothing to do. */
export interface Pass {
  /** Kebab-case, verb-object. */
  readonly name: string;
  /** Throws when the pass may not run on `graph`. */
  requires?(graph: Graph): void;
  run(graph: Graph): Graph;
  /** Throws when `after` is not what the pass promised. */
  ensures?(after: Graph, before: Graph): void;
}

/** Runs `passes` in order, checking the graph invariants after each that changed something. */
export function runPasses(graph: Graph, passes: readonly Pass[]): Graph {
  return passes.reduce((before, pass) => {
    return within(`pass ${pass.name}`, () => {
      pass.requires?.(before);
      const after = pass.run(before);
      if (after === before) return before;
      try {
        checkGraph(after);
      } catch (error) {
        throw error instanceof OfframpError ? passBrokeInvariant(pass.name, error.message) : error;
      }
      pass.ensures?.(after, before);
      return after;
    });
  }, graph);
}
