/**
 * Chains that are split between a client and a server, into bench/split.md: what is asked, how long answers take where the network is slow, and what a server
 * bears. Sections that were not asked for stay as they are there.
 *
 *   npx tsx bench/split.ts --models DIR --pictures DIR [--only asked,latency,throughput] [--cache DIR] [--keep DIR]
 *
 * MODELS holds resnet8_mlperf and resnet56 for CIFAR-10 as ONNX files, PICTURES its folders train/, calibration/ and test/. The student is grown first, which takes half an
 * hour; then the sections take about 3, 10 and 10 minutes on two quiet cores, which clients, servers and the delayed network share.
 */
import { parseArgs } from 'node:util';
import { PLACES, placesOf } from './places.ts';
import { makeSections, type Sections } from './section-page.ts';
import { askedSection } from './split-asked.ts';
import { latencySection } from './split-latency.ts';
import { throughputSection } from './split-throughput.ts';

const { values } = parseArgs({
  options: { ...PLACES, only: { type: 'string', default: 'asked,latency,throughput' } },
});
const places = placesOf(values, 'split');

const HEAD = `# A chain across client and server

Made by \`npx tsx bench/split.ts\` (its head has the options). Each chain is cut at the end of its first network; what travels are the 8-bit pixels. Client, server and
whatever delays the bytes between them run on one machine with two cores.

`;

const sections: Sections = {
  asked: ['What is asked', () => askedSection(places)],
  latency: ['Latency over a slow network', () => latencySection(places)],
  throughput: ['Throughput of the server', () => throughputSection(places)],
};
await makeSections(new URL('split.md', import.meta.url), HEAD, sections, values.only);
process.exit();
