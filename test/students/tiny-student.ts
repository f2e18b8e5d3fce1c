/** A student of pictures [3, 8, 8], small enough to train in a second: two convolutions with BatchNormalization, an average, a Gemm. */
import { createHash } from 'node:crypto';
import { GraphBuilder } from '../../src/graph/builder.ts';
import { Random } from '../../src/graph/random.ts';
import { elementCount, floatTensor } from '../../src/graph/tensor.ts';
import type { Student } from '../../src/students/student.ts';
import type { TrainedStudent } from '../../src/students/train-student.ts';

export function tinyStudent(classes: number, seed = 3): Student {
  const b = new GraphBuilder();
  const random = new Random(seed, 'tiny student');
  const tensor = (name: string, dims: readonly number[], value: () => number) =>
    b.initializer(floatTensor(name, dims, Float32Array.from({ length: elementCount(dims) }, value)));
  const weight = (name: string, dims: readonly number[]) => {
    const deviation = Math.sqrt(2 / elementCount(dims.slice(1)));
    return tensor(`${name}/weight`, dims, () => deviation * random.gaussian());
  };
  const block = (name: string, x: string, dims: readonly number[], stride: number) => {
    const conv = b.op('Conv', [x, weight(name, dims)], { pads: [1, 1, 1, 1], strides: [stride, stride] });
    const norm = [['scale', 1], ['bias', 0], ['mean', 0], ['var', 1]] as const; // biome-ignore format: a table
    const inputs = norm.map(([part, value]) => tensor(`${name}/norm/${part}`, [dims[0]!], () => value));
    return b.op('Relu', [b.op('BatchNormalization', [conv, ...inputs])], {}, `${name}/out`);
  };
  b.input('image', 'float', ['N', 3, 8, 8]);
  const maps = block('second', block('first', 'image', [8, 3, 3, 3], 1), [16, 8, 3, 3], 2);
  const pooled = b.op('Flatten', [b.op('GlobalAveragePool', [maps])], { axis: 1 });
  const bias = tensor('answer/bias', [classes], () => 0);
  b.op('Gemm', [pooled, weight('answer', [classes, 16]), bias], { transB: 1 }, 'logits');
  b.output('logits', 'float', ['N', classes]);
  return {
    form: { family: 'narrow', width: 1, depth: 1 },
    graph: b.build('student'),
    macs: 32_256,
    exits: [],
  };
}

/** Of all that a training gives. */
export function hashOf({ student, ...rest }: TrainedStudent): string {
  const hash = createHash('sha256').update(JSON.stringify(rest));
  for (const { name, bytes } of student.graph.initializers) hash.update(name).update(bytes);
  return hash.digest('hex');
}
