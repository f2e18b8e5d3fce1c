import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { largestBatch } from '../../src/export/largest-batch.ts';
import { EnumValue, printMessage } from '../../src/export/text-proto.ts';
import { printTritonConfig, type TritonModel } from '../../src/export/triton-config.ts';
import { assertServes, MODEL_CONFIG, readModelConfig } from './model-config.ts';
import { readTextProto } from './read-text-proto.ts';

const test = suite('export: triton configuration');

const MODEL: TritonModel = {
  name: 'pets',
  notes: ['pets.onnx', 'two\nlines'],
  inputs: [{ name: 'image', dataType: 'float', dims: [-1, 3, 8, 8] }],
  outputs: [
    { name: 'scores', dataType: 'float', dims: [-1, 5] },
    { name: 'exit_index', dataType: 'int64', dims: [-1] },
    { name: 'exit_confidence', dataType: 'float', dims: [-1] },
  ],
  scores: 'scores',
  labelFile: 'labels.txt',
  maxBatch: 8,
  instances: 2,
  threads: 1,
};
const shaped = (tensors: TritonModel['inputs']) =>
  tensors.map(({ name, dataType, dims }) => ({
    name,
    type: dataType === 'float' ? 'float32' : dataType,
    shape: dims.map((size) => (size < 0 ? 'N' : size)),
  }));

test('a dynamic batch: the first dimension goes without saying, and [N] is [N, 1] to clients', () => {
  const text = printTritonConfig(MODEL);
  assert.is(
    text,
    `# pets.onnx
# two lines

name: "pets"
backend: "onnxruntime"
max_batch_size: 8
input {
  name: "image"
  data_type: TYPE_FP32
  dims: [3, 8, 8]
}
output {
  name: "scores"
  data_type: TYPE_FP32
  dims: [5]
  label_filename: "labels.txt"
}
output {
  name: "exit_index"
  data_type: TYPE_INT64
  dims: [1]
  reshape {
    shape: []
  }
}
output {
  name: "exit_confidence"
  data_type: TYPE_FP32
  dims: [1]
  reshape {
    shape: []
  }
}
dynamic_batching {
  max_queue_delay_microseconds: 0
}
instance_group {
  count: 2
  kind: KIND_CPU
}
parameters {
  key: "intra_op_thread_count"
  value {
    string_value: "1"
  }
}
model_warmup {
  name: "one sample"
  batch_size: 1
  inputs {
    key: "image"
    value {
      data_type: TYPE_FP32
      dims: [3, 8, 8]
      zero_data: true
    }
  }
}
model_warmup {
  name: "8 samples"
  batch_size: 8
  inputs {
    key: "image"
    value {
      data_type: TYPE_FP32
      dims: [3, 8, 8]
      zero_data: true
    }
  }
}
`,
  );
  const config = readModelConfig(text);
  assertServes(config, shaped(MODEL.inputs), shaped(MODEL.outputs));
  assert.is(config.instance_group[0]!.kind, 2);
  assert.equal(config.parameters, { intra_op_thread_count: { string_value: '1' } });
});

test('a fixed batch: whole shapes, no batching; a batch of one: no batcher either', () => {
  const fixed = (tensors: TritonModel['inputs']) =>
    tensors.map((tensor) => ({ ...tensor, dims: tensor.dims.map((size) => Math.abs(size)) }));
  const model = { ...MODEL, maxBatch: 0, inputs: fixed(MODEL.inputs), outputs: fixed(MODEL.outputs) };
  const config = readModelConfig(printTritonConfig({ ...model, labelFile: undefined }));
  assert.equal(
    [...config.input, ...config.output].map(({ dims, reshape }) => ({ dims, reshape })),
    [[1, 3, 8, 8], [1, 5], [1], [1]].map((dims) => ({ dims, reshape: undefined })),
  );
  assert.is(config.dynamic_batching, undefined);
  assert.is(config.output[0]!.label_filename, undefined);
  assert.equal(
    config.model_warmup.map((w) => w.batch_size),
    [1],
  );
  assertServes(config, shaped(model.inputs), shaped(model.outputs));

  const alone = readModelConfig(printTritonConfig({ ...MODEL, maxBatch: 1 }));
  assert.is(alone.max_batch_size, 1);
  assert.is(alone.dynamic_batching, undefined);
  assertServes(alone, shaped(MODEL.inputs), shaped(MODEL.outputs));
});

