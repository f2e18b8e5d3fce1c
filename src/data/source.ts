import { join } from 'node:path';
import { dataNotFound, unknownDataFormat } from '../errors.ts';
import { isFile, isFolder } from './files.ts';
import { idxSource, isIdxImages } from './idx.ts';
import { classFolders, type ImageOptions, imageFolderSource } from './images.ts';
import { npySource, npzSource } from './npy.ts';
import type { Source } from './records.ts';

/** The samples at absolute `path`, whose names tell the format. */
export async function findSource(path: string, options: ImageOptions): Promise<Source> {
  const pair = npyPair(path);
  if (pair) return npySource(path, ...pair);
  if (isFolder(path)) {
    if ((await classFolders(path)).length > 0) return imageFolderSource(path, options);
    throw unknownDataFormat(path, 'the folder has neither class folders nor x.npy and y.npy');
  }
  const [, npz, part] = /^(.*\.npz)(?:#(\w+))?$/.exec(path) ?? [];
  if (npz && isFile(npz)) return npzSource(path, npz, part);
  if (!isFile(path)) throw dataNotFound(path);
  if (isIdxImages(path)) return idxSource(path);
  throw unknownDataFormat(path, 'the name tells no format that Offramp reads');
}

/** x and y of a folder, of a prefix (`train` or `train_` for train_x.npy), or given x itself. */
function npyPair(path: string): [string, string] | undefined {
  const candidates: [string, string][] = [join(path, ''), path, `${path}_`, `${path}-`, `${path}.`].map(
    (prefix, i) =>
      i === 0 ? [join(prefix, 'x.npy'), join(prefix, 'y.npy')] : [`${prefix}x.npy`, `${prefix}y.npy`],
  );
  if (path.endsWith('x.npy')) candidates.push([path, path.replace(/x\.npy$/, 'y.npy')]);
  return candidates.find((pair) => pair.every(isFile));
}
