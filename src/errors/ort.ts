/** Of ONNX Runtime. */
import { messageOf, OfframpError } from './offramp-error.ts';
import { option } from './option.ts';

/** As onnxruntime-node says it of an input or output, with its number in TensorProto.DataType; and Offramp makes outputs of inner values. */
const UNSUPPORTED = /Unsupported data type: (\d+)\b/;
const OTHER_TYPES: Readonly<Record<string, string>> = {
  14: 'complex64',
  15: 'complex128',
  16: 'bfloat16',
  17: 'float8e4m3fn',
  18: 'float8e4m3fnuz',
  19: 'float8e5m2',
  20: 'float8e5m2fnuz',
};

/** `type`: as ONNX calls it. */
export const unsupportedType = (type: string, cause?: unknown) =>
  new OfframpError(
    'unsupported-type',
    `the model has ${type} values, which onnxruntime-node does not hand over`,
    'Export it in float32 or float16.',
    { cause },
  );

export const sessionFailed = (action: 'load' | 'run', reason: string, cause: unknown) => {
  const [, type] = UNSUPPORTED.exec(reason) ?? [];
  return type === undefined
    ? otherFailure(action, reason, cause)
    : unsupportedType(OTHER_TYPES[type] ?? `type ${type}`, cause);
};

const otherFailure = (action: 'load' | 'run', reason: string, cause: unknown) =>
  new OfframpError(
    'session-failed',
    `ONNX Runtime could not ${action} the model: ${reason}`,
    `Files that were given are tried by themselves, so this is most likely a fault of Offramp: please report it, with the model. With a ${option('provider')} other than cpu, try cpu first.`,
    { cause },
  );

/** As Gather says it. */
const NO_SUCH_ROW =
  /Name:'(.*?)'.*indices element out of data bounds, idx=(-?\d+) must be within the inclusive range \[-?\d+,(\d+)\]/s;

/** Of a run: `id-out-of-range` where the samples hold an id that the model has no row for, else `session-failed`. */
export const runFailed = (reason: string, cause: unknown) => {
  const [, node, id, last] = NO_SUCH_ROW.exec(reason) ?? [];
  if (id === undefined) return sessionFailed('run', reason, cause);
  return new OfframpError(
    'id-out-of-range',
    `a sample has the id ${id}, and the model has rows for ids up to ${last} (node ${node})`,
    `Ids of texts have to come from the tokenizer that the model was trained with: ${option('tokenizer')} makes them from texts.`,
    { cause },
  );
};

/** What to do about ONNX Runtime's message, by what it says. */
const REMEDIES: readonly (readonly [said: RegExp, remedy: string])[] = [
  [
    /not a registered function|No Op registered|Could not find an implementation/i,
    'It has no such operator, or not in that version and type: export the network from the operators of ONNX alone, with an opset from 11 to 22. Libraries of custom operators are not loaded.',
  ],
  [
    /only \*?guarantees\*? support|under development|Unsupported model IR version/i,
    'Export it again for an older ONNX: opset 22 or lower.',
  ],
];

/** `who`: which network of several the file is, `the original` or `first network 2`; undefined where it is the only one. */
export const modelNotLoadable = (path: string, who: string | undefined, reason: string, cause: unknown) =>
  new OfframpError(
    'model-not-loadable',
    `ONNX Runtime cannot load ${who === undefined ? path : `${who}, ${path}`}: ${reason.trim()}`,
    REMEDIES.find(([said]) => said.test(reason))?.[1] ??
      'The file does not fit together: export it again. In Python, onnx.checker.check_model(path, full_check=True) says what is wrong in it.',
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
    `${cause === undefined ? '' : (PROVIDER_HINTS[provider] ?? '')}Leave ${option('provider')} out, or give another of ${known.join(', ')}.`,
    { cause },
  );
