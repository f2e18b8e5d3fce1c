import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { ambiguousArrays, arraysMissing, badDataFile } from '../errors/index.ts';
import { type ArrayStream, arraySource, isElementType } from './arrays.ts';
import { ByteReader, closeOnError } from './byte-reader.ts';
import { fileStamp, fileStamps, isFile } from './files.ts';
import type { Source, SourceOptions } from './records.ts';
import { openEntry, type ZipEntry, zipEntries } from './zip.ts';

/** Names of the arrays that hold the samples, x or one an input, and of the one that holds the labels. */
interface ArrayNames {
  readonly x: readonly string[];
  readonly y: string | undefined;
}

function chooseNames(
  { inputs, labels }: SourceOptions,
  has: (name: string) => boolean,
): ArrayNames | undefined {
  const x = [['x'], inputs.map(({ name }) => name)].find((names) => names.every(has));
  const y = ['y', 'label', 'labels'].find(has);
  if (!x || (!y && labels !== 'none')) return undefined;
  return { x, y: labels === 'none' ? undefined : y };
}

/** .npy files in folder `path`, under prefix `path` (`train` or `train_` for train_x.npy), or given the first itself. */
export async function findNpy(path: string, options: SourceOptions): Promise<Source | undefined> {
  const itself = ['x', ...options.inputs.map(({ name }) => name)]
    .filter((name) => path.endsWith(`${name}.npy`))
    .map((name) => path.slice(0, -`${name}.npy`.length));
  for (const prefix of [join(path, '/'), path, `${path}_`, `${path}-`, `${path}.`, ...itself]) {
    const fileOf = (name: string) => `${prefix}${name}.npy`;
    const names = chooseNames(options, (name) => isFile(fileOf(name)));
    if (!names) continue;
    const { x, y } = names;
    const open = (name: string) => () => {
      const file = fileOf(name);
      return openNpy(file, createReadStream(file), fileStamp(file).sizeBytes);
    };
    return arraySource(
      { format: 'npy', path, files: fileStamps([...x, ...(y === undefined ? [] : [y])].map(fileOf)) },
      { x: x.map(open), y: y === undefined ? undefined : open(y) },
      options.inputs,
    );
  }
  return undefined;
}

/** Arrays of an .npz file whose names end with _`part`; without `part`, with nothing, or with _train or _test. */
export async function npzSource(
  path: string,
  file: string,
  part: string | undefined,
  options: SourceOptions,
): Promise<Source> {
  const entries = await zipEntries(file);
  const { x, y } = chooseArrays(file, entries, part, options);
  const open = (name: string) => () => {
    const entry = entries.get(`${name}.npy`)!;
    return openNpy(`${file} (${name})`, openEntry(file, entry), entry.bytes);
  };
  return arraySource(
    { format: 'npz', path, files: fileStamps([file]) },
    { x: x.map(open), y: y === undefined ? undefined : open(y) },
    options.inputs,
  );
}

function chooseArrays(
  file: string,
  entries: ReadonlyMap<string, ZipEntry>,
  part: string | undefined,
  options: SourceOptions,
): ArrayNames {
  const suffixes = part === undefined ? ['', '_train', '_test'] : [`_${part}`];
  const found = suffixes.flatMap((suffix) => {
    const names = chooseNames(options, (name) => entries.has(`${name}${suffix}.npy`));
    return names ? [{ x: names.x.map((name) => name + suffix), y: names.y && names.y + suffix, suffix }] : [];
  });
  const [first] = found;
  if (!first) {
    const [suffix] = suffixes;
    const own = options.inputs.map(({ name }) => name + suffix).join(', ');
    const found = [...entries.keys()].map((name) => name.replace(/\.npy$/, ''));
    throw arraysMissing(file, `arrays x${suffix} and y${suffix} (for x also ${own})`, found);
  }
  if (first.suffix !== '' && found.length > 1) throw ambiguousArrays(file);
  return first;
}

/** numpy reads no longer header either. */
const MOST_HEADER_BYTES = 10_000;

/** Reads the header of an .npy stream of `size` bytes (numpy, NEP 1, versions 1 to 3). */
function openNpy(file: string, source: Readable, size: number): Promise<ArrayStream> {
  const reader = new ByteReader(file, source);
  return closeOnError(reader, async () => {
    const start = await reader.take(8);
    if (Buffer.from(start.buffer, 0, 6).toString('latin1') !== '\x93NUMPY')
      throw badDataFile(file, 'it does not begin as an .npy file does');
    const length = await reader.take(start[6] === 1 ? 2 : 4);
    const headerBytes = length.reduceRight((n, byte) => n * 256 + byte, 0);
    if (headerBytes > MOST_HEADER_BYTES)
      throw badDataFile(file, `its header has ${headerBytes} bytes, more than ${MOST_HEADER_BYTES}`);
    const header = Buffer.from(await reader.take(headerBytes)).toString('utf8');
    const mostBytes = size - start.length - length.length - headerBytes;
    return { ...parseHeader(file, header), reader, mostBytes };
  });
}

function parseHeader(file: string, header: string): Omit<ArrayStream, 'reader' | 'mostBytes'> {
  const descr = /'descr':\s*'([<>|=])(\w+)'/.exec(header);
  const shape = /'shape':\s*\(([^)]*)\)/.exec(header);
  if (!descr || !shape || !isElementType(descr[2]!))
    throw badDataFile(
      file,
      `elements are no plain numbers: ${header.trim()}`,
      'Save an array of float32, uint8 or integers.',
    );
  const axes = shape[1]!.split(',').map((axis) => axis.trim());
  if (axes.at(-1) === '') axes.pop();
  // Python 2 wrote whole numbers as `4L`.
  if (!axes.every((axis) => /^\d+L?$/.test(axis))) throw badDataFile(file, `its shape (${shape[1]}) is none`);
  const dims = axes.map((axis) => Number.parseInt(axis, 10));
  if (/'fortran_order':\s*True/.test(header) && dims.filter((d) => d !== 1).length > 1)
    throw badDataFile(file, 'it is in Fortran order', 'Save `np.ascontiguousarray(x)`.');
  return { dims, element: descr[2]!, littleEndian: descr[1] !== '>' };
}
