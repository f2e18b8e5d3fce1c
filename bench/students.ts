/**
 * Students that `compile` grows, into bench/students.md. Sections that were not asked for stay as they are there.
 *
 *   npx tsx bench/students.ts --models DIR --pictures DIR [--only resnet56,families,…] [--rows medium,high,…] [--threads N] [--cache DIR] [--keep DIR]
 *
 * MODELS holds the originals as ONNX files, PICTURES folders train/, calibration/ and test/ of CIFAR-10. It takes hours; what was trained is kept.
 */
import { parseArgs } from 'node:util';
import { PLACES, placesOf } from './places.ts';
import { makeSections, type Sections } from './section-page.ts';
import { exitsSection, resnet56Section } from './students-accuracy.ts';
import type { StudentPlaces } from './students-data.ts';
import { familiesSection, teachersSection } from './students-families.ts';

const { values } = parseArgs({
  options: {
    ...PLACES,
    only: { type: 'string', default: 'resnet56,families,teachers,exits' },
    rows: { type: 'string' },
    threads: { type: 'string' },
  },
});
const threads = values.threads ? Number(values.threads) : undefined;
const places: StudentPlaces = { ...placesOf(values, 'students'), threads };

const HEAD = `# Students

Made by \`bench/students.ts\`, which has its options. Costs are shares of the MACs of the original; every network that runs counts.

`;

const sections: Sections = {
  resnet56: ['ResNet-56', () => resnet56Section(places, values.rows?.split(','))],
  families: ['Families', () => familiesSection(places)],
  teachers: ['Teachers', () => teachersSection(places)],
  exits: ['Several exits', () => exitsSection(places)],
};
await makeSections(new URL('students.md', import.meta.url), HEAD, sections, values.only);
process.exit();
