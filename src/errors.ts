/**
 * Every error a user can meet, one function each. An error says what is wrong, where (node, op, value, file),
 * and what to do about it; its code is stable and kebab-case.
 */
export class OfframpError extends Error {
  override readonly name = 'OfframpError';
  /** What was being done when it happened, outermost first. */
  readonly trail: string[] = [];
  /** What the user can do about it. */
  readonly hint: string;

  constructor(
    /** Stable kebab-case identifier, e.g. `not-an-onnx-file`. */
    readonly code: string,
    /** What is wrong and where. */
    message: string,
    hint: string,
    options?: ErrorOptions,
  ) {
    super(printable(message), options);
    this.hint = printable(hint);
  }
}

/** No message is longer. */
const MOST_CHARACTERS = 4000;

/** Names out of a file may hold control characters, which a terminal obeys, and may be endless. */
function printable(text: string): string {
  const code = (c: string) => c.charCodeAt(0).toString(16).padStart(2, '0');
  const shown = text.slice(0, MOST_CHARACTERS + 1).replace(/[^\P{Cc}\n\t]/gu, (c) => `\\x${code(c)}`);
  return shown.length > MOST_CHARACTERS ? `${shown.slice(0, MOST_CHARACTERS - 1)}…` : shown;
}

/** Runs `fn`; an error that rises through it gains `step` (e.g. `pass attach-exits`) at the head of its trail. */
export function within<T>(step: string, fn: () => T): T {
  const note = (error: unknown): never => {
    if (error instanceof OfframpError) error.trail.unshift(step);
    throw error;
  };
  try {
    const result = fn();
    return result instanceof Promise ? (result.catch(note) as T) : result;
  } catch (error) {
    return note(error);
  }
}

