import { readdir } from 'node:fs/promises';
import { dataNotFound, unknownDataFormat } from '../errors/index.ts';
import { cifarFileSource, cifarFolderSource, isCifarFile, isCifarFolder } from './cifar.ts';
import { isFile, isFolder } from './files.ts';
import { idxSource, isIdxImages } from './idx.ts';
import { classFolders, imageFolderSource } from './images.ts';
import { isJsonl, jsonlSource } from './jsonl.ts';
import { findNpy, npzSource } from './npy.ts';
import { chooseShards, isParquet, parquetParts, parquetSource } from './parquet.ts';
import { splitPart } from './parts.ts';
import type { Source, SourceOptions } from './records.ts';

/** The samples at absolute `path`, in the format that the names stand for; `#train` at its end names a part. */
export async function findSource(path: string, options: SourceOptions): Promise<Source> {
  const arrays = await findNpy(path, options);
  if (arrays) return arrays;
  const { place, part } = splitPart(path);
  if (isFile(place) && place.endsWith('.npz')) return npzSource(path, place, part, options);
  if (isFolder(place)) return folderSource(path, place, part, options);
  if (!isFile(path)) throw dataNotFound(path);
  if (isIdxImages(path)) return idxSource(path, options);
  if (isCifarFile(path)) return cifarFileSource(path, options);
  if (isParquet(path)) return parquetSource(path, [path], options);
  if (isJsonl(path)) return jsonlSource(path, options);
  throw unknownDataFormat(path, 'the name tells no format that Offramp reads');
}

async function folderSource(
  path: string,
  folder: string,
  part: string | undefined,
  options: SourceOptions,
): Promise<Source> {
  if (isCifarFolder(folder)) return cifarFolderSource(path, folder, part, options);
  const shards = await parquetParts(folder, part);
  if (shards.size > 0) return parquetSource(path, chooseShards(folder, shards, part), options);
  if (part !== undefined) throw dataNotFound(path);
  if (options.labels === 'none' || (await classFolders(folder)).length > 0)
    return imageFolderSource(path, options);
  const inside = (await readdir(folder)).filter(
    (name) => isParquet(name) || isJsonl(name) || /\.(npz|npy)$/.test(name),
  );
  throw unknownDataFormat(
    path,
    inside.length > 0
      ? `the folder holds ${inside.slice(0, 5).join(', ')}: name the file itself`
      : 'the folder has neither class folders nor x.npy and y.npy',
  );
}
