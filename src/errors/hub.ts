/** Of folders in the layout of Optimum and transformers.js, and of their config files. */
import { OfframpError } from './offramp-error.ts';
import { option, optionText } from './option.ts';

export const noModelInFolder = (folder: string, tried: readonly string[], weights: string | undefined) =>
  new OfframpError(
    'no-model-in-folder',
    `there is no ONNX file in ${folder}: ${tried.join(' and ')} are not there`,
    weights === undefined
      ? 'Give the ONNX file itself, or a folder as `optimum-cli export onnx` and transformers.js have it.'
      : `${weights} holds weights without a graph: \`optimum-cli export onnx\` makes an ONNX file of them.`,
  );

export const severalModels = (folder: string, models: readonly string[]) =>
  new OfframpError(
    'no-model-in-folder',
    `${folder} has several ONNX files, and none is called as the model of a folder is: ${models.join(', ')}`,
    'Give the one that is meant.',
  );

export const variantMissing = (folder: string, dtype: string, there: readonly string[]) =>
  new OfframpError(
    'variant-missing',
    `${folder} has no ${dtype} file`,
    there.length === 0
      ? `Leave out ${option('dtype')}.`
      : `It has ${there.map((one) => optionText('dtype', one)).join(', ')}: give one of them, or the ONNX file itself.`,
  );

export const badHubConfig = (file: string, problem: string, remedy: string) =>
  new OfframpError('bad-model-config', `${file}: ${problem}`, remedy);

export const hubConfigUnknown = (file: string) =>
  new OfframpError(
    'bad-model-config',
    `${file} is none of the files that go with a model`,
    'Give config.json, preprocessor_config.json or tokenizer.json, or the folder that they lie in.',
  );

export const noConfigInFolder = (folder: string) =>
  new OfframpError(
    'bad-model-config',
    `${folder} has none of the files that go with a model`,
    'It should hold config.json, preprocessor_config.json or tokenizer.json.',
  );

/** `error`, of a model that is quantised while it runs, with the way on that is there: its float file, the variant `dtype`. */
export function takeFloat<T>(error: T, dtype: string): T {
  if (error instanceof OfframpError)
    error.hint = `The float model lies beside it: give ${optionText('dtype', dtype)}. To have it small as well, quantise that one statically (QDQ) before it is compiled.`;
  return error;
}

export const notForPipelines = (what: string, remedy: string) =>
  new OfframpError('not-for-pipelines', what, remedy);
