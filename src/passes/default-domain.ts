import { type Graph, isDefaultDomain, type Node } from '../graph/types.ts';
import { mapSubgraphs } from '../graph/walk.ts';
import type { Pass } from './pass.ts';

/** Calls the domain of ONNX's own operators '' alone: a branch of an If in which a node says `ai.onnx` is refused by ONNX Runtime, which the main graph is not. */
export const defaultDomain: Pass = { name: 'default-domain', run: (graph) => withDefault(graph) };

function withDefault(graph: Graph): Graph {
  const nodes = graph.nodes.map((node): Node => {
    const within = mapSubgraphs(node, withDefault);
    return isDefaultDomain(within.domain) && within.domain !== '' ? { ...within, domain: '' } : within;
  });
  return nodes.every((node, i) => node === graph.nodes[i]) ? graph : { ...graph, nodes };
}
