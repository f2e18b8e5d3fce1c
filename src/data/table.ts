import type { FileStamp } from './files.ts';

/** A sample as named fields. */
export interface Row {
  readonly fields: Readonly<Record<string, unknown>>;
  /** `file:line` or `file row n`, for errors. */
  readonly place: string;
}

/** Samples as rows, whatever the file format. */
export interface Table {
  readonly format: string;
  /** Absolute. */
  readonly path: string;
  readonly files: readonly FileStamp[];
  /** Names of the fields, of the first row or of the file's schema. */
  readonly fields: readonly string[];
  /** Where `fields` is from, for errors. */
  readonly head: string;
  /** Class names that the files themselves give for `field`. */
  classNamesOf?(field: string): Promise<readonly string[] | undefined>;
  count(): Promise<number>;
  /** All rows; `columns` are the fields that are needed. */
  rows(columns: readonly string[]): AsyncIterable<Row>;
}
