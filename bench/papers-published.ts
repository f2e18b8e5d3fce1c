/** What papers and their repositories report. For papers.ts. */
import { markdown } from './markdown.ts';

type Published = readonly [
  who: string,
  network: string,
  original: 'frozen' | 'trained jointly' | 'fine-tuned',
  costs: string,
  lost: string,
  counted: string,
];

const LATENCY = 'time';
const ROWS: readonly Published[] = [
  ['EENet (Ilhan et al. 2024, table 2)', 'ResNet-56, 3 exits, CIFAR-10', 'trained jointly', '.745 / .638 / .532', '.06 / 1.00 / 5.00', LATENCY],
  ['MSDNet’s thresholds, same table', 'the same', 'trained jointly', '.745 / .638 / .532', '.09 / 1.11 / 5.14', LATENCY],
  ['BranchyNet’s thresholds, same table', 'the same', 'trained jointly', '.745 / .638 / .532', '.14 / 1.33 / 6.35', LATENCY],
  ['PABEE’s patience, same table', 'the same', 'trained jointly', '.745 / .638 / .532', '.21 / 2.05 / 9.51', LATENCY],
  ['EENet, same table', 'BERT, 4 exits, SST-2', 'trained jointly', '.47', '1.91', LATENCY],
  ['EENet, same table', 'BERT, 4 exits, AG News', 'trained jointly', '.40', '3.35', LATENCY],
  ['PTEENet (Lahiany and Aperstein 2022), sweep of λ in its repository', 'ResNet-110 (it seems), CIFAR-10', 'frozen', '.731 / .572 / .445 / .307', 'agreement 97.2 / 93.6 / 89.3 / 78.5 %', 'MACs, without those of branches that a sample passed'],
  ['PTEENet, log in its repository', 'VGG-19, CIFAR-10', 'frozen', '.653 / .621', 'agreement 97.1 / 98.0 %', 'the same; .621 is .716 with them'],
  ['Zero Time Waste (Wołczyk et al. 2021), not checked against the paper', 'ResNet-56, CIFAR-10', 'frozen', '.75 / .50 / .25', '.5 / 3.3 / 11.7', 'MACs'],
  ['CalexNet’s first version (2025)', 'ResNet-18, CINIC-10', 'frozen', '.55', '2', 'MACs'],
  ['Sponner et al. (2024), the best case', 'CIFAR-10', 'frozen', '.4125', 'not told', 'operations'],
  ['T-RecX (2022)', 'three of MLPerf Tiny, mean', 'trained jointly', '.684', '1', 'operations'],
  ['EENet (Demir and Akbas 2019)', 'ResNets, CIFAR-10 and SVHN', 'trained jointly', 'about .20', '“similar”', 'without branches'],
  ['BranchyNet (Teerapittayanon et al. 2016)', 'LeNet, MNIST', 'trained jointly', '1 / 5.4', '−.05', LATENCY],
  ['BranchyNet', 'ResNet-110, CIFAR-10', 'trained jointly', '1 / 1.9', '1.53', LATENCY],
  ['Torch-Pruning, its README', 'ResNet-56 pruned, CIFAR-10', 'fine-tuned', '.47 / .389', '−.24 / −.11', 'MACs'],
  ['the same, without sparse learning', 'ResNet-56 pruned, CIFAR-10', 'fine-tuned', '.474 / .398', '.07 / .17', 'MACs'],
]; // biome-ignore format: a table

/** Markdown. */
export const PUBLISHED = `Originals differ from ours, and so does what is counted: *time* is that of the whole model on one machine, *trained jointly* means that the original's weights changed, so that points lost are against another network.

${markdown([['who', 'network, data', 'original', 'cost', 'points lost', 'what is counted'], ...ROWS])}
`;
