/** A package of a model that reads texts keeps their tokenizer beside it: apps, `evaluate` and `calibrate` need the same. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { isEncoded, readTokenizerFile } from '../data/tokenizer.ts';
import { asBadTokenizer } from '../errors/index.ts';
import { TOKENIZER_FILE } from './file-names.ts';
import type { Manifest } from './manifest.ts';

export interface KeptTokenizer {
  readonly sha256: string;
  readonly content: Uint8Array;
}

/** What `file` and tokenizer_config.json beside it say, as one tokenizer.json; undefined for a model with inputs that texts are not encoded into. Throws `bad-tokenizer` when it cannot be read. */
export async function readTokenizer(
  file: string | undefined,
  inputs: readonly string[],
): Promise<KeptTokenizer | undefined> {
  if (file === undefined || !inputs.every(isEncoded)) return undefined;
  const content = await readTokenizerFile(file).catch((error) => {
    throw asBadTokenizer(file, error);
  });
  return { sha256: createHash('sha256').update(content).digest('hex'), content };
}

/** The tokenizer to read texts by: the one that was given, else the package's own. */
export const tokenizerFor = (folder: string, { tokenizer }: Manifest, given: string | undefined) =>
  given ?? (tokenizer ? join(folder, TOKENIZER_FILE) : undefined);
