/** Config files of a folder that pipelines of transformers and transformers.js run: kept ones, or such as a package's manifest gives. */
import { resolvePreprocessing } from '../data/index.ts';
import type { InputSpec, Preprocessing } from '../data/types.ts';
import type { Manifest } from '../emit/manifest.ts';
import { notForPipelines, optionText } from '../errors/index.ts';
import { type Config, isConfig, isSize } from '../hub/json.ts';
import { readPictureConfig } from '../hub/pictures.ts';

export type PipelineTask = 'image-classification' | 'text-classification';

/**
 * `kept`, the original's config.json, with the class names that are known and the file that is there: browsers take a quantised one unless the
 * config says otherwise.
 */
export function configJson({ labels, classes }: Manifest, task: PipelineTask, kept: Config = {}): Config {
  const names = labels ?? Array.from({ length: classes }, (_, i) => `LABEL_${i}`);
  const isNamed = kept.id2label !== undefined && labels === undefined;
  const { 'transformers.js_config': custom, ...rest } = kept;
  const { use_external_data_format: _, kv_cache_dtype: __, ...others } = isConfig(custom) ? custom : {};
  return {
    // Any that a pipeline of this task loads: what is run is the ONNX file.
    model_type: task === 'image-classification' ? 'resnet' : 'bert',
    ...rest,
    ...(!isNamed && {
      id2label: Object.fromEntries(names.map((name, i) => [i, name])),
      label2id: Object.fromEntries(names.map((name, i) => [name, i])),
    }),
    'transformers.js_config': { ...others, dtype: 'fp32' },
  };
}

/** `kept`, the original's preprocessor_config.json, where the package prepares pictures so; else one that says what the package does. */
export function preprocessorJson(
  { preprocessing }: Manifest,
  input: InputSpec,
  kept: { readonly config: Config; readonly file: string } | undefined,
): Config {
  if (kept && isSame(kept.config, kept.file, input, preprocessing)) return kept.config;
  return describe(preprocessing as Preprocessing, input);
}

function isSame(config: Config, file: string, input: InputSpec, own: Manifest['preprocessing']): boolean {
  const { preprocessing, size, varies } = readPictureConfig(config, file);
  // The model takes one size: whatever else the config gives, a pipeline fails on.
  if (varies || (size && `${size}` !== `${sidesOf(own, input)}`)) return false;
  const told = resolvePreprocessing(preprocessing, [input]);
  const key = (one: object | null) =>
    JSON.stringify(Object.entries(one ?? {}).sort(([a], [b]) => (a < b ? -1 : 1)));
  return key({ ...told, layout: own?.layout }) === key(own);
}

/** Height and width. */
const sidesOf = (own: Pick<Preprocessing, 'layout'> | null, { dims }: InputSpec) =>
  (own?.layout === 'NHWC' ? dims : dims.slice(1)).slice(0, 2) as [number, number];

/** PIL's numbers. The library samples at points whichever is asked for. */
const FILTERS = {
  'affine-nearest': 0,
  lanczos: 1,
  bilinear: 2,
  'affine-bilinear': 2,
  bicubic: 3,
  'affine-bicubic': 3,
} as const;

/** Throws `not-for-pipelines` for what their config has no words for. */
function describe(preprocessing: Preprocessing, input: InputSpec): Config {
  const { scale, rescale = 1 / scale, mean, std, channels, resize, resample = 'bilinear' } = preprocessing;
  if (channels === 'gray')
    throw notForPipelines(
      'pipelines feed colour pictures, and this model takes gray ones',
      'Use the package itself, or `npx onnx-offramp export onnx`.',
    );
  const [height, width] = sidesOf(preprocessing, input);
  const isReversed = channels === 'bgr';
  const inOrder = (values: readonly number[]) => (isReversed ? values.toReversed() : [...values]);
  return {
    image_processor_type: 'ImageProcessor',
    do_rescale: true,
    rescale_factor: rescale,
    do_normalize: true,
    image_mean: inOrder(mean),
    image_std: inOrder(std),
    ...(isReversed && { do_flip_channel_order: true }),
    ...resizing(resize, { height, width }),
    resample: FILTERS[resample],
  };
}

function resizing(
  resize: Preprocessing['resize'],
  size: { readonly height: number; readonly width: number },
): Config {
  const crop = { do_center_crop: true, crop_size: size };
  if (resize === undefined || resize === 'stretch') return { do_resize: true, size };
  if (resize === 'cover' && size.height === size.width)
    return { do_resize: true, size: { shortest_edge: size.height }, ...crop };
  if (resize === 'contain' && size.height === size.width)
    return { do_resize: true, size: { longest_edge: size.height }, ...crop };
  const [height, width] = resize.split('x').map(Number);
  if (width !== undefined) return { do_resize: true, size: { height, width }, ...crop };
  const [side, length] = resize.split(':');
  if (length !== undefined) return { do_resize: true, size: { [`${side}_edge`]: Number(length) }, ...crop };
  throw notForPipelines(
    `preprocessor_config.json has no words for pictures that are fitted by ${resize} into ${size.height} x ${size.width}`,
    `Compile with ${optionText('resize', 'stretch')}, or prepare the pictures before the pipeline.`,
  );
}

/**
 * `kept`, the original's tokenizer_config.json, with texts cut at `length` tokens, which the model takes, if not before; without it, what
 * `tokenizer`, a tokenizer.json, gives.
 */
export function tokenizerConfigJson(tokenizer: Config, length: number, kept?: Config): Config {
  if (kept) {
    const { model_max_length: most } = kept;
    return { ...kept, model_max_length: isSize(most) ? Math.min(most, length) : length };
  }
  const { padding, truncation, model } = tokenizer as {
    readonly padding?: { readonly direction?: string; readonly pad_token?: string } | null;
    readonly truncation?: { readonly max_length?: number } | null;
    readonly model?: { readonly unk_token?: string };
  };
  return {
    tokenizer_class: 'PreTrainedTokenizer',
    model_max_length: Math.min(truncation?.max_length ?? length, length),
    padding_side: padding?.direction === 'Left' ? 'left' : 'right',
    ...(padding?.pad_token !== undefined && { pad_token: padding.pad_token }),
    ...(model?.unk_token !== undefined && { unk_token: model.unk_token }),
  };
}
