/** preprocessor_config.json: how pictures become a model's input, as transformers.js 4 understands it in Node. */
import type { PreprocessingOptions } from '../data/index.ts';
import type { Resample, Resize } from '../data/types.ts';
import { badHubConfig, option, optionText } from '../errors/index.ts';
import { type Config, isConfig, isSize, LARGEST_SIZE } from './json.ts';

export interface PictureConfig {
  readonly preprocessing: PreprocessingOptions;
  /** Height and width that pictures have at the end; undefined where they keep their own. */
  readonly size?: readonly [height: number, width: number];
  /** For the user, where something is not done as the library does it. */
  readonly differs?: string;
  /** The library gives pictures that are not square another shape. */
  readonly varies?: true;
}

/** By number (PIL's) or by name. Where transformers.js knows no way of its own it takes bilinear. */
const RESAMPLES: Readonly<Record<string, Resample>> = {
  0: 'affine-nearest',
  1: 'lanczos',
  2: 'affine-bilinear',
  3: 'affine-bicubic',
  4: 'affine-bilinear',
  5: 'affine-bilinear',
  nearest: 'affine-nearest',
  lanczos: 'lanczos',
  bilinear: 'affine-bilinear',
  bicubic: 'affine-bicubic',
  box: 'affine-bilinear',
  hamming: 'affine-bilinear',
};

/** Steps of processors of other tasks, which no option here has a word for. */
const FOREIGN = [
  'do_thumbnail',
  'do_crop_margin',
  'keep_aspect_ratio',
  'do_align_long_axis',
  'do_reduce_labels',
];

/** Whether something is done. A text such as "false" would be taken for one or the other by each reader in its own way. */
const isSwitch = (name: string) => /^do_/.test(name) || ['keep_aspect_ratio', 'include_top'].includes(name);

/**
 * What `config`, of `file`, says. `modelSize`: of pictures by the model's own config, which holds where `config` has none. Throws
 * `bad-model-config` for what cannot be done or is not understood.
 */
export function readPictureConfig(
  config: Config,
  file: string,
  modelSize?: readonly [height: number, width: number],
): PictureConfig {
  const refuse = (problem: string, remedy: string) => badHubConfig(file, problem, remedy);
  for (const [name, value] of Object.entries(config))
    if (isSwitch(name) && typeof (value ?? true) !== 'boolean')
      throw refuse(unlike(name, value, 'true or false'), 'Write true or false, without quotation marks.');
  const foreign = FOREIGN.find((name) => config[name] === true);
  if (foreign !== undefined)
    throw refuse(
      `${foreign} is a step that Offramp does not know`,
      `Prepare the pictures so yourself, as arrays in an .npz, and set ${foreign} to false.`,
    );
  const pads = config.do_pad === true && (config.pad_size ?? config.size_divisor ?? config.size_divisibility);
  if (pads)
    throw refuse(
      'do_pad is a step that Offramp does not know',
      `Set it to false, and give ${optionText('resize', 'contain')}, which adds black borders.`,
    );
  const fitting = readFitting(config, modelSize, refuse);
  const { size, varies, ...resizing } = fitting;
  const differs = [
    ...(resizing.resample === 'lanczos'
      ? ["pictures are resized by Pillow's Lanczos filter, which transformers.js approximates"]
      : []),
    ...(varies
      ? [
          `transformers.js gives pictures that are not square other shapes than ${size!.join(' x ')}; here all get this one (${resizing.resize})`,
        ]
      : []),
  ];
  return {
    preprocessing: { ...readNumbers(config, refuse), ...resizing },
    ...(size && { size }),
    ...(differs.length > 0 && { differs: differs.join('; ') }),
    ...(varies && { varies }),
  };
}

type Refuse = (problem: string, remedy: string) => Error;

interface Fitting {
  readonly resize?: Resize;
  readonly resample?: Resample;
  readonly size?: readonly [height: number, width: number];
  readonly varies?: true;
}

function readFitting(
  config: Config,
  modelSize: readonly [height: number, width: number] | undefined,
  refuse: Refuse,
): Fitting {
  const crop = config.do_center_crop === true ? readSize(config.crop_size, 'crop_size', refuse) : undefined;
  const given = config.size ?? config.image_size;
  const resizes = config.do_resize ?? given !== undefined;
  if (resizes !== true) return crop ? { size: crop } : {};
  const wanted = given ?? (modelSize ? { height: modelSize[0], width: modelSize[1] } : 224);
  const resample = filterOf(config.resample ?? 2);
  if (resample === undefined)
    throw refuse(
      unlike('resample', config.resample, 'a filter of PIL'),
      `Give ${option('resize')} and ${option('resample')}.`,
    );
  if (/^ConvNext/.test(typeOf(config))) return { ...convNext(config, wanted, refuse), resample };
  const edges = isConfig(wanted) ? wanted : {};
  const { shortest_edge: shortest, longest_edge: longest } = edges;
  if (shortest !== undefined && longest !== undefined)
    throw refuse(
      'size has both shortest_edge and longest_edge, which gives pictures of many shapes',
      `Leave longest_edge out, or give ${option('resize')}.`,
    );
  const edge = shortest ?? longest;
  if (edge !== undefined) {
    const length = whole(edge, 'size', refuse);
    const resize: Resize = shortest === undefined ? `longest:${length}` : `shortest:${length}`;
    return { resize, resample, ...(crop ? { size: crop } : { size: [length, length], varies: true }) };
  }
  // A number alone is the longest side where the centre is cut, and both sides elsewhere, since nothing else gives all pictures one shape.
  if (typeof wanted === 'number' && crop)
    return { resize: `longest:${whole(wanted, 'size', refuse)}`, resample, size: crop };
  const [height, width] = readSize(wanted, 'size', refuse);
  const isCut = crop && (crop[0] !== height || crop[1] !== width);
  const varies = typeof wanted === 'number' && !crop ? { varies: true as const } : {};
  return {
    resize: isCut ? `${height}x${width}` : 'stretch',
    resample,
    size: crop ?? [height, width],
    ...varies,
  };
}

