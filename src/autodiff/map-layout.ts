/**
 * Maps in another layout while a graph is made to train: what going into rows (rows-form.ts) and into blocks (blocked-form.ts) have in common. Some
 * nodes are written over values in the layout; maps that any other node reads come back under their names.
 */
import { TypedBuilder } from '../graph/infer.ts';
import type { Graph, Node } from '../graph/types.ts';

/** Ops of our own, which stand in a graph until its gradients are there. */
export const OWN_DOMAIN = 'offramp';

export abstract class EnteringLayout {
  protected readonly b: TypedBuilder;
  /** Values in the layout, by the name of the map. */
  private readonly inside = new Map<string, string>();
  /** Maps that exist in the layout only, so far. */
  private readonly onlyInside = new Set<string>();

  /** Names of new values begin with `prefix`. */
  constructor(
    private readonly graph: Graph,
    prefix: string,
  ) {
    this.b = new TypedBuilder(prefix, graph);
  }

  /** The graph with every node in the layout that can be. */
  run(): Graph {
    const { b, graph } = this;
    const nodes: Node[] = [];
    for (const node of graph.nodes) {
      const isDone = this.enter(node);
      if (!isDone) for (const name of node.inputs) this.leave(name);
      nodes.push(...b.nodes.splice(0), ...(isDone ? [] : [node]));
    }
    for (const { name } of graph.outputs) this.leave(name);
    nodes.push(...b.nodes);
    return { ...graph, nodes, initializers: [...graph.initializers, ...b.initializers] };
  }

  /** Writes `node` if it is a convolution that has a place in the layout, and returns its value there; undefined for all other nodes. */
  protected abstract convolution(node: Node): string | undefined;

  /** Writes the normalisation of `x`, which is in the layout, and returns its value there; undefined when that cannot be written. */
  protected abstract normalisation(node: Node, x: string): string | undefined;

  /** Writes the average over all pixels of `x`, which is in the layout, as the map that `node` gives. */
  protected abstract average(node: Node, x: string): void;

  /** Writes a map into the layout. */
  protected abstract toLayout(map: string): string;

  /** Writes `value`, which is in the layout, as the map `name`. */
  protected abstract toMap(value: string, name: string): void;

  /** The map `name` in the layout. */
  protected insideOf(name: string): string {
    const known = this.inside.get(name);
    if (known !== undefined) return known;
    const value = this.toLayout(name);
    this.inside.set(name, value);
    return value;
  }

  /** Writes the map `name` where something reads it as a map. */
  protected leave(name: string): void {
    if (this.onlyInside.delete(name)) this.toMap(this.inside.get(name)!, name);
  }

  /** Writes `node` in the layout; false when it has to stay what it is. */
  private enter(node: Node): boolean {
    const { b } = this;
    const [x, other] = node.inputs as [string, string];
    const become = (value: string | undefined) => {
      if (value === undefined) return false;
      this.inside.set(node.outputs[0]!, value);
      this.onlyInside.add(node.outputs[0]!);
      return true;
    };
    const convolved = this.convolution(node);
    if (convolved !== undefined) return become(convolved);
    const here = this.inside.get(x);
    if (node.domain !== '' || here === undefined) return false;
    switch (node.opType) {
      case 'BatchNormalization':
        return become(this.normalisation(node, here));
      case 'Relu':
        return become(b.op('Relu', [here]));
      case 'Add':
        if (b.dims(x).join() !== b.dims(other).join()) return false;
        return become(b.op('Add', [here, this.insideOf(other)]));
      case 'GlobalAveragePool':
        this.average(node, here);
        return true;
      default:
        return false;
    }
  }
}

/** `graph` with what `write` writes in place of the nodes that it is true of; the very same where there are none. */
export function rewriteNodes(
  graph: Graph,
  prefix: string,
  write: (b: TypedBuilder, node: Node) => boolean,
): Graph {
  const b = new TypedBuilder(prefix, graph);
  let changed = false;
  const nodes = graph.nodes.flatMap((node) => {
    if (!write(b, node)) return [node];
    changed = true;
    return b.nodes.splice(0);
  });
  return changed ? { ...graph, nodes, initializers: [...graph.initializers, ...b.initializers] } : graph;
}
