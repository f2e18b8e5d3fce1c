/**
 * Students that `compile` grows, into bench/students.md. Sections that were not asked for stay as they are there.
 *
 *   npx tsx bench/students.ts --models DIR --pictures DIR [--only medium,high,…] [--threads N] [--cache DIR] [--keep DIR]
 *
 * MODELS holds the originals as ONNX files, PICTURES folders train/, calibration/ and test/ of CIFAR-10. It takes hours; what was trained is kept.
 */
import { parseArgs } from 'node:util';
import { DRAWS } from './halves.ts';
import { PLACES, placesOf } from './places.ts';
import { makeSections, type Sections } from './section-page.ts';
import { AIMS, aimSection, exitsSection } from './students-accuracy.ts';
import type { StudentPlaces } from './students-data.ts';
import { familiesSection, teachersSection } from './students-families.ts';
import { headsSection } from './students-heads.ts';
import { largeSection } from './students-large.ts';

const { values } = parseArgs({
  options: {
    ...PLACES,
    only: { type: 'string' },
    threads: { type: 'string' },
  },
});
const threads = values.threads ? Number(values.threads) : undefined;
const places: StudentPlaces = { ...placesOf(values, 'students'), threads };

const HEAD = `# Students

Made by \`bench/students.ts\`, which has its options. Costs are shares of the MACs of the original; every network that runs counts.

Of a ResNet-56 on CIFAR-10, for each seed ${DRAWS} random halves of the calibration and test pictures: policy and thresholds on one half, figures on the other, and the other way
round. Points of accuracy lost against the original (negative: more accurate). Of several seeds: mean of the seeds ± their standard deviation, each seed the mean of its draws; of one: ± that of its draws.
*Paired 95 %*: over the pictures, of the mean draw of the mean seed.

`;

const sections: Sections = {
  ...Object.fromEntries(
    Object.entries(AIMS).map(([name, aim]) => [name, [aim.title, () => aimSection(aim, places)] as const]),
  ),
  families: ['Families', () => familiesSection(places)],
  teachers: ['Teachers', () => teachersSection(places)],
  heads: ['Heads behind a student', () => headsSection(places)],
  large: ['224 × 224', () => largeSection(places)],
  exits: ['Several exits', () => exitsSection(places)],
};
await makeSections(
  new URL('students.md', import.meta.url),
  HEAD,
  sections,
  values.only ?? Object.keys(sections).join(),
);
process.exit();
