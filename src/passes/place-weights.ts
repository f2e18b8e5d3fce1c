/**
 * Where the tensors that branches read are kept. A tensor that lies in a branch takes twice its memory, so large ones lie in the main graph.
 * Some ops are only prepared ahead by ONNX Runtime when their weights are constants of the graph they are in: there a Concat of one input stands
 * in the branch, which ONNX Runtime folds into such a constant, and the main graph's copy is freed. `bench/branch-weights.md` has the figures.
 */
import { GraphBuilder, makeNode } from '../graph/builder.ts';
import { renameNode } from '../graph/rename.ts';
import type { Graph, Node, Tensor } from '../graph/types.ts';
import { isDefaultDomain } from '../graph/types.ts';
import { allNames, mapSubgraphs } from '../graph/walk.ts';
import type { Pass } from './pass.ts';

/** Which ONNX Runtime a model is written for: one for machines (onnxruntime-node, Python, servers), or the browser's. */
export const RUNTIMES = ['native', 'web'] as const;
export type Runtime = (typeof RUNTIMES)[number];

/** Up to here a tensor lies in the branch that alone reads it: shapes, axes and scales have to be constants there. */
const BRANCH_LOCAL_BYTES = 4096;

/**
 * Per op, the inputs that have to be constants of the node's own graph. Others with weights, as measured, time in the main graph without and
 * memory with a Concat, relative to the flat network:
 * - MatMul 1.0, 1.8; Gemm 1.0 or less, 1.6; LSTM .9, 1.7; ConvTranspose 1.0: packed from outside too, the packed copy replacing the first.
 * - QLinearConv .9 to 1.0, 1.7, written as QDQ too; QLinearMatMul 1.0, 1.8 to 3.0; MatMulInteger 1.0, 1.7: likewise.
 * - ConvInteger .9 to 1.0, 1.05; Gather (embeddings) as with a Concat: nothing is prepared.
 * - BatchNormalization: fused, or turned into a blocked Conv, from outside too.
 */
const OWN_CONSTANTS: Readonly<Record<string, readonly number[]>> = {
  // Else not in the blocked layout, and 1.2 of the time (1.45 after a picture). A bias from outside is enough for that.
  Conv: [1, 2],
};

/**
 * Moves large tensors of branches to the main graph and gives ops in branches the constants they need. `originals`: nodes whose own subgraphs
 * are left alone. For `web`, without any Concat: browsers have no blocked layout, and hold both copies.
 */
export const placeWeights = (originals: ReadonlySet<Node>, runtime: Runtime): Pass => ({
  name: 'place-weights',
  run(graph: Graph): Graph {
    const names = new GraphBuilder('', allNames(graph));
    const main: Tensor[] = [...graph.initializers];
    const constants = new Map(main.map((tensor) => [tensor.name, tensor]));

    const inside = (node: Node) => (originals.has(node) ? node : mapSubgraphs(node, place));
    const place = (branch: Graph): Graph => {
      const moved = branch.initializers.filter(isLarge);
      for (const tensor of moved) constants.set(tensor.name, tensor);
      main.push(...moved);
      const aliases = new Map<string, string>();
      const nodes = branch.nodes.flatMap((node) => {
        const own = runtime === 'native' ? ownConstants(node).filter((name) => constants.has(name)) : [];
        const added = own.filter((name) => !aliases.has(name));
        for (const name of added) aliases.set(name, names.fresh(`${name}/local`));
        const concats = added.map((name) => makeNode('Concat', [name], [aliases.get(name)!], { axis: 0 }));
        const here = new Map(own.map((name) => [name, aliases.get(name)!]));
        return [...concats, inside(own.length > 0 ? renameNode(node, here) : node)];
      });
      const isSame = moved.length === 0 && nodes.every((node, i) => node === branch.nodes[i]);
      return isSame
        ? branch
        : { ...branch, nodes, initializers: branch.initializers.filter((t) => !isLarge(t)) };
    };

    const nodes = graph.nodes.map(inside);
    return nodes.every((node, i) => node === graph.nodes[i])
      ? graph
      : { ...graph, nodes, initializers: main };
  },
});

const isLarge = ({ external, bytes }: Tensor): boolean =>
  external !== undefined || bytes.byteLength > BRANCH_LOCAL_BYTES;

/** What `node` reads and needs as constants of its own graph. */
function ownConstants({ opType, domain, inputs }: Node): string[] {
  const at = isDefaultDomain(domain) ? (OWN_CONSTANTS[opType] ?? []) : [];
  return [...new Set(at.flatMap((i) => inputs[i] || []))];
}
