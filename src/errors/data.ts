/** Of samples: files, labels, images, the cache they are decoded into. */
import { messageOf, OfframpError, shown } from './offramp-error.ts';
import { option, optionText } from './option.ts';

const DATA_FORMATS =
  "Give an image folder (<path>/<class>/<image>), CIFAR or Parquet files or their folder (folder#train), JSONL, an IDX file (*-images-idx3-ubyte[.gz]), an .npz with arrays x and y, or a folder or prefix with x.npy and y.npy; or `random`. Nothing need be labelled with `labels: 'none'`.";

export const dataNotFound = (path: string) =>
  new OfframpError('data-not-found', `there is nothing at ${path}`, `Check the path. ${DATA_FORMATS}`);

export const unknownDataFormat = (path: string, problem: string) =>
  new OfframpError('unknown-data-format', `${path}: ${problem}`, DATA_FORMATS);

export const emptyDataset = (path: string) =>
  new OfframpError('empty-dataset', `${path} holds no samples`, DATA_FORMATS);

export const emptyPart = (path: string, samples: number, split: string) =>
  new OfframpError(
    'empty-dataset',
    `${path} has too few samples (${samples}) for a part of them to be the ${split} split`,
    `Give it samples of its own with ${option(split)}, or give more.`,
  );

/** `sample` counts from 0. */
export const notFinite = (path: string, sample: number) =>
  new OfframpError(
    'not-finite',
    `sample ${sample} of ${path} (counted from 0) holds NaN or an infinite number, from which nothing can be learned or measured`,
    `Mend or remove it; or mend ${option('scale')} and ${option('std')} if they make it so.`,
  );

export const badDataFile = (file: string, problem: string, hint = 'Is the file complete? Write it again.') =>
  new OfframpError('bad-data-file', `${file}: ${problem}`, hint);

export const labelsFileMissing = (images: string, expected: string) =>
  new OfframpError(
    'labels-file-missing',
    `${images} has no labels beside it: expected ${expected}`,
    "Put the labels file there; or do without labels: `labels: 'none'`.",
  );

export const arraysMissing = (file: string, expected: string, found: readonly string[]) =>
  new OfframpError(
    'arrays-missing',
    `${file} lacks ${expected}; it has ${found.join(', ') || 'no arrays'}`,
    "Save the samples with `np.savez(file, x=..., y=...)`; y may be left out with `labels: 'none'`.",
  );

export const ambiguousPart = (place: string, parts: readonly string[]) =>
  new OfframpError(
    'ambiguous-part',
    `${place} has several parts: ${parts.join(', ')}`,
    `Say which: \`${place}#${parts[0]}\`.`,
  );

export const unknownPart = (place: string, part: string, parts: readonly string[]) =>
  new OfframpError('unknown-part', `${place} has no part ${part}`, `It has ${parts.join(', ')}.`);

export const fieldsMissing = (place: string, missing: readonly string[], found: readonly string[]) =>
  new OfframpError(
    'fields-missing',
    `${place} lacks ${missing.join(', ')}; it has ${found.join(', ') || 'nothing'}`,
    "Name a column (or field) like each of the model's inputs; text needs `tokenizer`.",
  );

export const labelMissing = (place: string, expected: readonly string[], found: readonly string[]) =>
  new OfframpError(
    'label-missing',
    `${place} has no label; it has ${found.join(', ')}`,
    `Name the label's column (or field) ${expected.join(' or ')}; or do without labels: ${optionText('labels', 'none')}.`,
  );

export const splitsInside = (path: string, splits: readonly string[]) =>
  new OfframpError(
    'class-folders',
    `${path} holds folders of splits (${splits.join(', ')}), not of classes`,
    `Give each split its own folder, e.g. ${optionText('train', `${path}/${splits.find((split) => split.startsWith('train')) ?? splits[0]}`)}.`,
  );

export const tooFewFolders = (path: string, folders: number, classes: number) =>
  new OfframpError(
    'class-folders',
    `${path} has ${folders} class folders, and the model has ${classes} classes`,
    "Folders are classes 0, 1, … in the order of their names, so one that is missing shifts all behind it. Add the missing ones (they may be empty), or give the names of all classes, one a line in the order of the outputs: `labels: 'names.txt'`.",
  );

export const unknownLabel = (place: string, label: string, names: readonly string[] | undefined) =>
  new OfframpError(
    'unknown-label',
    names ? `${place}: there is no class "${label}"` : `${place}: nothing tells which class "${label}" is`,
    names
      ? listed(names)
      : `Give the class names, in order: ${optionText('labels', 'names.txt')}, or labels.json (["first", "second", …]) beside the data.`,
  );

