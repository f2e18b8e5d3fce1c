/** Of ONNX Runtime. */
import { messageOf, OfframpError } from './offramp-error.ts';
import { option } from './option.ts';

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
    `${cause === undefined ? '' : (PROVIDER_HINTS[provider] ?? '')}Leave ${option('provider')} out, or give another of ${known.join(', ')}.`,
    { cause },
  );