test('one number a sample, and names that need escapes', () => {
  const inputs = [{ name: 'a "b"\\\n\u0001ü', dataType: 'uint8', dims: [-1] }] as const;
  const config = readModelConfig(printTritonConfig({ ...MODEL, inputs }));
  assert.is(config.input[0]!.name, inputs[0].name);
  assert.equal(config.input[0]!.reshape, { shape: [] });
  assertServes(config, shaped(inputs), shaped(MODEL.outputs));
});

test('a message prints what it holds and nothing else', () => {
  assert.is(
    printMessage({ a: [], b: undefined, c: [{}, { d: new EnumValue('X') }], e: true }),
    'a: []\nc {}\nc {\n  d: X\n}\ne: true\n',
  );
});

test('the check sees what it must see', () => {
  const refused = (text: string, message: RegExp) =>
    assert.throws(() => readTextProto(text, MODEL_CONFIG), message);
  refused('nmae: "x"', /has no field nmae/);
  refused('name: x', /no string/);
  refused('name "x"', /no colon/);
  refused('name: "x" name: "y"', /there already/);
  refused('max_batch_size: "8"', /no int32/);
  refused('max_batch_size: 3000000000', /no int32/);
  refused('instance_group { kind: KIND_TPU }', /no Kind/);
  refused('input { dims: [1, x] }', /no int64/);
  refused('dynamic_batching { max_queue_delay_microseconds: -1 }', /no uint64/);
  refused('input { name: "a"', /} is missing/);
  refused(
    'model_warmup { inputs { key: "a" value { zero_data: true random_data: true } } }',
    /there already/,
  );
  refused('parameters { key: "a" value { string_value: 1 } }', /no string/);
  refused('parameters { key: "a" } parameters { key: "a" }', /twice/);
  refused('name: "x" @', /no token/);
  // What others write by hand is read as well.
  const lists = 'input [ { name: "a", dims: [ 1 ] }, { name: \'b\' dims: 2 dims: 3; } ] # end';
  assert.equal(readTextProto(lists, MODEL_CONFIG), {
    input: [
      { name: 'a', dims: [1] },
      { name: 'b', dims: [2, 3] },
    ],
  });
  const config = readModelConfig(printTritonConfig(MODEL));
  const unlike = (outputs: TritonModel['outputs']) => {
    let serves = true;
    try {
      assertServes(config, shaped(MODEL.inputs), shaped(outputs));
    } catch {
      serves = false;
    }
    assert.is(serves, false);
  };
  const [scores, index, confidence] = MODEL.outputs as [never, never, never];
  unlike([scores, index]);
  unlike([{ ...(scores as object), dims: [-1, 6] } as never, index, confidence]);
  unlike([{ ...(scores as object), dims: [1, 5] } as never, index, confidence]);
  unlike([scores, { ...(index as object), dims: [-1, 1] } as never, confidence]);
  unlike([scores, { ...(index as object), dataType: 'int32' } as never, confidence]);
});

test('the largest batch is the one that easy samples bear', () => {
  assert.is(largestBatch([0.3, 1], [0, 1]), 32);
  assert.is(largestBatch([0.3, 1], [1, 0]), 32);
  assert.is(largestBatch([0.01, 1], [0.9, 0.1]), 1);
  const costs = [0.25, 0.5, 0.75, 1.03];
  assert.is(largestBatch(costs, [0.42, 0.25, 0.14, 0.19]), 2);
  assert.is(largestBatch(costs, [0.1, 0.2, 0.3, 0.4]), 32);
  // Against the mean over all batches, one by one.
  const shares = [0.2, 0.3, 0.1, 0.4];
  const dearest = (n: number): number => {
    const walk = (left: number, most: number): number =>
      left === 0
        ? most
        : shares.reduce((sum, s, k) => sum + s * walk(left - 1, Math.max(most, costs[k]!)), 0);
    return walk(n, 0);
  };
  const found = largestBatch(costs, shares);
  assert.ok(dearest(Math.min(found, 8)) <= 1.5 * dearest(1));
  if (found < 8) assert.ok(dearest(2 * found) > 1.5 * dearest(1));
});

test.run();
