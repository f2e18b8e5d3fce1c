/** Analysis: which inputs of a graph are looked up in tables: token ids, of which a model reads the embeddings. */
import { numberOf } from '../graph/attributes.ts';
import { type Graph, isDefaultDomain, type Node, type Tensor } from '../graph/types.ts';
import { indexGraph } from '../graph/walk.ts';

export interface Lookup {
  /** Of whole numbers, each of which says which row. */
  readonly input: string;
  /** A row for each number that there is, of any type: codes where the embedding is quantised. */
  readonly table: Tensor;
}

/** Ops behind which ids are the same ids. */
const KEEP_IDS = ['Cast', 'Flatten', 'Identity', 'Reshape', 'Squeeze', 'Unsqueeze'];
/** Ops behind which a table has the same rows. */
const KEEP_ROWS = ['Cast', 'DequantizeLinear', 'Identity'];

/** In the order of the graph; lookups inside of subgraphs are not seen. */
export function findLookups(graph: Graph): readonly Lookup[] {
  const { initializer, producer, realInputs } = indexGraph(graph);
  const maker = (name: string, ops: readonly string[]): Node | undefined => {
    const node = producer.get(name);
    return node && isDefaultDomain(node.domain) && ops.includes(node.opType) ? node : undefined;
  };
  const inputOf = (name: string): string | undefined => {
    const node = maker(name, KEEP_IDS);
    if (node) return inputOf(node.inputs[0]!);
    return realInputs.has(name) ? name : undefined;
  };
  const tableOf = (name: string): Tensor | undefined => {
    const node = maker(name, KEEP_ROWS);
    if (node) return tableOf(node.inputs[0]!);
    const value = maker(name, ['Constant'])?.attributes.value;
    return value?.type === 'TENSOR' ? value.value : initializer.get(name);
  };
  return graph.nodes.flatMap((node) => {
    const places = placesOf(node);
    if (!places) return [];
    const input = inputOf(node.inputs[places.ids]!);
    const table = tableOf(node.inputs[places.table]!);
    return input !== undefined && table ? [{ input, table }] : [];
  });
}

/** Where ids and table are among the inputs of an op that looks up: Gather, and what ONNX Runtime makes of a BERT's embeddings. */
function placesOf(node: Node): { readonly ids: number; readonly table: number } | undefined {
  if (isDefaultDomain(node.domain))
    return node.opType === 'Gather' && numberOf(node, 'axis', 0) === 0 ? { ids: 1, table: 0 } : undefined;
  return node.opType === 'EmbedLayerNormalization' ? { ids: 0, table: 2 } : undefined;
}
