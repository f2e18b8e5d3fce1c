/** The only file that imports hyparquet. Rows are counted from 0 in each file, as pandas and the hub's viewer do. */
import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import * as zlib from 'node:zlib';
import type { AsyncBuffer, Compressors, FileMetaData, RowGroup, SchemaTree } from 'hyparquet';
import { badDataFile, messageOf, OfframpError, unsupportedCodec } from '../errors/index.ts';
import { isNames } from './class-names.ts';
import { imageSource, type LabelledImage } from './decode-image.ts';
import { fileStamps, isFolder } from './files.ts';
import { labelling, shown } from './labelling.ts';
import { chooseFiles } from './parts.ts';
import type { Source, SourceOptions } from './records.ts';
import { rowSource } from './rows.ts';
import type { Row, Table } from './table.ts';

/** Columns of images, each its bytes or a struct of them. */
const IMAGE_COLUMNS = ['image', 'img'];

export function isParquet(path: string): boolean {
  return path.endsWith('.parquet');
}

/** Parts of `folder`, by name. */
export type Parts = ReadonlyMap<string, readonly string[]>;

/**
 * Parquet files by part, as the Hugging Face hub lays them out: data/train-00000-of-00002.parquet and the like, there
 * or in `folder` itself, or `part`/0000.parquet, where the hub has converted them.
 */
export async function parquetParts(folder: string, part: string | undefined): Promise<Parts> {
  const places = [folder, join(folder, 'data'), ...(part ? [join(folder, part)] : [])];
  const found: Parts[] = [];
  for (const place of places.filter(isFolder)) found.push(await partsIn(place));
  const some = found.filter(({ size }) => size > 0);
  return some.find((parts) => part !== undefined && parts.has(part)) ?? some[0] ?? new Map();
}

async function partsIn(folder: string): Promise<Parts> {
  const parts = new Map<string, string[]>();
  for (const name of (await readdir(folder)).filter(isParquet).sort()) {
    const file = join(folder, name);
    const { part } = readName(file);
    parts.set(part, [...(parts.get(part) ?? []), file]);
  }
  return parts;
}

/** The part that `file` belongs to, and the number of the part's files where the name has it. */
function readName(file: string): { part: string; total: number | undefined } {
  const [, name = '', total] = /^(.*?)(?:-\d+-of-(\d+)(?:-[0-9a-f]+)?)?\.parquet$/.exec(basename(file)) ?? [];
  const part = /^\d+$/.test(name) ? basename(dirname(file)) : name;
  return { part, total: total === undefined ? undefined : Number(total) };
}

/** Files of `part`, or of the only part there is: all that their names promise. */
export function chooseShards(folder: string, parts: Parts, part: string | undefined): readonly string[] {
  const files = chooseFiles(folder, parts, part);
  const { part: chosen, total = files.length } = readName(files[0]!);
  if (files.length !== total)
    throw badDataFile(
      dirname(files[0]!),
      `${files.length} of the ${total} files of part ${chosen} are there`,
      'Fetch the others too.',
    );
  return files;
}

/** Parquet files with images, or with numbers or text as `rowSource` takes them. */
export async function parquetSource(
  path: string,
  files: readonly string[],
  options: SourceOptions,
): Promise<Source> {
  const { schema } = await openFile(files[0]!);
  const fields = schema.children.map(({ element }) => element.name);
  const about = { format: 'parquet', path, files: fileStamps(files), count: () => countRows(files) };
  const table: Table = {
    ...about,
    fields,
    head: files[0]!,
    classNamesOf: (field) => sameNames(files, field),
    rows: (columns) => rowsOf(files, columns),
  };
  const image = IMAGE_COLUMNS.find((name) => fields.includes(name));
  if (!image || options.inputs.every(({ name }) => fields.includes(name))) return rowSource(table, options);

  const { field, classNames, labelOf } = await labelling(table, options);
  const columns = field ? [image, field] : [image];
  const images = async function* (): AsyncGenerator<LabelledImage> {
    for await (const row of table.rows(columns))
      yield { name: row.place, label: labelOf(row), content: bytesOf(row, image) };
  };
  return imageSource({ ...about, decode: columns, classNames }, images, options);
}

function bytesOf({ fields, place }: Row, column: string): Uint8Array {
  const value = fields[column] as { bytes?: unknown } | Uint8Array | null | undefined;
  const bytes = value instanceof Uint8Array ? value : value?.bytes;
  if (bytes instanceof Uint8Array) return bytes;
  throw badDataFile(
    place,
    `${column} has no bytes`,
    'Images must be in the file itself, as `push_to_hub` puts them there.',
  );
}

interface OpenFile {
  readonly buffer: AsyncBuffer;
  readonly metadata: FileMetaData;
  readonly schema: SchemaTree;
}

async function openFile(file: string): Promise<OpenFile> {
  const { asyncBufferFromFile, parquetMetadataAsync, parquetSchema } = await import('hyparquet');
  return reading(file, async () => {
    const buffer = await asyncBufferFromFile(file);
    const metadata = await parquetMetadataAsync(buffer);
    return { buffer, metadata, schema: parquetSchema(metadata) };
  });
}