/** Of data whose own names for its classes are not those of `from`. */
export const unknownClass = (
  place: string,
  name: string,
  from: string,
  names: readonly string[],
  { differsInCase, none }: { readonly differsInCase: string | undefined; readonly none: boolean },
) =>
  new OfframpError(
    'unknown-label',
    none
      ? `${place}: none of its classes is among those of ${from}: its first is "${name}", theirs "${names[0]}"${differsInCase === undefined ? '' : ` (there is "${differsInCase}": upper and lower case differ)`}`
      : `${place} has a class "${name}", and ${from} has none of that name${differsInCase === undefined ? '' : `, but "${differsInCase}": upper and lower case differ`}`,
    `${listed(names)} A class must have the same name everywhere, letter by letter; the order does not matter. ${
      from.startsWith('`labels')
        ? "In the labels file write the names as the data have them, one a line in the order of the model's outputs."
        : 'Rename what is wrong, or leave out what is of no class of this model.'
    }`,
  );

export const ambiguousClass = (place: string, name: string) =>
  new OfframpError(
    'unknown-label',
    `${place} has several classes called "${name}", so the name does not tell which is meant`,
    `Leave out the samples of this class, or do without labels: ${optionText('labels', 'none')}.`,
  );

const listed = (names: readonly string[]) =>
  `Classes: ${names.slice(0, 20).join(', ')}${names.length > 20 ? ', …' : ''}.`;

export const tokenizerMissing = (path: string, text: string, inputs: readonly string[]) =>
  new OfframpError(
    'tokenizer-missing',
    `${path} has ${text}, but the model takes ${inputs.join(', ')}`,
    "Give the tokenizer that the model was trained with: `tokenizer: 'tokenizer.json'`.",
  );

export const badTokenizer = (file: string, problem: string, cause?: unknown) =>
  new OfframpError(
    'bad-tokenizer',
    `tokenizer ${file}: ${problem}`,
    "Give the model's tokenizer.json (Hugging Face format).",
    { cause },
  );

/** `part`: of tokenizer.json, as it is called there. */
export const badTokenizerPart = (file: string, part: string, problem: string) =>
  new OfframpError(
    'bad-tokenizer',
    `tokenizer ${file}: ${part}: ${problem}`,
    'Offramp reads texts only as the library tokenizers of Python does: encode the texts there, and give `input_ids` (JSONL or Parquet) in their place.',
  );

/** `text` took `ms`, and was not done. */
export const tokenizerTooSlow = (file: string, text: string, ms: number) =>
  new OfframpError(
    'bad-tokenizer',
    `tokenizer ${file}: it was not done after ${ms / 1000} seconds with a text of ${text.length} characters: ${JSON.stringify(text.slice(0, 40))}${text.length > 40 ? '…' : ''}`,
    'Most likely a regex of it does not come to an end with such a text. Cut the text, or write the regex so that one part of it does not repeat what repeats: `a+`, not `(a+)+`.',
  );

/** `error`, met when reading a tokenizer, with its file unless it names one. */
export const asBadTokenizer = (file: string, error: unknown) =>
  error instanceof OfframpError ? error : badTokenizer(file, messageOf(error), error);

export const badTokenizerConfig = (file: string, problem: string) =>
  new OfframpError(
    'bad-tokenizer',
    `${file}: ${problem}`,
    'Is the file complete? Fetch it again, or take it away: it says on what side texts are padded, and where they are cut.',
  );

export const unsupportedCodec = (file: string, column: string, codec: string) =>
  new OfframpError(
    'unsupported-codec',
    `${file}: column ${column} is compressed by ${codec}, which Offramp cannot read`,
    'Write the file again with zstd, snappy, gzip, brotli or LZ4.',
  );

export const beyondFloat = (place: string, what: string) =>
  badDataFile(
    place,
    `${what} is beyond ±2^24, which float32 cannot hold exactly`,
    'Offramp feeds inputs from float32; save smaller numbers.',
  );

export const ambiguousArrays = (file: string) =>
  new OfframpError(
    'ambiguous-arrays',
    `${file} has both x_train and x_test`,
    `Say which: \`${file}#train\` or \`${file}#test\`.`,
  );

export const labelCountMismatch = (file: string, labels: number, samples: number) =>
  new OfframpError(
    'label-count-mismatch',
    `${file} has ${labels} labels for ${samples} samples`,
    'Labels and samples must correspond one to one.',
  );

export const badLabels = (file: string, problem: string) =>
  new OfframpError(
    'bad-labels',
    `${file}: ${problem}`,
    'Labels are class indices, [N], whole numbers; of one-hot rows take the argmax.',
  );

