/** Golden files: golden/<case>/ holds, byte for byte, what a case must produce. `npm run golden` rewrites them. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as assert from 'uvu/assert';

const ROOT = fileURLToPath(new URL('../golden', import.meta.url));
const REMEDY = 'run `npm run golden`, read the diff, and commit it if it is right';

/**
 * Compares `files` (path inside the folder → text) with golden/<name>/. A missing file fails, and so does a file
 * that nothing produced, unless it is an input of the case: named `input.*` or `source.*`, or listed in `inputs`.
 * `name` must appear as a plain string in the test file: a house test looks for folders nobody claims.
 */
export function goldenCase(
  name: string,
  files: ReadonlyMap<string, string>,
  inputs: readonly string[] = [],
): void {
  const folder = join(ROOT, name);
  const isInput = (path: string) => /^(input|source)\.[^/]*$/.test(path) || inputs.includes(path);
  const orphans = listFiles(folder).filter((path) => !isInput(path) && !files.has(path));

  if (process.env.UPDATE_GOLDEN === '1') {
    for (const path of orphans) rmSync(join(folder, path));
    for (const [path, text] of files) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), text);
    }
    return;
  }
  assert.is(orphans.join(', '), '', `golden/${name} holds files that the case does not produce; ${REMEDY}`);
  for (const [path, text] of files) {
    const expected = readText(join(folder, path));
    if (expected === undefined) assert.unreachable(`golden/${name}/${path} is missing; ${REMEDY}`);
    assert.not.ok(
      text.includes('\r'),
      `golden/${name}/${path}: the text has a carriage return; write LF only`,
    );
    assert.is(text, expected, `golden/${name}/${path} differs; ${REMEDY}`);
  }
}

/** Files below `folder`, relative, with forward slashes, sorted; none when there is no such folder. */
export function listFiles(folder: string): string[] {
  let entries: import('node:fs').Dirent[];
  try {
    entries = readdirSync(folder, { withFileTypes: true, recursive: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .sort();
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
