import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { formatCompiled } from '../../src/cli/tables.ts';
import { CHAIN, SAMPLE } from '../emit/sample.ts';

const test = suite('cli: tables');

const cellsOf = (text: string) => text.split('\n').map((line) => line.split(/ {2,}/));
const rowOf = (text: string, name: string) => cellsOf(text).find((row) => row.length > 1 && row[0] === name);

test('of a chain each network has a row of its own, and columns say who answers', () => {
  const text = formatCompiled({ manifest: CHAIN, shown: CHAIN.operatingPoints }, 'out');
  assert.equal(rowOf(text, ''), ['', 'accuracy', 'agreement', 'MACs', 'latency', 'exit_1', 'exit_2', 'original']);
  assert.equal(rowOf(text, 'kitten.onnx alone'), ['kitten.onnx alone', '87.50 %', '20.0 %']);
  assert.equal(rowOf(text, 'original')!.slice(0, 4), ['original', '93.00 %', '100.00 %', '1.0 k']);
  assert.match(text, 'exit_1: kitten.onnx itself; exit_2: a strided head in pets.onnx; original: pets.onnx itself.');
}); // biome-ignore format: rows

test('points without a row are counted, with how to see them', () => {
  const [shown, ...hidden] = CHAIN.operatingPoints;
  const text = formatCompiled({ manifest: CHAIN, shown: [shown!] }, 'out');
  assert.match(
    text,
    `${hidden.length} more (${hidden[0]!.name}, …) lie between these on the same curve: npx onnx-offramp evaluate out --test <samples> --all-points shows them.`,
  );
  assert.not.match(formatCompiled({ manifest: CHAIN, shown: CHAIN.operatingPoints }, 'out'), 'more (');
});

test('a network whose own answers were not measured has no row', () => {
  const networks = CHAIN.networks!.map(({ accuracy: _, ...network }) => network);
  const text = formatCompiled({ manifest: { ...CHAIN, networks }, shown: [] }, 'out');
  assert.not.match(text, /alone/);
});

test('a model on its own is told as ever', () => {
  const text = formatCompiled({ manifest: SAMPLE, shown: SAMPLE.operatingPoints }, 'out');
  assert.equal(rowOf(text, '')!.slice(-3), ['exit_1', 'exit_2', 'full path']);
  assert.not.match(text, /alone|itself/);
});

test.run();