/** The one line of an unknown thrown thing. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

// --- graph ---

export const invalidGraph = (problem: string, where: string) =>
  new OfframpError(
    'invalid-graph',
    `${problem} (${where})`,
    'Check the model with `onnx.checker` or re-export it.',
  );

export const passBrokeInvariant = (pass: string, problem: string) =>
  new OfframpError(
    'pass-broke-invariant',
    `pass ${pass}: ${problem}`,
    'This is a bug in Offramp: please report it with the model.',
  );

// --- parser ---

export const notAnOnnxFile = (problem: string, hint = 'Give a model saved by `onnx.save` or an exporter.') =>
  new OfframpError('not-an-onnx-file', `this is not an ONNX model: ${problem}`, hint);

export const truncatedFile = () =>
  new OfframpError(
    'truncated-file',
    'the ONNX model ends in the middle of a field',
    'The file is incomplete: download or export it again.',
  );

export const malformedFile = (where: string, problem: string, cause?: unknown) =>
  new OfframpError(
    'malformed-file',
    `${problem} (${where})`,
    'The file is damaged: download or export it again.',
    { cause },
  );

export const tooManyFields = (limit: number) =>
  new OfframpError(
    'too-many-fields',
    `the file consists of more than ${limit} protobuf fields`,
    'Models have some thousands. If this is one, simplify it first (onnxsim).',
  );

export const malformedTensor = (name: string, problem: string) =>
  new OfframpError(
    'malformed-tensor',
    `tensor ${name || '(unnamed)'}: ${problem}`,
    'Check the model with `onnx.checker` or re-export it.',
  );

export const nestedTooDeeply = (limit: number) =>
  new OfframpError(
    'nested-too-deeply',
    `graphs lie more than ${limit} deep in one another`,
    'No protobuf reader accepts such a model: flatten its If and Loop nodes.',
  );

export const functionsTooDeep = (name: string, limit: number) =>
  new OfframpError(
    'functions-too-deep',
    `function ${name} calls itself, or lies more than ${limit} deep in others`,
    'Inline the functions: onnx.inliner.inline_local_functions(model).',
  );

export const functionsTooLarge = (name: string, limit: number) =>
  new OfframpError(
    'functions-too-large',
    `function ${name} stands for more than ${limit} nodes when the functions it calls are inlined`,
    'Export the model with fewer functions in one another.',
  );

export const inputTooLarge = (input: string, bytes: number, limit: number) =>
  new OfframpError(
    'input-too-large',
    `input ${input}: a sample takes ${bytes} bytes, more than ${limit}`,
    'Export the model with smaller input dimensions.',
  );

export const modelTooLarge = (sizeBytes: number) =>
  new OfframpError(
    'model-too-large',
    `the model takes ${sizeBytes} bytes, more than protobuf's 2 GiB`,
    'Save the original with external data: its weights then stay out of the model file.',
  );

export const unreadableModel = (path: string, reason: string) =>
  new OfframpError(
    'unreadable-model',
    reason.startsWith('ENOENT') ? `there is no file ${path}` : `cannot read the model ${path}: ${reason}`,
    'Check the path and that the file may be read.',
  );

export const externalDataMissing = (tensor: string, location: string) =>
  new OfframpError(
    'external-data-missing',
    `the data of tensor ${tensor} should be in the file "${location}", which is not there`,
    'Put the file beside the model, where the exporter wrote it, or name its folder: --external-data-folder.',
  );

export const externalDataOutside = (tensor: string, location: string, folder: string) =>
  new OfframpError(
    'external-data-outside',
    `the data of tensor ${tensor} are in "${location}", which leads out of ${folder}`,
    'Put the file itself there, no link, and save the model with a relative location; --external-data-folder names another folder.',
  );

export const externalDataTooShort = (tensor: string, location: string, needed: number, found: number) =>
  new OfframpError(
    'external-data-too-short',
    `the data of tensor ${tensor} end at byte ${needed} of "${location}", which has ${found}`,
    'The file is incomplete or belongs to another model: download or export both again.',
  );

export const externalDataNameTaken = (location: string) =>
  new OfframpError(
    'external-data-name-taken',
    `the model's external data are in "${location}", which is also the name of a file that Offramp writes beside it`,
    'Save the model with another location for its external data, e.g. onnx.save_model(…, location="weights.bin").',
  );

// --- ort ---

export const sessionFailed = (action: 'load' | 'run', reason: string, cause: unknown) =>
  new OfframpError(
    'session-failed',
    `ONNX Runtime could not ${action} the model: ${reason}`,
    'Does the original load in ONNX Runtime by itself? If it does, please report this.',
    { cause },
  );

const PROVIDER_HINTS: Readonly<Record<string, string>> = {
  cuda: 'It needs an NVIDIA GPU with CUDA 12 and cuDNN 9, and `npm install onnxruntime-node --onnxruntime-node-install=cuda12`. ',
  tensorrt:
    'It needs an NVIDIA GPU with TensorRT, and `npm install onnxruntime-node --onnxruntime-node-install=cuda12`. ',
  webgpu: 'It needs a GPU with a driver for Vulkan, Metal or Direct3D 12. ',
};

export const providerMissing = (provider: string, known: readonly string[], cause?: unknown) =>
  new OfframpError(
    'provider-missing',
    cause === undefined
      ? `onnxruntime-node has no execution provider ${provider} here`
      : `the execution provider ${provider} does not start on this machine: ${messageOf(cause).trim()}`,
    `${cause === undefined ? '' : (PROVIDER_HINTS[provider] ?? '')}Leave --provider out, or give another of ${known.join(', ')}.`,
    { cause },
  );

// --- data ---

const shown = (dims: readonly number[]) => `[${dims.join(', ')}]`;

const DATA_FORMATS =
  'Give an image folder (<path>/<class>/<picture>), CIFAR or Parquet files or their folder (folder#train), JSONL, an IDX file (*-images-idx3-ubyte[.gz]), an .npz with arrays x and y, or a folder or prefix with x.npy and y.npy; or `random`. Nothing need be labelled with --labels none.';

export const dataNotFound = (path: string) =>
  new OfframpError('data-not-found', `there is nothing at ${path}`, `Check the path. ${DATA_FORMATS}`);

export const unknownDataFormat = (path: string, problem: string) =>
  new OfframpError('unknown-data-format', `${path}: ${problem}`, DATA_FORMATS);

export const emptyDataset = (path: string) =>
  new OfframpError('empty-dataset', `${path} holds no samples`, DATA_FORMATS);

export const badDataFile = (file: string, problem: string, hint = 'Is the file complete? Write it again.') =>
  new OfframpError('bad-data-file', `${file}: ${problem}`, hint);

export const labelsFileMissing = (images: string, expected: string) =>
  new OfframpError(
    'labels-file-missing',
    `${images} has no labels beside it: expected ${expected}`,
    'Put the labels file there; or do without labels: --labels none.',
  );

export const arraysMissing = (file: string, expected: string, found: readonly string[]) =>
  new OfframpError(
    'arrays-missing',
    `${file} lacks ${expected}; it has ${found.join(', ') || 'no arrays'}`,
    'Save the samples with `np.savez(file, x=..., y=...)`; y may be left out with --labels none.',
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
    "Name a column (or field) like each of the model's inputs; text needs --tokenizer.",
  );

export const labelMissing = (place: string, expected: readonly string[], found: readonly string[]) =>
  new OfframpError(
    'label-missing',
    `${place} has no label; it has ${found.join(', ')}`,
    `Name the label's column (or field) ${expected.join(' or ')}; or do without labels: --labels none.`,
  );

export const rolesInside = (path: string, roles: readonly string[]) =>
  new OfframpError(
    'class-folders',
    `${path} holds folders of roles (${roles.join(', ')}), not of classes`,
    `Give each role its own folder, e.g. --train ${path}/${roles.find((role) => role.startsWith('train')) ?? roles[0]}.`,
  );

export const tooFewFolders = (path: string, folders: number, classes: number) =>
  new OfframpError(
    'class-folders',
    `${path} has ${folders} class folders, and the model has ${classes} classes`,
    'Folders are classes 0, 1, … in the order of their names, so one that is missing shifts all behind it. Add the missing ones (they may be empty), or give the names of all classes, one a line in the order of the outputs: --labels names.txt.',
  );

export const unknownLabel = (place: string, label: string, names: readonly string[] | undefined) =>
  new OfframpError(
    'unknown-label',
    names ? `${place}: there is no class "${label}"` : `${place}: nothing tells which class "${label}" is`,
    names
      ? `Classes: ${names.slice(0, 20).join(', ')}${names.length > 20 ? ', …' : ''}.`
      : 'Give the class names, in order: --labels names.txt, or labels.json (["first", "second", …]) beside the data.',
  );

export const tokenizerMissing = (path: string, text: string, inputs: readonly string[]) =>
  new OfframpError(
    'tokenizer-missing',
    `${path} has ${text}, but the model takes ${inputs.join(', ')}`,
    'Give the tokenizer that the model was trained with: --tokenizer tokenizer.json.',
  );

export const badTokenizer = (file: string, problem: string, cause?: unknown) =>
  new OfframpError(
    'bad-tokenizer',
    `tokenizer ${file}: ${problem}`,
    "Give the model's tokenizer.json (Hugging Face format).",
    { cause },
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
    `${path}: sample ${sample} has label ${label}${classes === undefined ? '' : `, but the model has ${classes} classes (0 to ${classes - 1})`}`,
    'Is this the data of this model? Labels count from 0.',
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
    'Save the samples in the shape of the input, or say --layout if its axes were misread.',
  );

export const notAnImageInput = (path: string, input: string, dims: readonly number[]) =>
  new OfframpError(
    'not-an-image-input',
    `${path} holds pictures, but the model's input ${input} ${shown(dims)} is no picture of 1 or 3 channels`,
    'Say --layout if its axes were misread; else save the samples as x.npy and y.npy in the shape of the input.',
  );

export const wrongImageSize = (
  file: string,
  size: { width: number; height: number },
  expected: { width: number; height: number },
) =>
  new OfframpError(
    'wrong-image-size',
    `${file} is ${size.width}×${size.height} pixels, but the model takes ${expected.width}×${expected.height}`,
    'Say how to fit it: --resize stretch, cover or contain.',
  );

export const unreadableImage = (file: string, reason: string, cause?: unknown) =>
  new OfframpError(
    'unreadable-image',
    `${file} could not be read as a picture: ${reason}`,
    'Remove or replace it, or leave such files out with --skip-bad.',
    { cause },
  );

export const ambiguousLayout = (input: string, dims: readonly number[]) =>
  new OfframpError(
    'ambiguous-layout',
    `input ${input} ${shown(dims)} may be [C, H, W] or [H, W, C]`,
    'Say which: --layout NCHW or --layout NHWC.',
  );

export const badPreprocessing = (problem: string, hint = 'Check --scale, --mean, --std and --channels.') =>
  new OfframpError('bad-preprocessing', problem, hint);

export const viewNeedsImage = (path: string) =>
  new OfframpError(
    'view-needs-image',
    `${path}: samples have no height and width to mirror or shift`,
    'Turn augmentation off.',
  );

export const badFractions = (problem: string) =>
  new OfframpError('bad-fractions', problem, 'Fractions are above 0 and add up to at most 1.');

export const diskFull = (folder: string, neededBytes?: number) =>
  new OfframpError(
    'disk-full',
    `no space left in ${folder}${neededBytes === undefined ? '' : ` (${Math.ceil(neededBytes / 2 ** 20)} MiB needed)`}`,
    'Free some, or put the cache elsewhere with --cache.',
  );

export const cacheUnwritable = (folder: string, reason: string, cause?: unknown) =>
  new OfframpError(
    'cache-unwritable',
    `cannot write to ${folder}: ${reason}`,
    'Put the cache elsewhere with --cache.',
    { cause },
  );

export const cacheDamaged = (folder: string) =>
  new OfframpError(
    'cache-damaged',
    `records in ${folder} are incomplete`,
    'Delete that folder; it is made anew.',
  );

// --- plan ---

export const noSampleInput = () =>
  new OfframpError(
    'no-sample-input',
    "none of the model's inputs has a batch axis, so nothing carries a sample",
    'Export the model with the batch as the first axis of its inputs.',
  );

export const bakedUnlabelled = () =>
  new OfframpError(
    'baked-unlabelled',
    "thresholds are built into the model, so it cannot give the original's own answers, and the data have no labels",
    'Give labelled data, or compile without --thresholds baked.',
  );

export const cannotCarry = (tap: string, reason: string) =>
  new OfframpError(
    'cannot-carry',
    `no exit can stand at ${tap}: ${reason}`,
    'Choose another --tap; `offramp inspect` lists them.',
  );

export const unknownInputDim = (input: string, dim: string, axis: number) =>
  new OfframpError(
    'unknown-input-dim',
    `input ${input}: the size of axis ${axis} (${dim}) is not in the model`,
    `Give it: --dim ${dim}=SIZE.`,
  );

export const fixedBatchTooLarge = (input: string, batch: number) =>
  new OfframpError(
    'fixed-batch',
    `input ${input}: the batch size is fixed at ${batch}`,
    'Export the model with a dynamic batch axis, or with batch size 1.',
  );

export const batchNotWidened = (problem: string, cause?: unknown) =>
  new OfframpError(
    'batch-not-widened',
    `the model takes one sample at a time, and could not be made to take more: ${problem}`,
    'Leave --widen-batch out: the early-exit model then takes one sample at a time too. Or export it with a dynamic batch.',
    { cause },
  );

export const unsupportedInputType = (input: string, dataType: string) =>
  new OfframpError(
    'unsupported-input-type',
    `input ${input}: elements of type ${dataType} are not supported`,
    'Supported are float, double, float16, int64, int32, uint8, int8 and bool.',
  );

export const samplesNotIndependent = (output: string, moved: number) =>
  new OfframpError(
    'samples-not-independent',
    `output ${output}: a sample's scores change with the batch around it (by ${moved.toPrecision(2)} of the largest)`,
    'Early exits regroup a batch, so the model must treat samples independently; is a BatchNormalization in training mode?',
  );

/** How `no-class-scores` lists an output that is a map or a sequence. */
export const NOT_A_TENSOR = 'not a tensor';

