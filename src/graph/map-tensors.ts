/** Changes to tensors, wherever in a graph they are. */
import type { Attribute, Graph, Node, Tensor } from './types.ts';

/** `owner`: the node whose attribute the tensor is; undefined of an initializer. */
export type ChangeTensor = (tensor: Tensor, owner: Node | undefined) => Tensor;

/** `graph` with `change` made to its initializers and to the tensors in attributes, in subgraphs too. Same object when none is changed. */
export function mapTensors(graph: Graph, change: ChangeTensor): Graph {
  const initializers = mapped(graph.initializers, (tensor) => change(tensor, undefined));
  const nodes = mapped(graph.nodes, (node) => mapNode(node, change));
  const isSame = initializers === graph.initializers && nodes === graph.nodes;
  return isSame ? graph : { ...graph, initializers, nodes };
}

function mapNode(node: Node, change: ChangeTensor): Node {
  const before = Object.entries(node.attributes);
  const after = mapped(before, (entry): [string, Attribute] => {
    const [name, attribute] = entry;
    const made = mapAttribute(attribute, node, change);
    return made === attribute ? entry : [name, made];
  });
  return after === before ? node : { ...node, attributes: Object.fromEntries(after) };
}

function mapAttribute(attribute: Attribute, owner: Node, change: ChangeTensor): Attribute {
  const { type, value } = attribute;
  const [tensor, graph] = [(t: Tensor) => change(t, owner), (g: Graph) => mapTensors(g, change)];
  const made: Attribute =
    type === 'TENSOR'
      ? { type, value: tensor(value) }
      : type === 'TENSORS'
        ? { type, value: mapped(value, tensor) }
        : type === 'GRAPH'
          ? { type, value: graph(value) }
          : type === 'GRAPHS'
            ? { type, value: mapped(value, graph) }
            : attribute;
  return made.value === value ? attribute : made;
}

/** `list` with `change` made to each element; the same list when that returns each as it was. */
function mapped<T>(list: readonly T[], change: (element: T) => T): readonly T[] {
  const made = list.map(change);
  return made.every((element, i) => element === list[i]) ? list : made;
}
