/** Whether two networks can read the same token ids. */
import { firstTokenizerUnlike } from '../errors/index.ts';
import type { Graph } from '../graph/types.ts';
import { findLookups } from '../passes/find-lookups.ts';

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

/** Rows of the embedding that `input_ids` of `graph` are looked up in; undefined when there is none, or it is not found. */
export const vocabularyOf = (graph: Graph): number | undefined =>
  findLookups(graph).find(({ input }) => input === 'input_ids')?.table.dims[0];