export const noClassScores = (outputs: readonly string[]) =>
  new OfframpError(
    'no-class-scores',
    `no output is a float [N, classes]; found ${outputs.join('; ') || 'none'}`,
    outputs.some((output) => output.includes(NOT_A_TENSOR))
      ? "A map of probabilities is no tensor. From scikit-learn export with options={'zipmap': False}."
      : 'Offramp needs a classifier: one float score per class and sample. Export the scores as an output.',
  );

export const ambiguousOutput = (outputs: readonly string[]) =>
  new OfframpError(
    'ambiguous-output',
    `several outputs carry class scores: ${outputs.join(', ')}`,
    `Choose one: --output ${outputs[0]}.`,
  );

export const unknownOutput = (output: string, outputs: readonly string[]) =>
  new OfframpError('unknown-output', `the model has no output ${output}`, `It has ${outputs.join(', ')}.`);

export const tooFewExitOutputs = (outputs: readonly string[]) =>
  new OfframpError(
    'too-few-exit-outputs',
    `--exit-outputs needs different outputs, at least two; got ${outputs.join(', ') || 'none'}`,
    "Name every exit's output, earliest first, and the whole model's own output last.",
  );

export const exitClassesDiffer = (exit: string, got: number, output: string, classes: number) =>
  new OfframpError(
    'exit-classes-differ',
    `exit output ${exit} has ${got} classes, ${output} has ${classes}`,
    'All exits must score the same classes.',
  );

