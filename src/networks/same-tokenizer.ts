/** Whether two networks can read the same token ids. */
import { firstTokenizerUnlike } from '../errors/index.ts';
import { numberOf } from '../graph/attributes.ts';
import type { Graph } from '../graph/types.ts';
import { indexGraph } from '../graph/walk.ts';

/** A model's graph and the file that it is of. */
export interface OfFile {
  readonly file: string;
  readonly graph: Graph;
}

/**
 * Throws `first-tokenizer-unlike` when `network` has another number of tokens than `original`: the same ids then are other words to it. Two
 * tokenizers of the same size cannot be told apart.
 */
export function refuseOtherTokenizer(original: OfFile, network: OfFile): void {
  const [known, rows] = [vocabularyOf(original.graph), vocabularyOf(network.graph)];
  if (known !== undefined && rows !== undefined && known !== rows)
    throw firstTokenizerUnlike(network.file, rows, original.file, known);
}

/** Ops that hand on ids, or the rows of an embedding, as they are. */
const HAND_ON = ['Cast', 'Identity', 'Reshape', 'Squeeze', 'Unsqueeze', 'Flatten', 'DequantizeLinear'];

/** Rows of the embedding that `input_ids` of `graph` are looked up in; undefined when it is not a Gather on an initializer. */
export function vocabularyOf(graph: Graph): number | undefined {
  const { initializer, producer } = indexGraph(graph);
  const rowsOf = (name: string): number | undefined => {
    const node = producer.get(name);
    if (node?.opType === 'Constant')
      return node.attributes.value?.type === 'TENSOR' ? node.attributes.value.value.dims[0] : undefined;
    if (node) return HAND_ON.includes(node.opType) ? rowsOf(node.inputs[0] ?? '') : undefined;
    return initializer.get(name)?.dims[0];
  };
  const ids = new Set(['input_ids']);
  for (const { opType, inputs, outputs, ...node } of graph.nodes) {
    if (HAND_ON.includes(opType) && ids.has(inputs[0] ?? '')) ids.add(outputs[0]!);
    if (opType !== 'Gather' || !ids.has(inputs[1] ?? '')) continue;
    const rows = rowsOf(inputs[0] ?? '');
    if (rows !== undefined && numberOf({ opType, inputs, outputs, ...node }, 'axis', 0) === 0) return rows;
  }
  return undefined;
}
