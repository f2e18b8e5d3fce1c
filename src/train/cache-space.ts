/** Room in a folder of the cache: what may still be written there, and what has to go for it. */
import { readdir, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';

/** Bytes that `paths` may take: the limit, at most half of what is free (what they take already counts as free). */
export async function spaceFor(folder: string, paths: readonly string[], limit: number): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  const sizes = await Promise.all(
    paths.map((path) =>
      stat(path).then(
        (s) => s.size,
        () => 0,
      ),
    ),
  );
  return Math.min(limit, (bavail * bsize) / 2 + sizes.reduce((a, b) => a + b, 0));
}

/** Deletes files other than `keep`, with what lies beside them, those not used for longest first, until they take at most `bytes`. */
export async function evict(folder: string, keep: ReadonlySet<string>, bytes: number): Promise<void> {
  const names = (await readdir(folder)).filter((name) => !name.includes('.'));
  const others = names.map((name) => join(folder, name)).filter((path) => !keep.has(path));
  const known = await Promise.all(others.map(async (path) => ({ path, ...(await stat(path)) })));
  let left = bytes;
  for (const { path, size } of known.sort((a, b) => b.mtimeMs - a.mtimeMs)) {
    left -= size;
    if (left < 0) await Promise.all([rm(path, { force: true }), rm(`${path}.json`, { force: true })]);
  }
}