export const exitNotApart = (exit: string, why: string) =>
  new OfframpError(
    'exit-not-apart',
    `the branch of exit output ${exit} cannot be taken out: ${why}`,
    'An exit must be a branch of its own that reads one value of the backbone.',
  );

export const noConfidenceHeads = () =>
  new OfframpError(
    'no-confidence-heads',
    'the exits that came with the model have no confidence heads',
    'Choose another --policy: max-prob, say.',
  );

export const trainingDataMissing = () =>
  new OfframpError(
    'training-data-missing',
    'no training data was given',
    'Give --train; or --calibration alone for a model with exits of its own (--exit-outputs).',
  );

export const unknownTap = (value: string, reason: string, near: readonly string[]) =>
  new OfframpError(
    'unknown-tap',
    `no exit can be placed at ${value}: ${reason}`,
    near.length ? `Possible taps: ${near.join(', ')}.` : 'See `offramp inspect` for possible taps.',
  );

export const noTaps = (rejected: number) =>
  new OfframpError(
    'no-taps',
    `the model has no place for an exit (${rejected} values were looked at)`,
    'See `offramp inspect` for the reason at each value. Not every model gains from early exits.',
  );

export const exitsDoNotFit = (asked: number, placed: number, rule: string) =>
  new OfframpError(
    'exits-do-not-fit',
    `${asked} exits were asked for, but placement ${rule} finds room for ${placed}`,
    `Ask for --exits ${placed} or fewer, or name the taps with --taps.`,
  );

