/** What the files of networks are called in tables, reports and manifests. */
import { posix, win32 } from 'node:path';

/**
 * The name of each of `paths`, in order: its base name, and where files in several places have the same one, the folders before it that tell them apart,
 * `a/model.onnx` and `b/model.onnx`. Paths count as they are written, so no name says where on the machine a file lies; what `..` alone
 * tells apart keeps its base name, as does one file that is named twice.
 */
export function filesApart(paths: readonly string[]): string[] {
  const written = paths.map(partsOf);
  const endOf = (parts: readonly string[], length: number) => parts.slice(-length).join('/');
  return written.map((parts) => {
    const alike = written.filter((other) => other.at(-1) === parts.at(-1));
    const different = new Set(alike.map((other) => other.join('/'))).size;
    for (let length = 1; length <= Math.max(...alike.map((other) => other.length)); length++) {
      if (new Set(alike.map((other) => endOf(other, length))).size === different) return endOf(parts, length);
    }
    return endOf(parts, 1);
  });
}

/** Folders and file, without roots, drives and steps upwards. */
const partsOf = (path: string): string[] =>
  posix
    .normalize(path.replaceAll(win32.sep, posix.sep))
    .split(posix.sep)
    .filter((part) => part !== '' && part !== '.' && part !== '..' && !/^[A-Za-z]:$/.test(part));
