/** Data that lies beside the repository (../shared/data) and is no part of it. Tests that need it are named *.shared.test.ts. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../shared/data', import.meta.url));

export const hasSharedData = (): boolean => existsSync(ROOT);

/** The path of a file or folder under ../shared/data. Throws when it is not there. */
export function sharedData(...parts: string[]): string {
  const path = join(ROOT, ...parts);
  if (!existsSync(path)) throw new Error(`${path} is not there: only *.shared.test.ts may ask for it`);
  return path;
}
