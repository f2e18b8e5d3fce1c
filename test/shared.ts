/** Data that lies beside the repository (../shared/data) and is no part of it. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../shared/data', import.meta.url));
let told = false;

/** The path of a file or folder under ../shared/data; undefined (said loudly, once) when it is not there. */
export function sharedData(...parts: string[]): string | undefined {
  const path = join(ROOT, ...parts);
  if (existsSync(path)) return path;
  if (!told) console.error(`\n*** SKIPPED: ../shared/data is missing (${parts.join('/')}) ***\n`);
  told = true;
  return undefined;
}
