/** Of networks in front of the original whose inputs cannot be made from the original's. */
import { OfframpError } from './offramp-error.ts';
import { option } from './option.ts';

/** `input`, `original`: name, type and shape, e.g. `pixels float [3, 24, 24]`. */
export const firstInputUnlike = (input: string, original: string) =>
  new OfframpError(
    'first-input-unlike',
    `input ${input} cannot be made from the original's ${original}`,
    `A picture is made from one of any size that has as many channels, or 3 for 1, or 1 for 3; other inputs from as many numbers. If both are pictures, say where their channels are: ${option('layout')}, ${option('first[].layout')}.`,
  );

/** `input`, `originals`: name, type and shape of each. */
export const firstInputMissing = (input: string, originals: readonly string[]) =>
  new OfframpError(
    'first-input-missing',
    `input ${input} has no partner among the original's inputs: ${originals.join(', ')}`,
    'Export it with the names of the original, or with inputs of the same types and shapes in the same order. An input that is the same for all samples can be made a constant before.',
  );

/** `rows`, `known`: tokens that the network of `file` and the original, of `original`, have embeddings of. */
export const firstTokenizerUnlike = (file: string, rows: number, original: string, known: number) =>
  new OfframpError(
    'first-tokenizer-unlike',
    `${file} has another tokenizer than ${original}: its embedding has ${rows} rows, the original's ${known}, so the same ids are other words`,
    'For now, networks of a chain must share one tokenizer: give a first network that was trained with that of the original.',
  );
