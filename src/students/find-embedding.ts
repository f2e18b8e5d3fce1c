/** How the original looks its tokens up, which its students do too. */
import { elementBytes, elementCount } from '../graph/tensor.ts';
import type { Graph, Tensor } from '../graph/types.ts';
import { withBytes } from '../parser/index.ts';
import { findLookups } from '../passes/find-lookups.ts';
import type { Embedding } from './student.ts';

/** A larger one would make every training graph as large. */
const MOST_BYTES = 2 ** 29;

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
    ...(isShared(table) && { table: await withBytes(table, folder) }),
  };
}

const isShared = ({ dataType, dims }: Tensor): boolean =>
  (dataType === 'float' || dataType === 'float16') &&
  elementCount(dims) * elementBytes(dataType)! <= MOST_BYTES;
