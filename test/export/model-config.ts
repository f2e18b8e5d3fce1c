/** Triton's rules for a config.pbtxt, as far as they can be told without Triton. */
import { readFileSync } from 'node:fs';
import protobuf from 'protobufjs';
import * as assert from 'uvu/assert';
import { readTextProto } from './read-text-proto.ts';

const SCHEMA = readFileSync(new URL('./model-config.proto', import.meta.url), 'utf8');
const { root } = protobuf.parse(SCHEMA, { keepCase: true });
root.resolveAll();
export const MODEL_CONFIG = root.lookupType('inference.ModelConfig');
const DATA_TYPE = root.lookupEnum('inference.DataType').values;

interface TensorConfig {
  readonly name: string;
  readonly data_type: number;
  readonly dims: readonly number[];
  readonly reshape?: { readonly shape: readonly number[] };
  readonly label_filename?: string;
}

export interface ModelConfig {
  readonly name: string;
  readonly backend: string;
  readonly max_batch_size: number;
  readonly input: readonly TensorConfig[];
  readonly output: readonly TensorConfig[];
  readonly dynamic_batching?: { readonly max_queue_delay_microseconds: number };
  readonly instance_group: readonly { readonly count: number; readonly kind: number }[];
  readonly parameters: Readonly<Record<string, { readonly string_value: string }>>;
  readonly model_warmup: readonly {
    readonly name: string;
    readonly batch_size: number;
    readonly inputs: Readonly<
      Record<
        string,
        { readonly data_type: number; readonly dims: readonly number[]; readonly zero_data: boolean }
      >
    >;
  }[];
}

export const readModelConfig = (text: string) => readTextProto(text, MODEL_CONFIG) as unknown as ModelConfig;

/** A tensor of the model as ONNX Runtime describes it. */
export interface ModelTensor {
  readonly name: string;
  readonly type: string;
  readonly shape: readonly (number | string)[];
}

const TYPES: Record<string, string> = { float32: 'FP32', float16: 'FP16', float64: 'FP64' };

/** What Triton and its ONNX Runtime backend check of inputs and outputs before they load a model. */
export function assertServes(
  config: ModelConfig,
  inputs: readonly ModelTensor[],
  outputs: readonly ModelTensor[],
): void {
  assert.equal(
    config.input.map(({ name }) => name),
    inputs.map(({ name }) => name),
  );
  for (const [configured, tensors] of [
    [config.input, inputs],
    [config.output, outputs],
  ] as const)
    for (const { name, data_type, dims, reshape } of configured) {
      const tensor = tensors.find((t) => t.name === name);
      assert.ok(tensor, `the model has no ${name}`);
      assert.is(data_type, DATA_TYPE[`TYPE_${TYPES[tensor.type] ?? tensor.type.toUpperCase()}`], name);
      assert.ok(dims.length > 0, `${name}: an empty shape is not allowed`);
      if (reshape)
        assert.is(elements(reshape.shape), elements(dims), `${name}: the reshape has other elements`);
      const own = reshape?.shape ?? dims;
      const shape = tensor.shape.map((size) => (typeof size === 'number' ? size : -1));
      if (config.max_batch_size > 0) assert.is(shape[0], -1, `${name}: the first dimension must be free`);
      const full = config.max_batch_size > 0 ? [-1, ...own] : own;
      assert.is(shape.length, full.length, `${name}: dimensions`);
      for (const [axis, size] of shape.entries())
        if (size !== -1) assert.is(full[axis], size, `${name}, axis ${axis}`);
    }
  assert.ok(!config.dynamic_batching || config.max_batch_size > 0);
  for (const { batch_size, inputs: warm } of config.model_warmup) {
    assert.ok(batch_size >= 1 && batch_size <= Math.max(config.max_batch_size, 1));
    assert.equal(
      Object.entries(warm).map(([name, { data_type, dims }]) => ({ name, data_type, dims })),
      config.input.map(({ name, data_type, dims }) => ({ name, data_type, dims })),
    );
    for (const { dims, zero_data } of Object.values(warm))
      assert.ok(zero_data && dims.every((size) => size > 0));
  }
}

const elements = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1);
