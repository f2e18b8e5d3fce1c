import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GraphBuilder } from '../../src/graph/builder.ts';
import { floatTensor, toFloat32Array } from '../../src/graph/tensor.ts';
import type { Graph } from '../../src/graph/types.ts';
import { allNames } from '../../src/graph/walk.ts';
import { Tensor } from '../../src/ort/session.ts';
import { feedsOf } from '../../src/ort/tensors.ts';
import { buildStudent, familiesFor } from '../../src/students/build-student.ts';
import type { StudentReads } from '../../src/students/student.ts';
import { LOSS } from '../../src/train/losses.ts';
import { Stepper } from '../../src/train/stepper.ts';
import { inputOf, ofTokens, readsOf, samplesOf, textOf } from './readers.ts';

const test = suite('students: training');

const BATCH = 10;
const CLASSES = 5;

/** Cross-entropy with the input `target` [N, classes]. */
function withLoss(graph: Graph): Graph {
  const b = new GraphBuilder('', allNames(graph));
  const target = b.input('target', 'float', ['N', CLASSES]);
  const likely = b.op('Mul', [b.op('LogSoftmax', [graph.outputs[0]!.name], { axis: -1 }), target]);
  const each = b.op('Neg', [b.op('ReduceSum', [likely, b.int64([1])], { keepdims: 0 })]);
  b.op('ReduceMean', [each], { keepdims: 0 }, LOSS);
  return {
    ...graph,
    nodes: [...graph.nodes, ...b.nodes],
    initializers: [...graph.initializers, ...b.initializers],
    inputs: [...graph.inputs, ...b.inputs],
    outputs: [...graph.outputs, { name: LOSS, type: { dataType: 'float', dims: [] } }],
  };
}

const table = floatTensor(
  'e',
  [256, 8],
  Float32Array.from({ length: 2048 }, (_, i) => Math.sin(i * i)),
);

const KINDS: readonly (readonly [string, StudentReads])[] = [
  ['pictures', readsOf([inputOf([12, 12, 3], 'uint8')])],
  ['pictures of unknown range', readsOf([inputOf([1, 10, 12])])],
  ['signals', readsOf([inputOf([2, 70])])],
  ['vectors', readsOf([inputOf([30])])],
  ['texts', { ...readsOf(textOf(9)), embedding: ofTokens(300) }],
  ['texts with the original\'s embedding', { ...readsOf(textOf(9)), embedding: { ...ofTokens(256), table } }],
  ['a picture and a text', readsOf([inputOf([3, 8, 8]), ...textOf(6)])],
]; // biome-ignore format: a table

for (const [what, reads] of KINDS) {
  for (const family of familiesFor(reads)) {
    test(`${what}, ${family}: a batch is learnt by heart; all that may move moves, and nothing else`, async () => {
      const { graph } = buildStudent(reads, { family, width: 1, depth: 1 }, 3);
      const stepper = await Stepper.open(withLoss(graph), {
        batch: BATCH,
        seed: 1,
        weightDecay: 0,
        session: { threads: 1 },
      });
      const target = Float32Array.from({ length: BATCH * CLASSES }, (_, i) =>
        Number(i % CLASSES === Math.floor(i / CLASSES) % CLASSES),
      );
      const read = new Set(graph.inputs.map(({ name }) => name));
      const feeds = Object.fromEntries([
        ...Object.entries(feedsOf(reads.inputs, samplesOf(reads.inputs, BATCH), BATCH)).filter(([name]) =>
          read.has(name),
        ),
        ['target', new Tensor('float32', target, [BATCH, CLASSES])],
      ]);
      const losses: number[] = [];
      for (let step = 0; step < 40; step++)
        losses.push(((await stepper.step(feeds, 0.02))[LOSS]!.data as Float32Array)[0]!);
      const learned = stepper.learned();
      await stepper.close();
      assert.ok(Math.abs(losses[0]! - Math.log(CLASSES)) < 0.5, `first loss ${losses[0]}`);
      assert.ok(losses.at(-1)! < 0.2, `${losses[0]} → ${losses.at(-1)}`);
      for (const before of graph.initializers) {
        const after = learned.initializers.find(({ name }) => name === before.name)!;
        const moves = /\/(weight|bias|scale|mean|var)$/.test(before.name);
        const same =
          before.dataType !== 'float' || `${toFloat32Array(after)}` === `${toFloat32Array(before)}`;
        assert.is(same, !moves, before.name);
      }
    });
  }
}

test.run();
