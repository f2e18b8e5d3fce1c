/**
 * The manifest of what a server serves of a split: manifest.json of the model repository. Types and shapes are those of the Open Inference Protocol
 * (https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md).
 */
import { VERSION } from '../emit/version.ts';
import type { DataType } from '../graph/types.ts';

export interface ServerManifest {
  readonly schemaVersion: 1;
  /** Of Offramp. */
  readonly version: string;
  readonly models: readonly ServerModel[];
}

export interface ServerModel {
  /** As clients ask for it: a folder of the repository. */
  readonly name: string;
  /** Operating points of the package that it is for. */
  readonly points: readonly string[];
  readonly inputs: readonly ServerTensor[];
  readonly outputs: readonly ServerTensor[];
  /** `exit_index` of a sample that goes on to the next part; behind the last one, of a sample that the original itself answers. */
  readonly inPlay: number;
  /** The same model in one part, or a part a network. */
  readonly parts: readonly ServerPart[];
}

export interface ServerTensor {
  readonly name: string;
  readonly datatype: string;
  /** -1: the batch. */
  readonly shape: readonly number[];
}

export interface ServerPart {
  /** Id of its network, `original` for the last. */
  readonly network: string;
  /** ONNX file, relative to the repository. */
  readonly file: string;
  /** Of that file, lower-case hex. */
  readonly sha256: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

export const printServerManifest = (models: readonly ServerModel[]): string =>
  `${JSON.stringify({ schemaVersion: 1, version: VERSION, models } satisfies ServerManifest, null, 2)}\n`;

export const serverTensor = (
  name: string,
  dataType: DataType,
  dims: readonly (number | 'N')[],
): ServerTensor => ({
  name,
  datatype: DATATYPES[dataType] ?? dataType.toUpperCase(),
  shape: dims.map((size) => (size === 'N' ? -1 : size)),
});

const DATATYPES: Partial<Record<DataType, string>> = {
  float: 'FP32',
  double: 'FP64',
  float16: 'FP16',
  string: 'BYTES',
};
