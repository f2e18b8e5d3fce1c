/** The invariants of a graph: SSA, topological order, no dangling reads, no shadowing. */
import { invalidGraph } from '../errors/index.ts';
import type { Graph } from './types.ts';
import { subgraphs } from './walk.ts';

type Scope = Pick<ReadonlySet<string>, 'has'>;

/** Throws `invalid-graph` naming the first node or value that breaks an invariant. `outer`: names in scope around it. */
export function checkGraph(graph: Graph, outer: Scope = new Set()): void {
  const own = new Set<string>();
  // Not a copy of `outer`: a file can hold a subgraph for every ten bytes.
  const defined: Scope = { has: (name) => own.has(name) || outer.has(name) };
  const define = (name: string, where: string) => {
    if (name === '') return;
    if (defined.has(name)) throw invalidGraph(`value ${name} is defined twice`, where);
    own.add(name);
  };
  for (const input of graph.inputs) define(input.name, `input of graph ${graph.name}`);
  const inputs = new Set(graph.inputs.map((v) => v.name));
  for (const tensor of [...graph.initializers, ...graph.sparseInitializers]) {
    if (!inputs.delete(tensor.name)) define(tensor.name, `initializer of graph ${graph.name}`);
  }
  const made = new Set(graph.nodes.flatMap((n) => n.outputs));
  graph.nodes.forEach((node, i) => {
    const where = `node ${i} ${node.opType}${node.name ? ` "${node.name}"` : ''}`;
    for (const input of node.inputs) {
      if (input !== '' && !defined.has(input)) {
        const problem = made.has(input)
          ? 'is read before it is made, or lies on a cycle'
          : 'is not made by any node';
        throw invalidGraph(`value ${input} ${problem}`, where);
      }
    }
    for (const sub of subgraphs(node)) checkGraph(sub, defined);
    for (const output of node.outputs) define(output, where);
  });
  for (const output of graph.outputs) {
    if (!defined.has(output.name))
      throw invalidGraph(`output ${output.name} is not made by any node`, `graph ${graph.name}`);
  }
}
