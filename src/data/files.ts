import { type Stats, statSync } from 'node:fs';

/** Distinguishes a changed file from an unchanged one. */
export interface FileStamp {
  readonly file: string;
  readonly sizeBytes: number;
  readonly mtimeMs: number;
}

/** Zeros where there is nothing, as behind a link whose file is gone. */
export function fileStamp(file: string): FileStamp {
  const { size, mtimeMs } = statsOf(file) ?? { size: 0, mtimeMs: 0 };
  return { file, sizeBytes: size, mtimeMs };
}

export function fileStamps(files: readonly string[]): FileStamp[] {
  return files.map(fileStamp);
}

export function isFile(path: string): boolean {
  return statsOf(path)?.isFile() ?? false;
}

export function isFolder(path: string): boolean {
  return statsOf(path)?.isDirectory() ?? false;
}

function statsOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}
