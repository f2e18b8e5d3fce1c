/** The folder of a model in a Triton model repository: its configuration, class names, and the model as version 1. */
import type { Manifest } from '../emit/manifest.ts';
import type { Content } from '../emit/write.ts';
import { emittedModelDiffers } from '../errors/index.ts';
import type { DataFiles } from '../networks/data-folder.ts';
import type { Session } from '../ort/session.ts';
import { dataTypeOf } from '../ort/tensors.ts';
import { isOneScore } from '../passes/exits.ts';
import { printTritonConfig, type TensorSpec, type TritonModel } from './triton-config.ts';

/** A model that answers as `manifest` says. */
export interface ServedModel extends Omit<TritonModel, 'scores' | 'labelFile'> {
  readonly manifest: Manifest;
  readonly bytes: Uint8Array | readonly Uint8Array[];
  /** Its external data, by location. */
  readonly files: DataFiles;
}

const LABELS = 'labels.txt';
export const CONFIG = 'config.pbtxt';

/** The files of `model`, by their paths in its folder. */
export function printTritonModel({ manifest, bytes, files, ...model }: ServedModel): Map<string, Content> {
  const { activation, outputs } = manifest;
  // Triton names the largest of an output's numbers, which says nothing where there is one score.
  const labels = isOneScore(activation) ? undefined : manifest.labels;
  const config = printTritonConfig({ ...model, scores: outputs.scores, labelFile: labels && LABELS });
  return new Map<string, Content>([
    [CONFIG, config],
    ...(labels ? [[LABELS, labelLines(labels)] as const] : []),
    ...modelFiles('1/model.onnx', bytes, files),
  ]);
}

/** One class a line: its place is its index. */
const labelLines = (labels: readonly string[]) =>
  labels.map((label) => `${label.replace(/[\r\n]+/g, ' ')}\n`).join('');

/**
 * `bytes` at `path`. A model of several files lies in a folder of that name, where it is called model.onnx
 * (https://github.com/triton-inference-server/server/blob/main/docs/user_guide/model_repository.md#onnx-models).
 */
export function modelFiles(
  path: string,
  bytes: Uint8Array | readonly Uint8Array[],
  files: DataFiles,
): [string, Content][] {
  if (files.size === 0) return [[path, bytes]];
  return [
    [`${path}/model.onnx`, bytes],
    ...Array.from(files, ([file, content]): [string, Content] => [`${path}/${file}`, content]),
  ];
}

/** The classifier's outputs, with the shapes that ONNX Runtime, and with it Triton, sees. */
export const classifierOutputs = (session: Session, { outputs }: Manifest): TensorSpec[] =>
  outputsNamed(session, [outputs.scores, outputs.exitIndex, outputs.exitConfidence]);

/** Outputs `names` of the model, as `classifierOutputs`. */
export function outputsNamed({ outputMetadata }: Session, names: readonly string[]): TensorSpec[] {
  return names.map((name) => {
    const output = outputMetadata.find((o) => o.name === name);
    if (!output?.isTensor) throw emittedModelDiffers(`it has no output ${name}`);
    const dims = output.shape.map((size) => (typeof size === 'number' && size >= 0 ? size : -1));
    return { name, dataType: dataTypeOf(output.type), dims };
  });
}

/** Sizes as Triton has them: -1 is the batch. */
export const withoutBatchName = (dims: readonly (number | 'N')[]): number[] =>
  dims.map((size) => (size === 'N' ? -1 : size));
