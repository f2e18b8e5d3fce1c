/** A folder in the layout that Optimum and transformers.js share: the ONNX file in it, and what lies beside that. */
import { readdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { isFile, isFolder } from '../data/files.ts';
import {
  hubConfigUnknown,
  noConfigInFolder,
  noModelInFolder,
  severalModels,
  variantMissing,
} from '../errors/index.ts';
import { readConfig } from './json.ts';

/** What transformers.js calls the variants of a model, and what their files end in. */
const SUFFIXES = {
  fp32: '',
  fp16: '_fp16',
  q8: '_quantized',
  int8: '_int8',
  uint8: '_uint8',
  q4: '_q4',
  q4f16: '_q4f16',
  bnb4: '_bnb4',
} as const;

export type Dtype = keyof typeof SUFFIXES;
export const DTYPES = Object.keys(SUFFIXES) as Dtype[];

/** Paths of config files, those that there are. */
export interface ConfigFiles {
  readonly config?: string;
  readonly preprocessor?: string;
  readonly tokenizer?: string;
}

const NAMES = {
  config: 'config.json',
  preprocessor: 'preprocessor_config.json',
  tokenizer: 'tokenizer.json',
} as const satisfies Record<keyof ConfigFiles, string>;

/** The files of a model: found in a folder, or named. */
export interface HubFiles extends ConfigFiles {
  /** Of the ONNX file. */
  readonly model: string;
  /** What the folder is called. */
  readonly name?: string;
  /** Set where the folder has no file of full precision, and nobody asked for this one: the only variant that is there. */
  readonly onlyVariant?: Dtype;
}

export interface HubOptions {
  /** An ONNX file, or a folder. */
  readonly model: string;
  /** Which of a folder's files; of an ONNX file, which of those beside it. */
  readonly dtype?: Dtype | undefined;
  /** Config files of an ONNX file, or folders with them. */
  readonly hfConfig?: readonly string[] | undefined;
}

/**
 * The ONNX file that `options` mean and the config files that go with it. A file by itself has none but those that are named. Throws
 * `no-model-in-folder`, `variant-missing`, `bad-model-config`.
 */
export async function findFiles({ model, dtype, hfConfig }: HubOptions): Promise<HubFiles> {
  const configs = await findConfigs({ model, hfConfig });
  if (!isFolder(model)) return { model: dtype === undefined ? model : siblingOf(model, dtype), ...configs };
  const name = nameOf(model);
  return { ...(await modelIn(model, dtype)), ...(name !== undefined && { name }), ...configs };
}

/** The config files that are named, and for the others those in the folder that `model` may be. Throws `bad-model-config`. */
export async function findConfigs({
  model,
  hfConfig = [],
}: {
  readonly model: string | undefined;
  readonly hfConfig: HubOptions['hfConfig'];
}): Promise<ConfigFiles> {
  const given = await sorted(hfConfig);
  return { ...(model !== undefined && isFolder(model) && configsIn(model)), ...given };
}

/** Whether `path` is a folder with a model or its config files, and not one that `compile` wrote. */
export const isModelFolder = (path: string): boolean =>
  isFolder(path) &&
  !isFile(join(path, 'manifest.json')) &&
  (isFolder(join(path, 'onnx')) ||
    isFile(join(path, 'config.json')) ||
    DTYPES.some((dtype) => isFile(fileOf(path, dtype))));

/** What the model in `folder` is called: as the folder, or the one around it where that is `onnx`, or the repository where it lies in the hub's cache. */
export function nameOf(folder: string): string | undefined {
  const path = resolve(folder);
  if (basename(path) === 'onnx') return nameOf(dirname(path));
  const [, repository] = /[\\/]models--(?:[^\\/]*--)?([^\\/]+)[\\/]snapshots[\\/][^\\/]+$/.exec(path) ?? [];
  return repository ?? (basename(path) || undefined);
}

/** In `folder`, or in the one around it where `folder` holds ONNX files alone. */
function configsIn(folder: string): ConfigFiles {
  const places = basename(resolve(folder)) === 'onnx' ? [folder, dirname(resolve(folder))] : [folder];
  const found = Object.entries(NAMES).flatMap(([kind, name]) => {
    const file = places.map((place) => join(place, name)).find(isFile);
    return file === undefined ? [] : [[kind, file]];
  });
  return Object.fromEntries(found) as ConfigFiles;
}

const places = (folder: string) => [join(folder, 'onnx'), folder];
const fileOf = (folder: string, dtype: Dtype) => join(folder, `model${SUFFIXES[dtype]}.onnx`);

/** Full precision unless `dtype` is given, else the only file that there is. */
async function modelIn(
  folder: string,
  dtype: Dtype | undefined,
): Promise<Pick<HubFiles, 'model' | 'onlyVariant'>> {
  const there = (wanted: Dtype) =>
    places(folder)
      .map((place) => fileOf(place, wanted))
      .find(isFile);
  const wanted = there(dtype ?? 'fp32');
  if (wanted !== undefined) return { model: wanted };
  const variants = DTYPES.filter((one) => there(one) !== undefined);
  const [onlyVariant] = variants;
  if (dtype === undefined && onlyVariant !== undefined && variants.length === 1)
    return { model: there(onlyVariant)!, onlyVariant };
  const models = await modelsIn(folder);
  if (dtype === undefined && variants.length === 0 && models.length === 1) return { model: models[0]! };
  if (variants.length > 0 || (dtype !== undefined && models.length > 0))
    throw variantMissing(folder, dtype ?? 'fp32', variants);
  if (models.length > 0) throw severalModels(folder, models);
  const files = await readdir(folder);
  const weights = files.find((file) => /\.(safetensors|bin|pt|pth|h5|msgpack)$/.test(file));
  throw noModelInFolder(
    folder,
    places(folder).map((place) => fileOf(place, dtype ?? 'fp32')),
    weights,
  );
}

/** ONNX files of the first of the places that has some, whatever they are called. */
async function modelsIn(folder: string): Promise<string[]> {
  for (const place of places(folder)) {
    if (!isFolder(place)) continue;
    const files = (await readdir(place)).filter((file) => file.endsWith('.onnx'));
    if (files.length > 0) return files.sort().map((file) => join(place, file));
  }
  return [];
}

/** The variant `dtype` beside `model`, which is one itself. Throws `variant-missing`. */
function siblingOf(model: string, dtype: Dtype): string {
  const folder = dirname(model);
  const file = variantBeside(model, dtype);
  if (file !== undefined) return file;
  throw variantMissing(
    folder,
    dtype,
    DTYPES.filter((one) => variantBeside(model, one) !== undefined),
  );
}

/** Path of the variant `dtype` of the model at `path`, where it lies beside it. */
export function variantBeside(path: string, dtype: Dtype): string | undefined {
  const suffixes = Object.values(SUFFIXES).filter((suffix) => suffix !== '');
  const known = new RegExp(`(${suffixes.join('|')})?\\.onnx$`);
  const file = known.test(path) ? path.replace(known, `${SUFFIXES[dtype]}.onnx`) : undefined;
  return file !== undefined && isFile(file) ? file : undefined;
}

/** Which config files `paths` are, by what they hold; of folders, those in them. */
async function sorted(paths: readonly string[]): Promise<ConfigFiles> {
  const found: Record<string, string> = {};
  for (const path of paths) {
    if (isFolder(path)) {
      const inside = configsIn(path);
      if (Object.keys(inside).length === 0) throw noConfigInFolder(path);
      Object.assign(found, inside);
    } else found[await kindOf(path)] = path;
  }
  return found;
}

async function kindOf(file: string): Promise<keyof ConfigFiles> {
  const holds = await readConfig(file);
  const has = (...keys: string[]) => keys.some((key) => Object.hasOwn(holds, key));
  if (has('image_processor_type', 'feature_extractor_type', 'image_mean', 'do_resize', 'do_rescale'))
    return 'preprocessor';
  if (has('added_tokens', 'pre_tokenizer')) return 'tokenizer';
  if (has('id2label', 'model_type', 'architectures')) return 'config';
  throw hubConfigUnknown(file);
}
