import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Manifest, readManifest } from './emit/manifest.ts';
import { notAPackage } from './errors.ts';

/** The manifest of what `compile` wrote to `folder`. Throws `not-a-package`, and what `readManifest` throws. */
export async function readPackage(folder: string): Promise<Manifest> {
  const text = await readFile(join(folder, 'manifest.json'), 'utf8').catch(() => {
    throw notAPackage(folder);
  });
  return readManifest(text);
}
