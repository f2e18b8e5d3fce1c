/** Trains the tiny student in a process of its own, `train-tiny.ts <cache>`; says `step` at every step and, at the end, what it has learned. */
import { trainStudent } from '../../src/students/train-student.ts';
import { CLASSES, syntheticData, syntheticModel } from '../train/synthetic.ts';
import { hashOf, tinyStudent } from './tiny-student.ts';

const trained = await trainStudent(
  tinyStudent(CLASSES),
  {
    dataset: syntheticData(600),
    teacher: { typed: syntheticModel(), modelHash: 'm' },
    validation: syntheticData(200, 2),
  },
  {
    seed: 1,
    epochs: 120,
    batch: 50,
    augment: 'flip',
    cache: process.argv[2]!,
    session: { threads: 2 },
    saveEvery: 0.05,
    onProgress: ({ done }) => process.stdout.write(`step ${done}\n`),
  },
);
process.stdout.write(`learned ${hashOf(trained)}\n`);