/** What raises an opset outside of Offramp. */
const RAISE_OPSET =
  'Re-export it, or raise it: python -m onnxruntime.tools.update_onnx_opset --opset 13 in.onnx out.onnx.';

export const opsetTooOld = (
  opset: number,
  needed = 'exits inside a batch need 11 or more (ScatterND, GatherND)',
) => new OfframpError('opset-too-old', `the model's opset is ${opset}; ${needed}`, RAISE_OPSET);

export const cannotRaiseOpset = (opset: number, where: string, why: string) =>
  new OfframpError(
    'cannot-raise-opset',
    `the model's opset is ${opset}, and Offramp cannot raise it to 12: ${why} (${where})`,
    RAISE_OPSET,
  );

export const raisedModelDiffers = (opset: number, problem: string) =>
  new OfframpError(
    'raised-model-differs',
    `the model's opset is ${opset}; raised, it does not do what it did: ${problem}`,
    `${RAISE_OPSET} This is a bug in Offramp: please report it with the model.`,
  );

export const nameTaken = (name: string) =>
  new OfframpError(
    'name-taken',
    `the model already has a value named ${name}`,
    `Offramp needs that name: rename it.`,
  );

export const otherOutputs = (names: readonly string[], output: string) =>
  new OfframpError(
    'other-outputs',
    `outputs ${names.join(', ')} are not computed by samples that leave early`,
    `Drop them with --output ${output}, if nobody needs them.`,
  );

