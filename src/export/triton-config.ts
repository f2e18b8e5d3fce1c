/**
 * The config.pbtxt of a model in a Triton model repository.
 *
 * Fields and types: https://github.com/triton-inference-server/common/blob/main/protobuf/model_config.proto; what they
 * mean: https://github.com/triton-inference-server/server/blob/main/docs/user_guide/model_configuration.md; parameters:
 * https://github.com/triton-inference-server/onnxruntime_backend#model-config-options.
 */
import type { DataType } from '../graph/types.ts';
import { EnumValue, type Message, printMessage } from './text-proto.ts';

/** An input or output as ONNX Runtime sees it: -1 is a dimension that may vary. */
export interface TensorSpec {
  readonly name: string;
  readonly dataType: DataType;
  readonly dims: readonly number[];
}

export interface TritonModel {
  /** Name of its folder in the repository. */
  readonly name: string;
  /** Told in comments at the top, a line each. */
  readonly notes: readonly string[];
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  /** The output that `labelFile` names the classes of. */
  readonly scores: string;
  readonly labelFile: string | undefined;
  /** Most samples a run; 0 when the model takes one sample a run and its first dimension is no batch. */
  readonly maxBatch: number;
  /** Copies of the model on the CPU, which run at the same time. */
  readonly instances: number;
  /** Threads of each. */
  readonly threads: number;
}

/**
 * Requests wait for no company: those that are waiting anyway share a run, up to `maxBatch` samples. A delay would be
 * paid by the samples that early exits make fast, and sizes are not preferred, because a batch shrinks at every exit.
 */
export function printTritonConfig(model: TritonModel): string {
  const { name, notes, inputs, outputs, scores, labelFile, maxBatch, instances, threads } = model;
  const config: Message = {
    name,
    backend: 'onnxruntime',
    max_batch_size: maxBatch,
    input: inputs.map((tensor) => described(tensor, maxBatch > 0)),
    output: outputs.map((tensor) => ({
      ...described(tensor, maxBatch > 0),
      label_filename: tensor.name === scores ? labelFile : undefined,
    })),
    dynamic_batching: maxBatch > 1 ? { max_queue_delay_microseconds: 0 } : undefined,
    instance_group: [{ count: instances, kind: new EnumValue('KIND_CPU') }],
    parameters: [{ key: 'intra_op_thread_count', value: { string_value: String(threads) } }],
    model_warmup: warmUpSizes(maxBatch).map((samples) => ({
      name: samples === 1 ? 'one sample' : `${samples} samples`,
      batch_size: samples,
      inputs: inputs.map((tensor) => {
        const { data_type, dims } = described(tensor, maxBatch > 0);
        return { key: tensor.name, value: { data_type, dims, zero_data: true } };
      }),
    })),
  };
  return `${notes.map((note) => `# ${note.replace(/\s+/g, ' ')}\n`).join('')}\n${printMessage(config)}`;
}

/** The batches that a model is warmed up with before it serves: the smallest and the largest. */
export const warmUpSizes = (maxBatch: number): readonly number[] => (maxBatch > 1 ? [1, maxBatch] : [1]);

/**
 * With `batching` the first dimension goes without saying. A tensor [N] has none left, and an empty shape is not
 * allowed: clients see [N, 1]
 * (https://github.com/triton-inference-server/server/blob/main/docs/user_guide/model_configuration.md#reshape).
 */
export function described({ name, dataType, dims }: TensorSpec, batching: boolean): Message {
  const own = batching ? dims.slice(1) : dims;
  return {
    name,
    data_type: new EnumValue(TRITON_TYPES[dataType] ?? 'TYPE_INVALID'),
    dims: own.length > 0 ? own : [1],
    reshape: own.length > 0 ? undefined : { shape: [] },
  };
}

const TRITON_TYPES: Partial<Record<DataType, string>> = {
  bool: 'TYPE_BOOL', uint8: 'TYPE_UINT8', uint16: 'TYPE_UINT16', uint32: 'TYPE_UINT32', uint64: 'TYPE_UINT64',
  int8: 'TYPE_INT8', int16: 'TYPE_INT16', int32: 'TYPE_INT32', int64: 'TYPE_INT64', float16: 'TYPE_FP16', float: 'TYPE_FP32',
  double: 'TYPE_FP64', string: 'TYPE_STRING',
}; // biome-ignore format: a table
