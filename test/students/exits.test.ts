import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GraphBuilder } from '../../src/graph/builder.ts';
import { inlineGraph } from '../../src/graph/inline.ts';
import type { Graph } from '../../src/graph/types.ts';
import { accuracyOn } from '../../src/students/accuracy.ts';
import { buildStudent } from '../../src/students/build-student.ts';
import { EXIT_LOSSES, type ExitLoss } from '../../src/students/exit-losses.ts';
import type { Student } from '../../src/students/student.ts';
import { trainStudent } from '../../src/students/train-student.ts';
import { CLASSES, syntheticData, syntheticModel, temporaryFolder } from '../train/synthetic.ts';

const test = suite('students: exits');
const session = { threads: 1 };
const teacher = { typed: syntheticModel(), modelHash: 'm' };
const dataset = syntheticData(600);
const validation = syntheticData(300, 2);
const cache = temporaryFolder();
const { inputs, preprocessing } = dataset;
const student = buildStudent(
  { inputs, preprocessing, classes: CLASSES },
  { family: 'wide', width: 1, depth: 1 },
  1,
  { exits: 2 },
);

/** What samples get that leave at the inner exit. */
function upToExit({ graph, exits }: Student): Graph {
  const { value, head } = exits[0]!;
  const b = new GraphBuilder();
  b.inputs.push(...graph.inputs);
  const reaching = { ...graph, outputs: [{ name: value, type: undefined }] };
  const reads = Object.fromEntries(graph.inputs.map(({ name }) => [name, name]));
  const features = inlineGraph(b, reaching, reads, 'body/')[value]!;
  b.output(inlineGraph(b, head, { features }, 'head/').logits!, 'float', ['N', CLASSES]);
  return b.build('up to the exit');
}

const moved = (before: Graph, after: Graph, name: string) => {
  const bytesIn = ({ initializers }: Graph) => initializers.find((t) => t.name === name)!.bytes;
  return Buffer.compare(bytesIn(before), bytesIn(after)) !== 0;
};

/** Right at the inner exit and at the end, at least. v1 and v4 leave an exit behind where the other one suffices for their loss. */
const ENOUGH: Record<ExitLoss, readonly [number, number]> = {
  branchynet: [0.8, 0.9],
  msdnet: [0.8, 0.9],
  'eenet-v1': [0.8, 0.5],
  'eenet-v2': [0.7, 0.9],
  'eenet-v3': [0.7, 0.9],
  'eenet-v4': [0.5, 0.4],
};

for (const exitLoss of EXIT_LOSSES) {
  test(`${exitLoss}: both exits learn in one training`, async () => {
    const options = { seed: 1, epochs: 15, batch: 50, augment: 'flip', cache, session, exitLoss } as const;
    const { student: trained } = await trainStudent(student, { dataset, teacher, validation }, options);
    const [end, inner] = [trained.graph, upToExit(trained)];
    const [atEnd, within] = await Promise.all(
      [end, inner].map((g) => accuracyOn(validation, 300, g, session)),
    );
    const before = await accuracyOn(validation, 300, upToExit(student), session);
    const [least, leastAtEnd] = ENOUGH[exitLoss];
    assert.ok(before < 0.3 && within! > least && atEnd! > leastAtEnd, `${before} → ${within}, ${atEnd}`);
    // The one at the input, which has no convolution before it.
    const norms = [end, trained.exits[0]!.head].flatMap(({ nodes }) =>
      nodes.filter(({ opType }) => opType === 'BatchNormalization'),
    );
    assert.is(norms.length, 1);
    const { head } = student.exits[0]!;
    assert.is(moved(head, trained.exits[0]!.head, 'classifier/weight'), true);
    // Only EENet's losses have a confidence in them.
    assert.is(moved(head, trained.exits[0]!.head, 'confidence/weight'), exitLoss.startsWith('eenet'));
  });
}

test.run();
