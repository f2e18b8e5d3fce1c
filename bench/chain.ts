/**
 * Chains of networks: accuracy at given costs, speed, and memory, into bench/chain.md. Sections that were not asked for stay as they are there.
 *
 *   MODELS=DIR PICTURES=DIR npm run bench -- chain      TRAINED=1
 *   npx tsx bench/chain.ts --models DIR --pictures DIR [--only accuracy,speed,memory] [--trained] [--quick] [--epochs N] [--views N] [--cache DIR] [--keep DIR]
 *
 * MODELS holds resnet8_mlperf, resnet20, resnet56 and densenet40 for CIFAR-10 as ONNX files, PICTURES its folders train/, calibration/ and test/.
 * `--trained` (TRAINED=1) adds the chain whose heads must be trained; `--quick` leaves `auto` out. On two quiet cores the sections take about 15, 4 and 3 minutes, and what is
 * trained 30 more. Speed wants a quiet machine; accuracy is the same on any.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { accuracySection } from './chain-accuracy.ts';
import type { Places } from './chain-data.ts';
import { memorySection } from './chain-memory.ts';
import { speedSection } from './chain-speed.ts';

const { values } = parseArgs({
  options: {
    models: { type: 'string', default: process.env.MODELS },
    pictures: { type: 'string', default: process.env.PICTURES },
    only: { type: 'string', default: 'accuracy,speed,memory' },
    trained: { type: 'boolean', default: process.env.TRAINED === '1' },
    quick: { type: 'boolean', default: false },
    epochs: { type: 'string' },
    views: { type: 'string' },
    cache: { type: 'string' },
    keep: { type: 'string', default: join(tmpdir(), 'offramp-chain') },
  },
});
const { models, pictures, keep, cache } = values;
if (!models || !pictures) {
  console.error('--models and --pictures, or MODELS and PICTURES, say where networks and pictures are');
  process.exit(2);
}
const places: Places = {
  models,
  pictures,
  keep,
  cache,
  epochs: values.epochs ? Number(values.epochs) : undefined,
  views: values.views ? Number(values.views) : undefined,
};

const SECTIONS = {
  accuracy: () => accuracySection(places, values.trained, !values.quick),
  speed: () => speedSection(places),
  memory: () => memorySection(places),
};
const PAGE = fileURLToPath(new URL('chain.md', import.meta.url));
const HEAD = `# Chains

Made by \`npm run bench -- chain\` (\`bench/chain.ts\` has its options). Costs are shares of the MACs of the chain's last network, the original; every network that runs counts.

`;

for (const name of values.only.split(',')) {
  console.error(`── ${name}`);
  const started = performance.now();
  write(name, await SECTIONS[name as keyof typeof SECTIONS]());
  console.error(`── ${name}: ${((performance.now() - started) / 1000).toFixed(0)} s`);
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
  const sections = new Map(before.map((section) => [/^## (\w+)/.exec(section)![1]!.toLowerCase(), section]));
  sections.set(name, text);
  const inOrder = Object.keys(SECTIONS).flatMap((section) => sections.get(section)?.trimEnd() ?? []);
  writeFileSync(PAGE, `${HEAD}${inOrder.join('\n\n')}\n`);
}
