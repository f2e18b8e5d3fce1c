import { type Stats, statSync } from 'node:fs';

/** Distinguishes a changed file from an unchanged one. */
export interface FileStamp {
  readonly file: string;
  readonly sizeBytes: number;
  readonly mtimeMs: number;
}

export function fileStamp(file: string): FileStamp {
  const { size, mtimeMs } = statSync(file);
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
