/** What a model's folder on the Hugging Face hub says of it, in words of Offramp's options. */
import type { KnownClasses } from '../data/class-names.ts';
import type { PreprocessingOptions } from '../data/index.ts';
import { isEncoded, maxLengthOf } from '../data/tokenizer.ts';
import { badHubConfig } from '../errors/index.ts';
import { info, type Note, warning } from '../errors/notes.ts';
import type { Dim, ValueInfo } from '../graph/types.ts';
import { sizeOf } from '../passes/fix-inputs.ts';
import { findFiles, type HubFiles, type HubOptions } from './folder.ts';
import { type Config, isConfig, isSize, readConfig } from './json.ts';
import { type PictureConfig, readPictureConfig } from './pictures.ts';

/** Sizes of a sample that config files tell. */
export interface UsualSizes {
  readonly height?: number;
  readonly width?: number;
  readonly channels?: number;
  /** Tokens of a text. */
  readonly tokens?: number;
}

/** What is known of a model besides its ONNX file. */
export interface Hub {
  readonly files: HubFiles;
  /** What the model is called. */
  readonly name?: string;
  readonly preprocessing: PreprocessingOptions;
  readonly sizes: UsualSizes;
  /** Class names in the model's order. */
  readonly classes?: KnownClasses;
  readonly tokenizer?: string;
  readonly notes: readonly Note[];
}

/** Finds and reads the files of a model. Throws `no-model-in-folder`, `variant-missing`, `bad-model-config`. */
export async function readHub(options: HubOptions): Promise<Hub> {
  const files = await findFiles(options);
  const config = files.config === undefined ? {} : await readConfig(files.config);
  refuseOtherTasks(config, files);
  const processor = files.preprocessor === undefined ? undefined : await readConfig(files.preprocessor);
  const isSound = processor?.sampling_rate !== undefined;
  const pictures =
    processor && !isSound
      ? readPictureConfig(processor, files.preprocessor!, imageSizeIn(config))
      : undefined;
  const tokens =
    files.tokenizer === undefined ? undefined : await maxLengthOf(files.tokenizer, mostPositions(config));
  const names = namesIn(config);
  return {
    files,
    ...(files.name !== undefined && { name: files.name }),
    preprocessing: pictures?.preprocessing ?? {},
    sizes: { ...sizesIn(config, pictures), ...(tokens !== undefined && { tokens }) },
    ...(Array.isArray(names) && { classes: { names, from: `${files.config}` } }),
    ...(files.tokenizer !== undefined && { tokenizer: files.tokenizer }),
    notes: [
      ...(files.onlyVariant === undefined
        ? []
        : [
            info(
              'not-full-precision',
              `${files.model} (${files.onlyVariant}) is taken, since the folder has no model of full precision.`,
            ),
          ]),
      ...(pictures?.differs === undefined
        ? []
        : [
            (pictures.varies ? warning : info)(
              'not-as-library',
              `${files.preprocessor}: ${pictures.differs}.`,
            ),
          ]),
      ...(names === undefined && hasOtherNames(config)
        ? [
            warning(
              'class-names-unread',
              `${files.config}: id2label does not name the classes 0, 1, … by texts, so the names and the order of the data count.`,
            ),
          ]
        : []),
      ...(isSound
        ? [
            info(
              'sounds-as-arrays',
              `${files.preprocessor} is about sounds, which are not read: give the model's own numbers, as arrays.`,
            ),
          ]
        : []),
    ],
  };
}

/** Throws `bad-model-config` for models whose samples may have several classes, or none. */
function refuseOtherTasks({ problem_type: problem }: Config, { config }: HubFiles): void {
  if (problem === undefined || problem === null || problem === 'single_label_classification') return;
  throw badHubConfig(
    config!,
    `problem_type is ${JSON.stringify(problem)}`,
    'Early exits need models that give each sample one class (single_label_classification).',
  );
}

/** Most tokens that the model has positions for; where padding takes some of them (RoBERTa and its kin), those that are left. */
function mostPositions({
  max_position_embeddings: positions,
  n_positions,
  model_type: type,
  pad_token_id: pad = 1,
}: Config) {
  const most = positions ?? n_positions;
  if (!isSize(most)) return undefined;
  const isOffset =
    typeof type === 'string' && /^(xlm-)?roberta|^camembert|^mpnet|^longformer|^xmod|^esm/.test(type);
  const left = isOffset && typeof pad === 'number' ? most - pad - 1 : most;
  return isSize(left) ? left : undefined;
}

/** Whether there are names that `namesIn` does not understand. */
const hasOtherNames = ({ id2label }: Config): boolean =>
  id2label !== undefined && id2label !== null && JSON.stringify(id2label) !== '{}';

/**
 * `id2label`, an object or a list, unless it is what the library writes where nobody gave names. Blanks around names stay: the library answers
 * with them.
 */
function namesIn({ id2label }: Config): string[] | 'none given' | undefined {
  if (!isConfig(id2label) && !Array.isArray(id2label)) return undefined;
  const told = id2label as Readonly<Record<string, unknown>>;
  const count = Object.keys(told).length;
  const names = Array.from({ length: count }, (_, i) => told[i]);
  const isGiven = names.every((name): name is string => typeof name === 'string' && name.trim() !== '');
  if (!isGiven || count === 0) return undefined;
  return names.every((name, i) => name === `LABEL_${i}`) ? 'none given' : names;
}

function sizesIn(config: Config, pictures: PictureConfig | undefined): UsualSizes {
  const [height, width] = pictures?.size ?? imageSizeIn(config) ?? [];
  const { num_channels: channels } = config;
  return {
    ...(height !== undefined && width !== undefined && { height, width }),
    ...(isSize(channels) ? { channels } : pictures ? { channels: 3 } : {}),
  };
}

/** `image_size`: a number of pixels, or height and width. */
function imageSizeIn({ image_size: own }: Config): readonly [height: number, width: number] | undefined {
  const [height, width = height, ...more] = [own].flat();
  return isSize(height) && isSize(width) && more.length === 0 ? [height, width] : undefined;
}

/**
 * Sizes of the axes that `inputs` leave open and `dims` does not give, by the names that `dims` takes: `pixel_values.2`. Those that `sizes` does
 * not tell are left out. All inputs of a text are as long as one of them is.
 */
export function openDims(
  inputs: readonly ValueInfo[],
  sizes: UsualSizes,
  dims: Readonly<Record<string, number>>,
): Record<string, number> {
  const texts = inputs.filter(({ name }) => isEncoded(name));
  const tokens =
    texts.map((input) => sizeOf(input, 1, dims)).find((size) => size !== undefined) ?? sizes.tokens;
  const found: Record<string, number> = {};
  for (const input of inputs) {
    const axes = input.type?.dims ?? [];
    const usual = isEncoded(input.name) ? [tokens] : axes.length === 4 ? pictureAxes(axes, sizes) : [];
    for (const [n, size] of usual.entries())
      if (size !== undefined && n + 1 < axes.length && sizeOf(input, n + 1, dims) === undefined)
        found[`${input.name}.${n + 1}`] = size;
  }
  return found;
}

/** Channels first, unless they are known to be last. */
function pictureAxes(axes: readonly Dim[], { channels, height, width }: UsualSizes) {
  const isLast = axes[3] === channels && axes[1] !== channels;
  return isLast ? [height, width, channels] : [channels, height, width];
}
