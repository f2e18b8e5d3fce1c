/** What students are built for in tests, and samples for them. */
import { type InputSpec, type PreprocessingOptions, resolvePreprocessing } from '../../src/data/index.ts';
import { uniforms } from '../../src/graph/random.ts';
import { elementCount, floatTensor, toFloat32Array } from '../../src/graph/tensor.ts';
import type { DataType, Graph } from '../../src/graph/types.ts';
import type { StudentReads } from '../../src/students/student.ts';

export const inputOf = (dims: readonly number[], dataType: DataType = 'float', name = 'x'): InputSpec => ({
  name,
  dims,
  dataType,
});

export const readsOf = (
  inputs: readonly InputSpec[],
  options: PreprocessingOptions = {},
  classes = 5,
): StudentReads => ({ inputs, preprocessing: resolvePreprocessing(options, inputs), classes });

/** `input_ids` and `attention_mask`, of `length` tokens. */
export const textOf = (length: number, dataType: DataType = 'int64'): InputSpec[] => [
  inputOf([length], dataType, 'input_ids'),
  inputOf([length], dataType, 'attention_mask'),
];

/** An embedding of which only the number of tokens is known. */
export const ofTokens = (vocabulary: number) => ({ input: 'input_ids', vocabulary });

/** [n, numbers of all inputs]: whole numbers in [0, 255], so that they are of any type; a mask counts the first half of the tokens and one more for each sample. */
export function samplesOf(inputs: readonly InputSpec[], n: number, seed = 1): Float32Array {
  const next = uniforms(seed);
  const rows: number[] = [];
  for (let k = 0; k < n; k++)
    for (const { name, dims } of inputs) {
      const size = elementCount(dims);
      for (let i = 0; i < size; i++)
        rows.push(name === 'attention_mask' ? Number(i < size / 2 + k) : Math.floor(256 * next()));
    }
  return Float32Array.from(rows);
}

/** `graph` as training would leave it: statistics, scales and biases that do something. */
export function lived(graph: Graph, seed = 3): Graph {
  const next = uniforms(seed);
  const initializers = graph.initializers.map((tensor) => {
    const part = tensor.name.split('/').at(-1)!;
    if (!['scale', 'bias', 'mean', 'var'].includes(part)) return tensor;
    const isFront = tensor.name.includes('input/');
    const draw: Record<string, () => number> = {
      scale: () => 0.5 + next(),
      bias: () => next() - 0.5,
      mean: () => (isFront ? 100 + 20 * next() : 0.2 * next()),
      var: () => (isFront ? 3000 + 1000 * next() : 0.5 + next()),
    };
    return floatTensor(tensor.name, tensor.dims, toFloat32Array(tensor).map(draw[part]!));
  });
  return { ...graph, initializers };
}