/** The class names of `field`, which must be the same in all `files`; undefined where none has any. */
async function sameNames(files: readonly string[], field: string): Promise<readonly string[] | undefined> {
  const [first] = files;
  const names = classNamesOf(await openFile(first!), field);
  for (const file of files.slice(1)) {
    const others = classNamesOf(await openFile(file), field);
    const odd = Array.from({ length: Math.max(names?.length ?? 0, others?.length ?? 0) }, (_, i) => i).find(
      (i) => names?.[i] !== others?.[i],
    );
    if (odd !== undefined)
      throw badDataFile(
        file,
        `class ${odd} of ${field} is ${shown(others?.[odd])}, but ${shown(names?.[odd])} in ${first}`,
        'All files of a part must have the same classes in the same order: write them by one `push_to_hub`.',
      );
  }
  return names;
}

/** Names of the classes of `field`, if it is a ClassLabel among the features that `datasets` keeps as key `huggingface`. */
function classNamesOf({ metadata }: OpenFile, field: string): readonly string[] | undefined {
  const features = metadata.key_value_metadata?.find(({ key }) => key === 'huggingface')?.value;
  try {
    const names: unknown = JSON.parse(features ?? '').info.features[field].names;
    return isNames(names) ? names : undefined;
  } catch {
    return undefined;
  }
}

async function countRows(files: readonly string[]): Promise<number> {
  let count = 0;
  for (const file of files) count += Number((await openFile(file)).metadata.num_rows);
  return count;
}

/** Pages that people write shrink to a hundredth at most: those of a row group that become this many times as large, and larger than that, are none. */
const MOST_UNPACKED = { times: 250, bytes: 2 ** 26 };
/** Of a row group, which is in memory at once: rows, and values in all columns that are read. */
const MOST_GROUP = { rows: 2 ** 22, values: 2 ** 27 };
const SMALLER_GROUPS =
  'Write it with smaller row groups, in Python: table.to_parquet(…, row_group_size=1000).';

/** Refuses a row group that takes gigabytes, by what the file says of it. */
function refuseLarge(file: string, { num_rows, columns }: RowGroup, wanted: readonly string[]): void {
  const own = columns.flatMap(({ meta_data }) =>
    meta_data && wanted.includes(meta_data.path_in_schema[0] ?? '') ? [meta_data] : [],
  );
  const values = own.reduce((sum, { num_values }) => sum + Number(num_values), 0);
  if (Number(num_rows) > MOST_GROUP.rows || values > MOST_GROUP.values)
    throw badDataFile(file, `a row group has ${num_rows} rows and ${values} values`, SMALLER_GROUPS);
}

/** `compressors` that together unpack no more than `MOST_UNPACKED` allows. */
function limited(file: string, compressors: Compressors): Compressors {
  let [packed, unpacked] = [0, 0];
  const check = (input: Uint8Array, bytes: number) => {
    packed += input.length;
    unpacked += bytes;
    if (unpacked > Math.max(MOST_UNPACKED.bytes, MOST_UNPACKED.times * packed))
      throw badDataFile(
        file,
        `unpacked, the pages of a row group have more than ${MOST_UNPACKED.times} times their size`,
        'If that is right, write it without compression, or with smaller row groups.',
      );
  };
  const named = Object.entries(compressors).map(([codec, unpack]) => {
    const checked = (input: Uint8Array, bytes: number) => {
      check(input, bytes);
      return codec === 'ZSTD' && unpackZstd
        ? unpackZstd(input, { maxOutputLength: Math.max(1, bytes) })
        : unpack!(input, bytes);
    };
    return [codec, checked] as const;
  });
  return Object.fromEntries(named);
}

/** Node's own, from 22.15 on: hyparquet-compressors' does not stop at the length that a page's header states. */
const { zstdDecompressSync: unpackZstd } = zlib as {
  zstdDecompressSync?: (input: Uint8Array, options: { maxOutputLength: number }) => Uint8Array;
};

/** Row group after row group: one is in memory at a time. */
async function* rowsOf(files: readonly string[], columns: readonly string[]): AsyncGenerator<Row> {
  const { parquetReadObjects } = await import('hyparquet');
  const { compressors } = await import('hyparquet-compressors');
  for (const file of files) {
    const { buffer, metadata } = await openFile(file);
    let first = 0;
    for (const group of metadata.row_groups) {
      for (const { meta_data } of group.columns) {
        const { codec = 'UNCOMPRESSED', path_in_schema: [column = ''] = [] } = meta_data ?? {};
        if (columns.includes(column) && codec !== 'UNCOMPRESSED' && !(codec in compressors))
          throw unsupportedCodec(file, column, codec);
      }
      refuseLarge(file, group, columns);
      const end = first + Number(group.num_rows);
      // Without `utf8: false` the bytes of images would be decoded as text; strings that are marked as such still are.
      const wanted = { columns: [...columns], rowStart: first, rowEnd: end, utf8: false };
      const unpacking = { compressors: limited(file, compressors) };
      const rows = await reading(file, () =>
        parquetReadObjects({ file: buffer, metadata, ...wanted, ...unpacking }),
      );
      for (const [i, fields] of rows.entries()) yield { fields, place: `${file} row ${first + i}` };
      first = end;
    }
  }
}

async function reading<T>(file: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw error instanceof OfframpError ? error : badDataFile(file, messageOf(error));
  }
}