// --- train ---

export const noShapeRule = (opType: string, node: string) =>
  new OfframpError(
    'no-shape-rule',
    `no shape rule for op ${opType} (node "${node}")`,
    'Heads and losses may use the ops listed in src/graph/infer.ts; add a rule there for another.',
  );

export const shapeNotStatic = (value: string) =>
  new OfframpError(
    'shape-not-static',
    `the shape or content of value ${value} is not known beforehand`,
    'Bind symbolic dims to numbers first (bindDims), and keep shapes, axes and indices constant.',
  );

export const shapeMismatch = (where: string, shapes: readonly (readonly number[])[]) =>
  new OfframpError(
    'shape-mismatch',
    `shapes ${shapes.map((s) => `[${s.join(', ')}]`).join(' and ')} do not fit together (node "${where}")`,
    'The graph is not valid at these dims.',
  );

export const noGradientRule = (opType: string, node: string, input?: string) =>
  new OfframpError(
    'no-gradient-rule',
    `no gradient rule for op ${opType} (node "${node}")${input ? ` with respect to its input ${input}` : ''}`,
    'Trainable graphs may use the ops listed in src/passes/vjps.ts; put an Identity named stop_gradient… before this one, or add a rule.',
  );

export const lossNotScalar = (loss: string, fact: string) =>
  new OfframpError(
    'loss-not-scalar',
    `cannot differentiate ${loss}: it is ${fact}, not one float`,
    'Reduce it to one element (ReduceMean) first.',
  );

export const noPathToLoss = (name: string, loss: string) =>
  new OfframpError(
    'no-path-to-loss',
    `${loss} does not depend on ${name} in a differentiable way`,
    'Leave it out of the trained parameters, or check where the gradient stops.',
  );

export const notAParameter = (name: string, why: string) =>
  new OfframpError(
    'not-a-parameter',
    `${name} cannot be trained: ${why}`,
    'Name float initializers of the head.',
  );

export const cannotHead = (kind: string, dims: readonly number[]) =>
  new OfframpError(
    'cannot-head',
    `a ${kind} head takes [F], [L, D] or [C, H, W] a sample, not [${dims.join(', ')}]`,
    'Place the exit at another tap: `offramp inspect` lists them with their shapes.',
  );

export const trainingDiverged = (exit: string, step: number, learningRate: number) =>
  new OfframpError(
    'training-diverged',
    `the loss of ${exit} became NaN or infinite at step ${step} (learning rate ${learningRate})`,
    'Lower --learning-rate, or check the data for NaN (a wrong --scale or --std, say).',
  );

export const workerEnded = (exitCode: number) =>
  new OfframpError(
    'worker-ended',
    `a training thread ended early (exit code ${exitCode})`,
    'Most likely memory ran out: train with a smaller --batch, or with --threads 1.',
  );

export const featuresDiffer = (folder: string, differences: readonly string[]) =>
  new OfframpError(
    'features-differ',
    `the features in ${folder} are of something else: ${differences.join('; ')}`,
    'Give the same model, data and options as to `offramp features`, or make features of these in another folder.',
  );

export const featuresDamaged = (path: string) =>
  new OfframpError(
    'features-damaged',
    `${path} is not what was written`,
    'Merge the shards again: `offramp features merge` writes anew what is damaged.',
  );

export const badShard = (problem: string, hint: string) => new OfframpError('bad-shard', problem, hint);

export const notMerged = (folder: string) =>
  new OfframpError(
    'features-not-merged',
    `${folder} holds no merged features`,
    `Make every shard with \`offramp features\`, then run \`offramp features merge ${folder}\`.`,
  );

