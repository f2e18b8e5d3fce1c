/** A model given as a folder in the layout of Optimum and transformers.js: what its config files say stands in where options say nothing. */
import { basename, dirname, join } from 'node:path';
import { isFile, isFolder } from '../data/files.ts';
import type { PreprocessingOptions } from '../data/index.ts';
import { packageNameOf } from '../emit/names.ts';
import { takeFloat } from '../errors/index.ts';
import { info, type Note } from '../errors/notes.ts';
import { type Dtype, findFiles, nameOf, variantBeside } from '../hub/folder.ts';
import { type Hub, openDims, readHub } from '../hub/read.ts';
import type { LoadedModel } from '../parser/index.ts';
import type { InputOptions } from '../passes/fix-inputs.ts';

/** Of commands that read a model. */
export interface HubModelOptions {
  /** Of a folder, or of variants of a model beside each other: which of them; by default `fp32`, or the only one that there is. */
  readonly dtype?: Dtype;
  /** Config files of the model, or folders with them, where they do not lie in the model's folder. */
  readonly hfConfig?: readonly string[];
}

interface Given extends HubModelOptions, PreprocessingOptions {
  readonly model: string;
  readonly tokenizer?: string | undefined;
}

/** `O` with the path of an ONNX file for its model, and what config files say of that. */
export type WithHub<O> = O & { readonly hub?: Hub };

/**
 * `options` of a model that may be a folder, with what its config files say in place of what is left out: preprocessing as a whole, resizing, and
 * the tokenizer. Throws `no-model-in-folder`, `variant-missing`, `bad-model-config`.
 */
export async function withHub<O extends Given>(options: O): Promise<WithHub<O>> {
  const hub = await readHub(options);
  const tokenizer = options.tokenizer ?? hub.tokenizer;
  return {
    ...missingPreprocessing(options, hub.preprocessing),
    ...options,
    ...(tokenizer !== undefined && { tokenizer }),
    model: hub.files.model,
    hub: { ...hub, notes: [...hub.notes, ...replacedIn(options, hub)] },
  };
}

/** A note where numbers that are given put aside all those of a config file. */
function replacedIn(given: Given, { preprocessing, files }: Hub): Note[] {
  const kept = missingPreprocessing(given, preprocessing);
  const names = (['scale', 'rescale', 'mean', 'std', 'channels'] as const).filter(
    (name) => preprocessing[name] !== undefined && kept[name] === undefined && given[name] === undefined,
  );
  if (names.length === 0) return [];
  return [
    info(
      'config-put-aside',
      `${files.preprocessor}: its ${names.join(', ')} do not count beside the preprocessing that is given, which holds as a whole.`,
    ),
  ];
}

/** What of `told` holds beside `given`: numbers go together, and `resample` with the `resize` that it was said of. */
export function missingPreprocessing(
  given: PreprocessingOptions,
  told: PreprocessingOptions,
): PreprocessingOptions {
  const isSaid = (...names: (keyof PreprocessingOptions)[]) =>
    names.some((name) => given[name] !== undefined);
  const { resize, resample, layout, ...numbers } = told;
  return {
    ...(!isSaid('preset', 'scale', 'rescale', 'mean', 'std', 'channels') && numbers),
    ...(!isSaid('layout') && layout && { layout }),
    ...(!isSaid('resize') && resize && { resize }),
    ...(!isSaid('resize', 'resample') && resample && { resample }),
  };
}

/** `dims` with sizes for the axes that the model leaves open and config files tell. */
export function dimsOf(
  source: LoadedModel,
  { dims = {} }: InputOptions,
  hub: Hub | undefined,
): Record<string, number> {
  return { ...(hub && openDims(source.model.graph.inputs, hub.sizes, dims)), ...dims };
}

/** `error`; where it is about the quantised file `model` and the float one lies beside that, it says so. */
export function nameFloat<T>(error: T, model: string): T {
  const isQuantised = (error as { readonly code?: unknown } | null)?.code === 'samples-not-independent';
  const dtype = isQuantised
    ? FLOATS.find((one) => (variantBeside(model, one) ?? model) !== model)
    : undefined;
  return dtype === undefined ? error : takeFloat(error, dtype);
}

const FLOATS = ['fp32', 'fp16'] as const;

/** Files that are called so say nothing of what is in them. */
const ANONYMOUS = /^model(_[a-z0-9]+)*\.onnx$/i;

/**
 * What the package is called where nobody says: as the model's folder, or the one around `onnx/`, where the file is only called "model"; undefined
 * where the file's own name serves.
 */
export function nameFor({
  model,
  name,
  hub,
}: {
  readonly model: string;
  readonly name?: string;
  readonly hub?: Hub;
}): string | undefined {
  if (name !== undefined) return name;
  if (hub?.name === undefined && !ANONYMOUS.test(basename(model))) return undefined;
  const known = hub?.name ?? nameOf(dirname(model));
  if (known === undefined) return undefined;
  const words = packageNameOf(`${known}.onnx`);
  return words === packageNameOf(basename(model)) ? undefined : words;
}

/** The file that `path` means where a compiled package was made from one called `file`: itself, or that one in the folder that it is. */
export async function modelFile(path: string, file: string): Promise<string> {
  if (!isFolder(path)) return path;
  const own = [join(path, 'onnx', file), join(path, file)].find(isFile);
  return own ?? (await findFiles({ model: path })).model;
}
