/** How the original looks its tokens up, which its students do too. */
import { elementBytes, elementCount } from '../graph/tensor.ts';
import type { Graph, Tensor } from '../graph/types.ts';
import { withBytes } from '../parser/index.ts';
import { findLookups } from '../passes/find-lookups.ts';
import type { Embedding } from './student.ts';

/** A larger one would make every training graph as large. */
const MOST_BYTES = 2 ** 29;

/**
 * Of a table with fewer rows students make nothing better than one of their own, which they learn in a minute: it is of a model that has read no
 * more texts than they (`bench/text-students.md`). Larger vocabularies are of models that have, and learning a row for each token takes most of a step.
 */
const SHARED_FROM = 2 ** 14;

/** Inputs that say something about tokens and are no tokens. */
const ABOUT_TOKENS = ['attention_mask', 'token_type_ids', 'position_ids'];

/**
 * How `graph`, the original's, looks up its token ids: those of `input_ids` where several inputs are looked up. Undefined when no text goes
 * in, or it is not found how. The table is there unless it is quantised or larger than 512 MB. `folder`: where the original's external data lie.
 */
export async function findEmbedding(graph: Graph, folder: string): Promise<Embedding | undefined> {
  const found = findLookups(graph).filter(
    ({ input, table }) => !ABOUT_TOKENS.includes(input) && table.dims.length === 2,
  );
  const best = found.find(({ input }) => input === 'input_ids') ?? found[0];
  if (!best) return undefined;
  const { input, table } = best;
  return {
    input,
    vocabulary: table.dims[0]!,
    ...(isReadable(table) && { table: await withBytes(table, folder) }),
  };
}

/** What students are to read of `embedding`: the table where it has many rows, else the number of tokens. */
export const embeddingToRead = (embedding: Embedding): Embedding =>
  embedding.vocabulary < SHARED_FROM ? { ...embedding, table: undefined } : embedding;

const isReadable = ({ dataType, dims }: Tensor): boolean =>
  (dataType === 'float' || dataType === 'float16') &&
  elementCount(dims) * elementBytes(dataType)! <= MOST_BYTES;
