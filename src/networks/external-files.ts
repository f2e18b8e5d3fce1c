/** External data of several networks in one model: names that cannot collide, and which file each stands for. */
import { realpath } from 'node:fs/promises';
import { normalize, resolve } from 'node:path';
import { externalDataGone } from '../errors/index.ts';
import type { LoadedModel } from '../parser/index.ts';
import type { Network } from './chain.ts';

/** Another file's content, as `writeOutput` takes it. */
export interface Copied {
  readonly copyOf: string;
}

export interface ExternalFiles {
  /** Location in the merged model → the file, absolute. The original's come first, under the locations they have. */
  readonly files: ReadonlyMap<string, Copied>;
  /** A network's id → what its locations become, for `renameExternal`. */
  readonly renames: ReadonlyMap<string, Rename>;
  /** A location that no file has: for data that the merged model has no room for (`serializeWithData`). */
  readonly free: string;
}

/** Undefined for a location that the network has no file at. */
export type Rename = (location: string) => string | undefined;

type Sourced = Pick<Network, 'id'> & { readonly source: Pick<LoadedModel, 'folder' | 'externalFiles'> };

/**
 * Names the external data of `networks`, the original last. The original's locations stay. A file of another network has its network's id in
 * front and lies in no folder: `first_1.model.onnx.data`. A file that several networks use has one name. The same networks give the same names.
 * Throws `external-data-gone`.
 */
export async function nameExternalFiles(networks: readonly Sourced[]): Promise<ExternalFiles> {
  const original = networks.at(-1)!;
  const taken = new Set(original.source.externalFiles.map(firstPart));
  const files = new Map<string, Copied>();
  const byRealPath = new Map<string, string>();
  const renames = new Map<string, Rename>();
  for (const network of [original, ...networks.slice(0, -1)]) {
    const { folder, externalFiles } = network.source;
    const names = new Map<string, string>();
    for (const location of externalFiles) {
      const path = resolve(folder, location);
      const real = await realPath(path);
      const known = byRealPath.get(real);
      const name =
        network === original ? location : (known ?? freeName(`${network.id}.${flat(location)}`, taken));
      if (known === undefined) byRealPath.set(real, name);
      names.set(path, name);
      files.set(name, files.get(name) ?? { copyOf: path });
    }
    // A tensor may give its location in another way than `externalFiles` does: `./a` for `a`.
    const rename: Rename = (location) => names.get(resolve(folder, location));
    renames.set(network.id, network === original ? (location) => location : rename);
  }
  return { files, renames, free: freeName('model.onnx.data', taken) };
}

const realPath = (path: string) =>
  realpath(path).catch((error) => {
    throw externalDataGone(path, error);
  });

/** The file or folder that `location` begins with, as file systems without capital letters have it. */
const firstPart = (location: string) => normalize(location).split(/[\\/]/)[0]!.toLowerCase();

/** `location` as one file name that is valid on every system. */
const flat = (location: string) =>
  normalize(location)
    .replace(/[\\/]/g, '.')
    .replace(/[^\w.-]/g, '_')
    .slice(-200);

/** `name`, with a number where it is in `taken`, which grows. */
function freeName(name: string, taken: Set<string>): string {
  let made = name;
  for (let i = 2; taken.has(made.toLowerCase()); i++) made = `${name}_${i}`;
  taken.add(made.toLowerCase());
  return made;
}
