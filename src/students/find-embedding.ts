/** The original's embedding of tokens, which its students read too: kept once, it costs a package nothing. */
import { numberOf } from '../graph/attributes.ts';
import { elementBytes, elementCount } from '../graph/tensor.ts';
import { type Graph, isDefaultDomain, type Node, type Tensor } from '../graph/types.ts';
import { indexGraph } from '../graph/walk.ts';
import { withBytes } from '../parser/index.ts';
import type { SharedEmbedding } from './student.ts';

/** A larger one would make every training graph as large. */
const MOST_BYTES = 2 ** 29;

/** Ops behind which ids are the same ids. */
const MOVING = ['Cast', 'Flatten', 'Identity', 'Reshape', 'Squeeze', 'Unsqueeze'];

/**
 * The table [V, D] of floats that `graph`, the original's, gathers rows of by an input of ids; that of `input_ids` where several inputs are looked
 * up so, and never that of `attention_mask` or `token_type_ids`. `folder`: where the original's external data lie. Undefined when there is
 * none: no text goes in, or its embedding is quantised, or it is larger than 512 MB.
 */
export async function findEmbedding(graph: Graph, folder: string): Promise<SharedEmbedding | undefined> {
  const { initializer, producer, realInputs } = indexGraph(graph);
  const constant = (name: string): Tensor | undefined => {
    const value = producer.get(name)?.attributes.value;
    return value?.type === 'TENSOR' ? value.value : initializer.get(name);
  };
  const inputOf = (name: string): string | undefined => {
    const made = producer.get(name);
    if (made && isDefaultDomain(made.domain) && MOVING.includes(made.opType)) return inputOf(made.inputs[0]!);
    return realInputs.has(name) && !['attention_mask', 'token_type_ids'].includes(name) ? name : undefined;
  };
  const found = graph.nodes.flatMap((node) => {
    const looked = lookedUp(node);
    const table = looked && constant(looked.table);
    const input = looked && inputOf(looked.ids);
    return table && input !== undefined && isTable(table) ? [{ input, table }] : [];
  });
  const best = found.find(({ input }) => input === 'input_ids') ?? found[0];
  return best && { ...best, table: await withBytes(best.table, folder) };
}

/** What a node looks up in what: Gather, and the op that ONNX Runtime makes of a BERT's embeddings. */
function lookedUp(node: Node): { readonly table: string; readonly ids: string } | undefined {
  const { opType, domain, inputs } = node;
  if (opType === 'Gather' && isDefaultDomain(domain))
    return numberOf(node, 'axis', 0) === 0 ? { table: inputs[0]!, ids: inputs[1]! } : undefined;
  return opType === 'EmbedLayerNormalization' ? { table: inputs[2]!, ids: inputs[0]! } : undefined;
}

const isTable = ({ dataType, dims }: Tensor): boolean =>
  dims.length === 2 &&
  (dataType === 'float' || dataType === 'float16') &&
  elementCount(dims) * elementBytes(dataType)! <= MOST_BYTES;
