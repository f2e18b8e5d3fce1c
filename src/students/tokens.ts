/** Students of texts: embedded tokens, averaged or convolved; those that the mask leaves out count for nothing. */
import { DATA_TYPES, type Tensor } from '../graph/types.ts';
import { BLOCK } from '../passes/layers.ts';
import type { TokenPart } from './input-parts.ts';
import type { StudentForm, StudentReads, TOKEN_FAMILIES } from './student.ts';
import type { Place, StudentBuilder } from './student-builder.ts';

/**
 * Of the first numbers of an embedding of a student's own. They hardly move where they are large: words that nothing was learned of then say as
 * much as those that tell classes apart, and texts are learned by heart.
 */
const DEVIATION = 0.01;
/** Rows of an embedding of a student's own at most: ids beyond share them, by their remainder. */
const MOST_ROWS = 2 ** 15;
/** When nobody says how many tokens there are. */
const UNKNOWN_ROWS = 2 ** 13;

/** [N, F]: `part` read by a student of `form`. Names of layers begin with `layer`. */
export function readTokens(
  b: StudentBuilder,
  layer: string,
  part: TokenPart,
  { family, width, depth }: StudentForm & { readonly family: (typeof TOKEN_FAMILIES)[number] },
  embedding: StudentReads['embedding'],
): Place {
  const units = BLOCK * width;
  const length = part.ids.dims[0]!;
  const mask = maskOf(b, part);
  const { table, vocabulary = UNKNOWN_ROWS } = (embedding?.input === part.ids.name && embedding) || {};
  const { value: embedded, size } = table
    ? embedShared(b, layer, part, table)
    : embedOwn(b, layer, part, units, Math.min(vocabulary, MOST_ROWS));
  if (family === 'bag') {
    const mean = b.op('Reshape', [meanOf(b, embedded, mask, length), b.int64([-1, size])]);
    return b.hidden(layer, b.normalisation(`${layer}input`, mean, size), size, units, depth);
  }
  const columns = b.op('Reshape', [mask, b.int64([-1, 1, 1, length])]);
  const masked = (map: string) => b.op('Mul', [map, columns]);
  let map = masked(
    b.normalisation(`${layer}input`, rowsToMap(b, layer, embedded, size, units, length), units),
  );
  for (let i = 1; i <= depth; i++) {
    const kernel = { kernel: [1, 3], strides: [1, 1] };
    const conv = b.convolution(`${layer}conv${i}`, map, units, units, kernel);
    const sum = b.op('Add', [map, b.normalisation(`${layer}norm${i}`, conv, units)]);
    map = masked(b.op('Relu', [sum], {}, b.fresh(`${layer}conv${i}/relu`)));
  }
  // Nothing in the map is below 0, and what the mask leaves out is 0.
  const most = b.op('MaxPool', [map], { kernel_shape: [1, length] });
  const rows = b.op('Reshape', [map, b.int64([-1, units, length])]);
  const mean = meanOf(b, b.op('Transpose', [rows], { perm: [0, 2, 1] }), mask, length);
  const both = [most, mean].map((value) => b.op('Reshape', [value, b.int64([-1, units])]));
  // The most of a long text is so large that a linear classifier of it diverges.
  const normal = b.normalisation(`${layer}pooled`, b.op('Concat', both, { axis: 1 }), 2 * units);
  return { value: normal, dims: [2 * units] };
}

/** [N, L] float: 1 for tokens that count. */
function maskOf(b: StudentBuilder, { ids, mask }: TokenPart): string {
  const counts = b.op('Cast', [(mask ?? ids).name], { to: DATA_TYPES.indexOf('bool') });
  return b.asFloat({ name: counts, dataType: 'bool' });
}

/** Embedded tokens [N, L, size]. */
interface Embedded {
  readonly value: string;
  readonly size: number;
}

function embedShared(b: StudentBuilder, layer: string, { ids }: TokenPart, table: Tensor): Embedded {
  const name = b.initializer({ ...table, name: `${layer}embedding/table` });
  const rows = b.op('Gather', [name, ids.name]);
  return { value: b.asFloat({ name: rows, dataType: table.dataType }), size: table.dims[1]! };
}

function embedOwn(
  b: StudentBuilder,
  layer: string,
  { ids }: TokenPart,
  size: number,
  rows: number,
): Embedded {
  const table = b.normal(`${layer}embedding/weight`, [rows, size], DEVIATION);
  const wide =
    ids.dataType === 'int64' ? ids.name : b.op('Cast', [ids.name], { to: DATA_TYPES.indexOf('int64') });
  return { value: b.op('Gather', [table, b.op('Mod', [wide, b.int64(rows)])]), size };
}

/** [N, L, size] → [N, 1, size], the mean of the tokens that count. */
function meanOf(b: StudentBuilder, rows: string, mask: string, length: number): string {
  const ones = b.float(new Array<number>(length).fill(1), [length, 1]);
  const count = b.op('Max', [b.op('MatMul', [mask, ones]), b.float(1)]);
  const weights = b.op('Reshape', [b.op('Div', [mask, count]), b.int64([-1, 1, length])]);
  return b.op('MatMul', [weights, rows]);
}

/** [N, L, size] → [N, units, 1, L] */
function rowsToMap(
  b: StudentBuilder,
  layer: string,
  rows: string,
  size: number,
  units: number,
  length: number,
): string {
  const projected =
    size === units
      ? rows
      : b.op('MatMul', [rows, b.normal(`${layer}projection/weight`, [size, units], Math.sqrt(1 / size))]);
  const turned = b.op('Transpose', [projected], { perm: [0, 2, 1] });
  return b.op('Reshape', [turned, b.int64([-1, units, 1, length])]);
}
