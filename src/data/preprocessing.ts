import { ambiguousLayout, badPreprocessing, option } from '../errors/index.ts';
import { elementCount } from '../graph/tensor.ts';
import type { InputSpec, Layout, Preprocessing, Resample, Resize } from './types.ts';

/** Usual preprocessings, means and deviations in rgb order. `none` leaves the numbers as they are. */
export const PRESETS = {
  imagenet: { scale: 255, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
  cifar10: { scale: 255, mean: [0.4914, 0.4822, 0.4465], std: [0.247, 0.2435, 0.2616] },
  mnist: { scale: 255, mean: [0.1307], std: [0.3081] },
  half: { scale: 255, mean: [0.5], std: [0.5] },
  vit: { scale: 255, mean: [0.5], std: [0.5] },
  clip: {
    scale: 255,
    mean: [0.48145466, 0.4578275, 0.40821073],
    std: [0.26862954, 0.26130258, 0.27577711],
  },
  unit: { scale: 255, mean: [0], std: [1] },
  none: { scale: 1, mean: [0], std: [1] },
} as const;

export type Preset = keyof typeof PRESETS;

export interface PreprocessingOptions {
  readonly preset?: Preset;
  readonly scale?: number;
  /** In place of `scale`: pixels times this, rounded to float32. */
  readonly rescale?: number;
  /** In the model's channel order; one number serves all channels. */
  readonly mean?: readonly number[];
  readonly std?: readonly number[];
  readonly layout?: Layout;
  readonly channels?: 'rgb' | 'bgr' | 'gray';
  readonly resize?: Resize;
  /** How resized pixels are made; of no use without `resize`. */
  readonly resample?: Resample;
}

export const PREPROCESSING_OPTIONS = [
  'preset', 'scale', 'rescale', 'mean', 'std', 'layout', 'channels', 'resize', 'resample',
] as const satisfies (keyof PreprocessingOptions)[]; // biome-ignore format: a list

/** Whether float32, which models are fed, has room for `value`. */
export const isFloat32 = (value: number): boolean => Number.isFinite(Math.fround(value));

/** Channels, height and width of `dims` under `layout`; undefined when it has no such axes. */
export function imageShape(dims: readonly number[], layout: Layout): ImageShape | undefined {
  if (layout === 'flat') return undefined;
  if (dims.length === 2) return { channels: 1, height: dims[0]!, width: dims[1]! };
  if (dims.length !== 3) return undefined;
  const [a, b, c] = dims as [number, number, number];
  return layout === 'NCHW' ? { channels: a, height: b, width: c } : { channels: c, height: a, width: b };
}

export interface ImageShape {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
}

/** Several inputs as one flat one that holds them side by side; a single one as it is. */
export function combinedInput(inputs: readonly InputSpec[]): InputSpec {
  const [first] = inputs;
  if (first && inputs.length === 1) return first;
  const width = inputs.reduce((sum, { dims }) => sum + elementCount(dims), 0);
  return { name: inputs.map((i) => i.name).join(', '), dims: [width], dataType: 'float' };
}

/**
 * Preset (default `none`) plus overrides, checked against the model's input, whose dims determine the layout unless it is given.
 * Of several inputs none is preprocessed.
 */
export function resolvePreprocessing(
  options: PreprocessingOptions,
  inputs: readonly InputSpec[],
): Preprocessing {
  const input = combinedInput(inputs);
  const asked = PREPROCESSING_OPTIONS.filter((name) => (options[name] ?? 'none') !== 'none');
  if (inputs.length > 1 && asked.length > 0)
    throw badPreprocessing(
      `${asked.map((name) => option(name)).join(', ')}: the model takes several inputs (${input.name}), which are fed as they are`,
      'Leave it out, and store the numbers that the model takes.',
    );
  const preset = PRESETS[options.preset ?? 'none'];
  if (!preset)
    throw badPreprocessing(
      `there is no preset ${options.preset}`,
      `Presets: ${Object.keys(PRESETS).join(', ')}.`,
    );

  const layout = options.layout ?? inferLayout(input);
  const shape = imageShape(input.dims, layout);
  if (!shape && layout !== 'flat')
    throw badPreprocessing(`layout ${layout} does not fit input ${input.name} [${input.dims.join(', ')}]`);

  const count = shape?.channels ?? 1;
  const channels = options.channels ?? (count === 3 ? 'rgb' : shape && count === 1 ? 'gray' : 'any');
  if (channels !== 'any' && count !== (channels === 'gray' ? 1 : 3))
    throw badPreprocessing(`channels ${channels} do not fit ${described(input, count)}`);

  const perChannel = (name: 'mean' | 'std') => {
    const usual: readonly number[] = preset[name];
    const values = options[name] ?? (channels === 'bgr' ? usual.toReversed() : usual);
    if (values.length === count) return values;
    if (values.length === 1) return Array.from({ length: count }, () => values[0]!);
    throw badPreprocessing(`${values.length} values of ${name} do not fit ${described(input, count)}`);
  };
  const { rescale, resize, resample } = options;
  const scale = options.scale ?? (rescale === undefined ? preset.scale : 1 / rescale);
  const mean = perChannel('mean');
  const std = perChannel('std');
  if (
    ![scale, rescale ?? 1, ...mean, ...std].every(isFloat32) ||
    [scale, ...std].map(Math.fround).includes(0)
  )
    throw badPreprocessing(
      `scale ${scale}, mean ${mean}, std ${std}: all must be numbers in the range of float32, and scale and std not 0`,
    );
  return {
    scale,
    ...(rescale !== undefined && { rescale }),
    ...{ mean, std, layout, channels },
    ...(resize && { resize, ...(resample && resample !== 'bilinear' && { resample }) }),
  };
}

function described(input: InputSpec, channels: number): string {
  return `input ${input.name} [${input.dims.join(', ')}] with ${channels} channel${channels === 1 ? '' : 's'}`;
}

function inferLayout({ name, dims }: InputSpec): Layout {
  if (dims.length === 2) return 'NCHW';
  if (dims.length !== 3) return 'flat';
  const isColour = (d: number) => d === 1 || d === 3;
  const [first, last] = [dims[0]!, dims[2]!];
  if (isColour(first) && isColour(last) && !(first === 1 && last === 1)) throw ambiguousLayout(name, dims);
  return isColour(first) ? 'NCHW' : isColour(last) ? 'NHWC' : 'flat';
}