function filterOf(value: unknown): Resample | undefined {
  const name = typeof value === 'number' || typeof value === 'string' ? String(value) : '';
  return Object.hasOwn(RESAMPLES, name) ? RESAMPLES[name] : undefined;
}

/** Below 384 pixels the centre of something larger, from there on the whole picture. */
function convNext(config: Config, size: unknown, refuse: Refuse): Omit<Fitting, 'resample'> {
  const edge = whole(isConfig(size) ? (size.shortest_edge ?? size.height) : size, 'size', refuse);
  if (edge >= 384) return { resize: 'stretch', size: [edge, edge] };
  const share = config.crop_pct ?? 224 / 256;
  if (typeof share !== 'number' || !(share > 0 && share <= 1))
    throw refuse(unlike('crop_pct', share, 'a share'), 'It is above 0 and at most 1, such as 0.875.');
  const shortest = Math.floor(edge / share);
  if (shortest > LARGEST_SIZE)
    throw refuse(
      `crop_pct ${share} makes pictures of ${shortest} pixels a side`,
      'It is above 0 and at most 1, such as 0.875.',
    );
  return { resize: `shortest:${shortest}`, size: [edge, edge] };
}

function readSize(size: unknown, name: string, refuse: Refuse): [number, number] {
  if (typeof size === 'number') return [whole(size, name, refuse), whole(size, name, refuse)];
  if (Array.isArray(size) && size.length === 2)
    return [whole(size[0], name, refuse), whole(size[1], name, refuse)];
  if (isConfig(size) && size.height !== undefined && size.width !== undefined)
    return [whole(size.height, name, refuse), whole(size.width, name, refuse)];
  if (isConfig(size) && size.shortest_edge !== undefined)
    return [whole(size.shortest_edge, name, refuse), whole(size.shortest_edge, name, refuse)];
  throw refuse(
    unlike(name, size, 'a size'),
    `Write { "height": 224, "width": 224 } or { "shortest_edge": 224 }.`,
  );
}

function whole(value: unknown, name: string, refuse: Refuse): number {
  if (isSize(value)) return value;
  throw refuse(unlike(name, value, 'a number of pixels'), 'Write a whole number above 0.');
}

function typeOf({ image_processor_type, feature_extractor_type }: Config): string {
  const type = image_processor_type ?? feature_extractor_type;
  return typeof type === 'string' ? type : '';
}

/** Scale, mean and deviation, in the order of the model's channels. */
function readNumbers(config: Config, refuse: Refuse): PreprocessingOptions {
  const { do_rescale, rescale_factor = 1 / 255, do_normalize } = config;
  if (do_rescale !== false && !isFactor(rescale_factor))
    throw refuse(
      unlike('rescale_factor', rescale_factor, 'a factor'),
      'Write a number above 0, such as 0.00392156862745098.',
    );
  const rescale = do_rescale === false ? { scale: 1 } : { rescale: rescale_factor as number };
  const isReversed = config.do_flip_channel_order === true;
  const inOrder = (values: readonly number[]) => (isReversed ? values.toReversed() : values);
  const channels = isReversed ? ({ channels: 'bgr' } as const) : {};
  if (do_normalize !== true) return { ...rescale, mean: [0], std: [1], ...channels };
  const mean = readChannels(config.image_mean ?? config.mean ?? config.image_mean, 'image_mean', refuse);
  const std = readChannels(config.image_std ?? config.std ?? config.image_std, 'image_std', refuse);
  // The deviation is squared there: as the weights were made (keras EfficientNet with its top layer).
  const isSquared = /^EfficientNet/.test(typeOf(config)) && config.include_top !== false;
  const divisors = isSquared ? std.map((s) => s * s) : std;
  if (divisors.includes(0))
    throw refuse('image_std has a 0', 'Pixels are divided by it: write what the model was trained with.');
  return {
    ...rescale,
    mean: inOrder(mean),
    std: inOrder(divisors),
    ...channels,
  };
}

/** Its inverse is finite as well. */
const isFactor = (value: unknown): boolean =>
  typeof value === 'number' && value > 0 && Number.isFinite(value) && Number.isFinite(1 / value);

function readChannels(values: unknown, name: string, refuse: Refuse): number[] {
  const list = [values].flat();
  if (list.length > 0 && list.every((value) => typeof value === 'number' && Number.isFinite(value)))
    return list as number[];
  throw refuse(
    unlike(name, values, 'a list of numbers'),
    'Write one number a channel, such as [0.5, 0.5, 0.5].',
  );
}

/** Says what a field holds instead of what it should. */
const unlike = (name: string, value: unknown, wanted: string): string =>
  `${name} is ${JSON.stringify(value) ?? 'missing'}, where ${wanted} is expected`;