export const labelOutOfRange = (path: string, sample: number, label: number, classes: number | undefined) =>
  new OfframpError(
    'label-out-of-range',
    `${path}: sample ${sample} (counted from 0) has label ${label}${classes === undefined ? '' : `, but the model has ${classes} classes (0 to ${classes - 1})`}`,
    'Is this the data of this model? Labels count from 0.',
  );

export const labelUnnamed = (path: string, sample: number, label: number, names: number) =>
  new OfframpError(
    'label-out-of-range',
    `${path}: sample ${sample} (counted from 0) has label ${label}, but the data name ${names} classes (0 to ${names - 1})`,
    'Is the list of class names with the data complete?',
  );

export const tooManyClasses = (path: string, found: number, classes: number) =>
  new OfframpError(
    'too-many-classes',
    `${path} has ${found} classes, but the model has ${classes}`,
    'Is this the data of this model? The subfolders of an image folder are its classes.',
  );

export const sampleShapeMismatch = (
  path: string,
  sample: readonly number[],
  input: string,
  dims: readonly number[],
) =>
  new OfframpError(
    'sample-shape-mismatch',
    `${path}: samples are ${shown(sample)}, but the model's input ${input} takes ${shown(dims)}`,
    'Save the samples in the shape of the input, or give `layout` if its axes were misread.',
  );

export const notAnImageInput = (path: string, input: string, dims: readonly number[]) =>
  new OfframpError(
    'not-an-image-input',
    `${path} holds images, but the model's input ${input} ${shown(dims)} is no image of 1 or 3 channels`,
    dims.length > 1
      ? 'Give `layout` if its axes were misread; else save the samples as x.npy and y.npy in the shape of the input.'
      : 'Is this the data of this model? Text belongs in JSONL or Parquet, with `tokenizer`; numbers in x.npy and y.npy.',
  );

export const wrongImageSize = (
  file: string,
  size: { width: number; height: number },
  expected: { width: number; height: number },
) =>
  new OfframpError(
    'wrong-image-size',
    `${file} is ${size.width}×${size.height} pixels, but the model takes ${expected.width}×${expected.height}`,
    "Say how to fit it: `resize: 'stretch'`, 'cover' or 'contain'.",
  );

export const unreadableImage = (file: string, reason: string, cause?: unknown) =>
  new OfframpError(
    'unreadable-image',
    `${file} could not be read as an image: ${reason}`,
    'Remove or replace it, or leave such files out with `skipBad: true`.',
    { cause },
  );

export const ambiguousLayout = (input: string, dims: readonly number[]) =>
  new OfframpError(
    'ambiguous-layout',
    `input ${input} ${shown(dims)} may be [C, H, W] or [H, W, C]`,
    "Say which: `layout: 'NCHW'` or `layout: 'NHWC'`.",
  );

export const badPreprocessing = (problem: string, hint = 'Check `scale`, `mean`, `std` and `channels`.') =>
  new OfframpError('bad-preprocessing', problem, hint);

export const viewNeedsImage = (path: string) =>
  new OfframpError(
    'view-needs-image',
    `${path}: samples have no height and width to mirror or shift`,
    `Leave them as they are: ${optionText('augment', 'none')}.`,
  );

export const badFractions = (problem: string) =>
  new OfframpError('bad-fractions', problem, 'Fractions are above 0 and add up to at most 1.');

export const diskFull = (folder: string, neededBytes?: number) =>
  new OfframpError(
    'disk-full',
    `no space left in ${folder}${neededBytes === undefined ? '' : ` (${Math.ceil(neededBytes / 2 ** 20)} MiB needed)`}`,
    'Free some, or write elsewhere: `out` says where the result goes, `cache` where the cache is.',
  );

export const noRoomForFeatures = (folder: string, neededBytes: number, freeBytes: number) =>
  new OfframpError(
    'disk-full',
    `features take ${megabytes(Math.ceil(neededBytes / 1e6))} in ${folder}, and the disk has room for ${megabytes(Math.floor(freeBytes / 1e6))}`,
    `Free some, put the cache elsewhere with ${option('cache')}, or give ${option('cacheLimit', `${1e6 * Math.floor(freeBytes / 1e6)}`)}: features that do not fit are then computed again for each batch, which takes longer and learns from other views of the samples.`,
  );

const megabytes = (count: number) => `${count}MB`;

export const cacheUnwritable = (folder: string, reason: string, cause?: unknown) =>
  new OfframpError(
    'cache-unwritable',
    `cannot write to ${folder}: ${reason}`,
    'Put the cache elsewhere with `cache`.',
    { cause },
  );

export const cacheDamaged = (path: string) =>
  new OfframpError(
    'cache-damaged',
    `${path} is not what was written there`,
    'Run the command again: what is damaged in the cache is made anew.',
  );
