import { createReadStream } from 'node:fs';
import type { Readable, Transform } from 'node:stream';
import { createInflateRaw } from 'node:zlib';
import { ambiguousArrays, arraysMissing, badDataFile } from '../errors.ts';
import { type ArrayStream, arraySource, isElementType } from './arrays.ts';
import { ByteReader, closeOnError } from './byte-reader.ts';
import { fileStamps } from './files.ts';
import type { Source } from './records.ts';
import { openEntry, type ZipEntry, zipEntries } from './zip.ts';

/** Two .npy files. */
export async function npySource(path: string, x: string, y: string): Promise<Source> {
  const open = (file: string) => openNpy(file, createReadStream(file));
  return arraySource(
    { format: 'npy', path, files: fileStamps([x, y]) },
    { x: () => open(x), y: () => open(y) },
  );
}

/** Arrays x and y of an .npz file, or x_`part` and y_`part`; without `part`, the only pair there is. */
export async function npzSource(path: string, file: string, part: string | undefined): Promise<Source> {
  const entries = await zipEntries(file);
  const [x, y] = chooseArrays(file, entries, part);
  const open = (name: string) => {
    const entry = entries.get(`${name}.npy`)!;
    const decompress = entry.method === 8 ? createInflateRaw() : undefined;
    return openNpy(`${file} (${name})`, openEntry(file, entry), decompress);
  };
  return arraySource(
    { format: 'npz', path, files: fileStamps([file]) },
    { x: () => open(x), y: () => open(y) },
  );
}

function chooseArrays(
  file: string,
  entries: ReadonlyMap<string, ZipEntry>,
  part: string | undefined,
): readonly [string, string] {
  const suffixes = part === undefined ? ['', '_train', '_test'] : [`_${part}`];
  const found = suffixes.filter((s) => entries.has(`x${s}.npy`) && entries.has(`y${s}.npy`));
  if (found.length === 0) {
    const names = [...entries.keys()].map((name) => name.replace(/\.npy$/, ''));
    throw arraysMissing(file, `arrays x${suffixes[0]} and y${suffixes[0]}`, names);
  }
  if (found[0] !== '' && found.length > 1) throw ambiguousArrays(file);
  return [`x${found[0]}`, `y${found[0]}`];
}

/** Reads the header of an .npy stream (numpy, NEP 1, versions 1 to 3). */
function openNpy(file: string, source: Readable, decompress?: Transform): Promise<ArrayStream> {
  const reader = new ByteReader(file, source, decompress);
  return closeOnError(reader, async () => {
    const start = await reader.take(8);
    if (Buffer.from(start.buffer, 0, 6).toString('latin1') !== '\x93NUMPY')
      throw badDataFile(file, 'it does not begin as an .npy file does');
    const length = await reader.take(start[6] === 1 ? 2 : 4);
    const headerBytes = length.reduceRight((n, byte) => n * 256 + byte, 0);
    return { ...parseHeader(file, Buffer.from(await reader.take(headerBytes)).toString('utf8')), reader };
  });
}

function parseHeader(file: string, header: string): Omit<ArrayStream, 'reader'> {
  const descr = /'descr':\s*'([<>|=])(\w+)'/.exec(header);
  const shape = /'shape':\s*\(([^)]*)\)/.exec(header);
  if (!descr || !shape || !isElementType(descr[2]!))
    throw badDataFile(
      file,
      `elements are no plain numbers: ${header.trim()}`,
      'Save an array of float32, uint8 or integers.',
    );
  const axes = shape[1]!.split(',').filter((axis) => axis.trim() !== '');
  const dims = axes.map(Number);
  if (/'fortran_order':\s*True/.test(header) && dims.filter((d) => d !== 1).length > 1)
    throw badDataFile(file, 'it is in Fortran order', 'Save `np.ascontiguousarray(x)`.');
  return { dims, element: descr[2]!, littleEndian: descr[1] !== '>' };
}