export const noShards = (folder: string) =>
  new OfframpError(
    'no-shards',
    `${folder} holds no shards of features`,
    'Give the folder that `offramp features --out` wrote to.',
  );

export const shardsMixed = (folder: string, count: number, other: number) =>
  new OfframpError(
    'shards-mixed',
    `${folder} holds shards of ${count} and shards of ${other}`,
    'Delete the folders of one of the two.',
  );

export const shardsUnusable = (folder: string, problems: readonly string[]) =>
  new OfframpError(
    'shards-unusable',
    `the shards in ${folder} do not make a whole: ${problems.join(', ')}`,
    'Run `offramp features` again for each of these shards (what is whole of them is kept; delete what is of something else), then merge.',
  );

// --- calibrate ---

export const tooFewForGuarantee = (samples: number, limit: number, confidence: number, needed: number) =>
  new OfframpError(
    'too-few-for-guarantee',
    `${samples} calibration samples cannot promise a loss of at most ${limit} with confidence ${confidence}: even without a single error that takes ${needed}`,
    `Give ${needed} calibration samples or more, or ask for a larger loss or a smaller confidence.`,
  );

export const classWithoutSamples = (missing: number, samples: number) =>
  new OfframpError(
    'class-without-samples',
    `none of the ${samples} validation samples is of class ${missing}, and the policy needs the precision on every class`,
    'Give --validation with samples of every class (without it, a part of --calibration or --train serves), or choose another --policy.',
  );

export const wrongThresholdCount = (got: number, exits: number) =>
  new OfframpError(
    'wrong-threshold-count',
    `${got} thresholds for ${exits} exits`,
    'Give one threshold per exit; 1 closes an exit.',
  );

export const wrongHeadCount = (got: number, exits: number) =>
  new OfframpError(
    'wrong-head-count',
    `${got} head families for ${exits} exits`,
    'Give one family for all exits, or one an exit, earliest first.',
  );

export const accuracyUnreachable = (floor: number, best: number, target: 'accuracy' | 'agreement') =>
  new OfframpError(
    'accuracy-unreachable',
    `no operating point has an ${target} of ${floor} on the calibration data; the best has ${best.toFixed(4)}`,
    'Ask for less: early exits cannot make a model better than it is.',
  );

export const timeBudgetUnreachable = (milliseconds: number, cheapest: number) =>
  new OfframpError(
    'budget-unreachable',
    `no operating point takes ${milliseconds} ms or less on average on this machine; the fastest takes ${cheapest.toFixed(2)} ms`,
    'Ask for a larger budget, or add an earlier exit or cheaper heads.',
  );

export const budgetUnreachable = (budget: number, cheapest: number) =>
  new OfframpError(
    'budget-unreachable',
    `no operating point costs ${budget} of the original or less; the cheapest costs ${cheapest.toFixed(3)}`,
    'Ask for a larger budget, or add an earlier exit or cheaper heads.',
  );

// --- emit ---

export const invalidManifest = (where: string, problem: string) =>
  new OfframpError(
    'invalid-manifest',
    `manifest: ${where} ${problem}`,
    'Compile the model again, or compare the manifest with schema/manifest.schema.json.',
  );

export const manifestVersionUnknown = (version: number) =>
  new OfframpError(
    'manifest-version-unknown',
    `the manifest has schemaVersion ${version}; this Offramp reads version 1`,
    'Use the Offramp version that wrote it, or compile the model again.',
  );

export const outputNotEmpty = (folder: string) =>
  new OfframpError(
    'output-not-empty',
    `the output folder ${folder} is not empty`,
    'Choose another --out, or pass --force to replace the files that Offramp wrote there.',
  );

export const outputFailed = (folder: string, reason: string, cause: unknown) =>
  new OfframpError(
    'output-failed',
    `could not write ${folder}: ${reason}`,
    'Check that the folder above it exists and may be written; what was there before is untouched.',
    { cause },
  );

