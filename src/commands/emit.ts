/** The TypeScript package of a compiled model, generated again from its manifest; or checked, for CI. */
import { readFile } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { isFile } from '../data/files.ts';
import { readTokenizerFile } from '../data/tokenizer.ts';
import type { Manifest } from '../emit/manifest.ts';
import { readAnyPackage } from '../emit/read-package.ts';
import { emitPackage, emitStub } from '../emit/stub.ts';
import { TOKENIZER_FILE } from '../emit/stub-texts.ts';
import { writeOneFile, writeOutput } from '../emit/write.ts';
import { asBadTokenizer, outputUnusable, packageDiffers, packageOutdated } from '../errors/index.ts';
import { checkCall } from './options.ts';

export interface EmitOptions {
  /** What `compile` wrote, or the client that `split` did. */
  readonly folder: string;
  /** Write nothing; throw `package-differs` when a file is not what would be written. */
  readonly check?: boolean;
  /** This one TypeScript file instead of the package; it finds model.onnx in `folder`, relative to itself. */
  readonly stubOnly?: string;
}

/**
 * Writes the package's files, model and manifest excepted, and returns their paths. What is said by manifest.json is all that
 * they depend on. Throws `not-a-package`, `package-outdated`, `package-differs`, `output-unusable`, `output-failed`, and what `readManifest` throws.
 */
export async function emit(options: EmitOptions): Promise<readonly string[]> {
  checkCall('emit', options);
  const { folder, check = false, stubOnly } = options;
  if (stubOnly !== undefined && !/\.[cm]?ts$/.test(stubOnly))
    throw outputUnusable(stubOnly, 'it is not called as TypeScript is (.ts)');
  const manifest = await readAnyPackage(folder);
  await checkTokenizer(folder, manifest);
  const wanted = stubOnly === undefined ? emitPackage(manifest) : undefined;
  const files = wanted
    ? new Map([...wanted].map(([name, text]) => [join(folder, name), text]))
    : new Map([[stubOnly!, emitStub(manifest, modelFolderFrom(stubOnly!, folder))]]);
  if (check) {
    const differing: string[] = [];
    for (const [path, text] of files) {
      const present = await readFile(path, 'utf8').catch(() => undefined);
      if (present !== text) differing.push(path);
    }
    const command = `npx onnx-offramp emit ${folder}${stubOnly === undefined ? '' : ` --stub-only ${stubOnly}`}`;
    if (differing.length > 0) throw packageDiffers(differing, command);
  } else if (wanted) {
    await writeOutput(folder, wanted, { update: true });
  } else {
    await writeOneFile(stubOnly!, files.get(stubOnly!)!);
  }
  return [...files.keys()];
}

/** Throws `package-outdated` where the package's tokenizer.json says what the code of today reads in another way. */
async function checkTokenizer(folder: string, { tokenizer }: Manifest): Promise<void> {
  const file = join(folder, TOKENIZER_FILE);
  if (!tokenizer || !isFile(file)) return;
  const today = await readTokenizerFile(file).catch((error) => {
    throw asBadTokenizer(file, error);
  });
  if (!today.equals(await readFile(file))) throw packageOutdated(folder, TOKENIZER_FILE);
}

/** As a module specifier: `.`, `./out`, `../out`. */
function modelFolderFrom(file: string, folder: string): string {
  const path = relative(dirname(resolve(file)), resolve(folder))
    .split(sep)
    .join('/');
  return path === '' ? '.' : path.startsWith('.') ? path : `./${path}`;
}
