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
import { parseArgs } from 'node:util';
import { accuracySection } from './chain-accuracy.ts';
import type { ChainPlaces } from './chain-data.ts';
import { memorySection } from './chain-memory.ts';
import { speedSection } from './chain-speed.ts';
import { PLACES, placesOf } from './places.ts';
import { makeSections, type Sections } from './section-page.ts';

const { values } = parseArgs({
  options: {
    ...PLACES,
    only: { type: 'string', default: 'accuracy,speed,memory' },
    trained: { type: 'boolean', default: process.env.TRAINED === '1' },
    quick: { type: 'boolean', default: false },
    epochs: { type: 'string' },
    views: { type: 'string' },
  },
});
const places: ChainPlaces = {
  ...placesOf(values, 'chain'),
  epochs: values.epochs ? Number(values.epochs) : undefined,
  views: values.views ? Number(values.views) : undefined,
};

const HEAD = `# Chains

Made by \`npm run bench -- chain\` (\`bench/chain.ts\` has its options). Costs are shares of the MACs of the chain's last network, the original; every network that runs counts.

`;

const sections: Sections = {
  accuracy: ['Accuracy', () => accuracySection(places, values.trained, !values.quick)],
  speed: ['Speed', () => speedSection(places)],
  memory: ['Memory', () => memorySection(places)],
};
await makeSections(new URL('chain.md', import.meta.url), HEAD, sections, values.only);
process.exit();