export const badClassName = (name: string) =>
  new OfframpError(
    'bad-class-name',
    `"${name}" cannot be the name of the generated class`,
    'Give an identifier that starts with an upper-case letter and is not a global or a name the package uses itself.',
  );

export const packageDiffers = (files: readonly string[], command: string) =>
  new OfframpError(
    'package-differs',
    `not what would be generated from manifest.json: ${files.join(', ')}`,
    `Run \`${command}\` and commit what it writes.`,
  );

// --- cli ---

export const configMissing = (path: string) =>
  new OfframpError(
    'config-missing',
    `there is no settings file ${path}`,
    'Give the path of a JSON file, or leave --config out: offramp.config.json here is found by itself.',
  );

const CONFIG_HINT = "Option names are the command line's; the file's schema is schema/config.schema.json.";

export const badConfig = (path: string, where: string, problem: string) =>
  new OfframpError('bad-config', `${path}: ${where} ${problem}`, CONFIG_HINT);

export const unknownSetting = (
  path: string,
  name: string,
  near: string | undefined,
  command: string | undefined,
) =>
  new OfframpError(
    'unknown-setting',
    `${path}: there is no setting ${name}`,
    near === undefined
      ? `See offramp ${command === undefined ? '' : `${command} `}--help. ${CONFIG_HINT}`
      : `Did you mean ${near}?`,
  );

export const badUsage = (problem: string, near: string | undefined, command: string | undefined) =>
  new OfframpError(
    'bad-usage',
    problem,
    `${near === undefined ? '' : `Did you mean ${near}? `}See offramp ${command === undefined ? '' : `${command} `}--help.`,
  );

export const notAPackage = (folder: string) =>
  new OfframpError(
    'not-a-package',
    `${folder} holds no manifest.json`,
    'Give the folder that `offramp compile --out` wrote.',
  );

export const notComparable = (a: string, b: string, problem: string, hint: string) =>
  new OfframpError('not-comparable', `${a} and ${b} cannot be compared: ${problem}`, hint);

export const unusableHeads = (file: string, problem: string) =>
  new OfframpError(
    'unusable-heads',
    `${file} ${problem}`,
    'Compile the model again: calibrate needs the heads as they were trained.',
  );

export const otherModel = (path: string, folder: string, sha256: string) =>
  new OfframpError(
    'other-model',
    `${path} is not the model that ${folder} was compiled from`,
    `Give the original, unchanged, with its external data beside it: its sha256 is ${sha256}.`,
  );

export const originalMissing = (folder: string, point: string) =>
  new OfframpError(
    'original-missing',
    `the thresholds of ${point} are not built into ${folder}/model.onnx, and the original to build them into was not given`,
    'Give it with --model; or compile with --thresholds baked.',
  );

export const cannotBatch = (output: string, dims: readonly number[]) =>
  new OfframpError(
    'cannot-batch',
    `output ${output} is declared as ${shown(dims)}: its first dimension is not the batch, and Triton batches no such model`,
    'Export the original with a dynamic batch axis on its outputs too, and compile it again.',
  );

export const calibrationDataMissing = () =>
  new OfframpError(
    'calibration-data-missing',
    'no calibration data was given',
    'Give --calibration; or --train, when compile cut the calibration data off it.',
  );

export const badLabelsFile = (path: string, problem: string, classes: number) =>
  new OfframpError(
    'bad-labels',
    `labels file ${path}: ${problem}`,
    `Write ${classes} class names, one a line.`,
  );

export const unknownPoint = (name: string, names: readonly string[]) =>
  new OfframpError(
    'unknown-operating-point',
    `there is no operating point ${name}`,
    `There are ${names.join(', ')}.`,
  );

export const badOption = (option: string, value: string, expected: string) =>
  new OfframpError('bad-option', `${option} ${value} is not valid`, `Give ${expected}.`);

export const emittedModelDiffers = (problem: string) =>
  new OfframpError(
    'emitted-model-differs',
    `the emitted model does not do what heads and policy do by hand: ${problem}`,
    'Nothing was written. This is a bug in Offramp or in ONNX Runtime: please report it with the model.',
  );
