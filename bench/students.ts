/**
 * Students that `compile` grows, into bench/students.md. Sections that were not asked for stay as they are there.
 *
 *   npx tsx bench/students.ts --models DIR --pictures DIR [--only resnet56,others,…] [--rows medium,high,…] [--threads N] [--cache DIR] [--keep DIR]
 *
 * MODELS holds the originals as ONNX files, PICTURES folders train/, calibration/ and test/ of CIFAR-10. On two cores `resnet56` takes about two hours,
 * the other sections about one each. What was trained is kept.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { exitsSection, othersSection, resnet56Section } from './students-accuracy.ts';
import type { Places } from './students-data.ts';
import { familiesSection, teachersSection } from './students-families.ts';

const { values } = parseArgs({
  options: {
    models: { type: 'string', default: process.env.MODELS },
    pictures: { type: 'string', default: process.env.PICTURES },
    only: { type: 'string', default: 'resnet56,others,families,teachers,exits' },
    rows: { type: 'string' },
    threads: { type: 'string' },
    cache: { type: 'string' },
    keep: { type: 'string', default: join(tmpdir(), 'offramp-students') },
  },
});
const { models, pictures, keep, cache } = values;
if (!models || !pictures) {
  console.error('--models and --pictures, or MODELS and PICTURES, say where networks and pictures are');
  process.exit(2);
}
const threads = values.threads ? Number(values.threads) : undefined;
const places: Places = { models, pictures, keep, cache, threads };

const SECTIONS = {
  resnet56: () => resnet56Section(places, values.rows?.split(',')),
  others: () => othersSection(places),
  families: () => familiesSection(places),
  teachers: () => teachersSection(places),
  exits: () => exitsSection(places),
};
const PAGE = fileURLToPath(new URL('students.md', import.meta.url));
const HEAD = `# Students

Made by \`bench/students.ts\`, which has its options. Costs are shares of the MACs of the original; every network that runs counts.

`;

for (const name of values.only.split(',')) {
  console.error(`── ${name}`);
  write(name, await SECTIONS[name as keyof typeof SECTIONS]());
}
console.log(`written to ${PAGE}`);
process.exit();

/** Puts the section into the page, in place of its former self. */
function write(name: string, text: string): void {
  const before = existsSync(PAGE)
    ? readFileSync(PAGE, 'utf8')
        .split(/^(?=## )/m)
        .slice(1)
    : [];
  const sections = new Map(before.map((section) => [/^## (\S+)/.exec(section)![1]!, section]));
  sections.set(name, `## ${name}\n\n${text}`);
  const inOrder = Object.keys(SECTIONS).flatMap((section) => sections.get(section)?.trimEnd() ?? []);
  writeFileSync(PAGE, `${HEAD}${inOrder.join('\n\n')}\n`);
}
