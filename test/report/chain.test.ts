/** The report of a chain: networks in order, each alone, and named wherever an exit is. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import yargs from 'yargs';
import { compileCommand } from '../../src/cli/commands/compile.ts';
import { firstsOf } from '../../src/cli/first.ts';
import type { Manifest, OperatingPoint } from '../../src/emit/manifest.ts';
import {
  betterAlone,
  leavesAtOne,
  lineOf,
  lossesBeyondNames,
  modelLineFile,
  noTimeSaved,
  reportFacts,
  reportPage,
} from '../../src/report/index.ts';
import { described } from '../../src/report/model-line.ts';
import { commandOf } from '../../src/report/reproduction.ts';
import { CHAIN } from '../emit/sample.ts';
import { drawnSeen, MANIFEST, SAMPLES } from './sample.ts';

const test = suite('report: chains');
const seen = drawnSeen();
const { networks, leftOut, exits } = CHAIN as Required<Manifest>;
const manifest: Manifest = { ...MANIFEST, networks, leftOut, exits };
const facts = reportFacts(manifest, () => seen);
const page = await reportPage(facts, undefined);
/** The page without tags, its drawings included. */
const words = page.replace(/<style>.*?<\/style>/gs, '').replace(/<[^>]*>/g, ' ');

const point = (name: string, thresholds: readonly number[], more: Partial<OperatingPoint> = {}) => ({
  ...manifest.operatingPoints[0]!,
  name,
  thresholds,
  ...more,
});

test('the line has the networks in order, what each costs, and what is spent', () => {
  const { chain, shares } = lineOf(manifest, point('fast', [0.5, 0.5], { exitShares: [0.5, 0.25, 0.25] }));
  assert.equal(chain!.networks, [
    { name: 'kitten.onnx', relativeCost: 0.2 },
    { name: 'pets.onnx', relativeCost: 1 },
  ]);
  // By hand: 200 of 1000; then 500 and a head of 20; then all 1000 and that head.
  assert.equal(chain!.spent, [0.2, 0.72, 1.22]);
  assert.equal(shares, [0.5, 0.25, 0.25]);
  const drawing = modelLineFile(lineOf(manifest, facts.chosen));
  const texts = [...drawing.matchAll(/<text [^>]*>([^<]*)</g)].map((m) => m[1]!);
  const at = (text: string) => texts.findIndex((one) => one.includes(text));
  assert.ok(at('kitten.onnx') >= 0 && at('kitten.onnx') < at('pets.onnx'));
  for (const text of [
    '20.0 % of the original’s MACs',
    'the network itself',
    'exit_2: strided',
    '122.0 % spent',
  ])
    assert.ok(at(text) >= 0, text);
  assert.is(at('full path'), -1);
});

test('a network whose exits are closed is not run, and costs nothing', () => {
  const line = lineOf(manifest, point('fast', [1, 0.5], { exitShares: [0, 0.5, 0.5] }));
  assert.equal(line.chain!.spent.slice(1), [0.52, 1.02]);
  const drawing = modelLineFile(line);
  assert.match(drawing, />not run</);
  assert.match(drawing, />closed</);
  assert.not.match(modelLineFile(lineOf(manifest, facts.chosen)), />(not run|closed)</);
});

test('the line in words says who answers', () => {
  assert.is(
    described(lineOf(manifest, point('fast', [0.5, 0.5], { exitShares: [0.5, 0.25, 0.25] }))),
    'The chain, costs relative to the original: kitten.onnx 20.0 %, then pets.onnx 100.0 %. Exits: exit_1, kitten.onnx, where 50.0 % of the samples leave; exit_2, a strided head in pets.onnx, where 25.0 % of the samples leave; the original answers 25.0 %.',
  );
});

test('a network alone is right as often as its answers are, on the same samples', () => {
  const right = (answers: Int32Array) => answers.filter((a, i) => a === seen.labels[i]).length / SAMPLES;
  const [kitten, ...others] = facts.alone;
  assert.equal(others, [], 'the original is the baseline');
  assert.is(kitten!.accuracy, right(seen.answers[0]!));
  assert.is(kitten!.agreement, seen.answers[0]!.filter((a, i) => a === seen.original[i]).length / SAMPLES);
  assert.ok(Math.abs(kitten!.drop.value - (right(seen.original) - kitten!.accuracy)) < 1e-12);
  assert.ok(kitten!.drop.low < kitten!.drop.value && kitten!.drop.value < kitten!.drop.high);
  assert.equal(reportFacts(MANIFEST, () => seen).alone, []);
});

test('points that cost more than a network alone and are no better are named', () => {
  const told = (points: readonly OperatingPoint[]) => betterAlone({ ...manifest, operatingPoints: points });
  const [worse, same, better, cheaper] = [
    point('fast', [0.5, 0.5], { accuracy: 0.87, relativeCost: 0.3 }),
    point('balanced', [0.5, 0.5], { accuracy: 0.875, relativeCost: 0.4 }),
    point('accurate', [0.5, 0.5], { accuracy: 0.9, relativeCost: 0.5 }),
    point('budget-0.2', [0.5, 0.5], { accuracy: 0.8, relativeCost: 0.2 }),
  ] as const;
  assert.is(
    told([worse, same, better, cheaper]),
    'kitten.onnx alone costs 20.0 % of the original and is right on 87.50 %: fast and balanced cost more and are no better on these samples.',
  );
  assert.match(told([worse])!, 'fast costs more and is no better');
  assert.is(told([better, cheaper, point('exact', [1, 1], { accuracy: 0.5, relativeCost: 1 })]), undefined);
  assert.is(betterAlone({ ...MANIFEST, operatingPoints: [worse] }), undefined);
});

test('points at which every sample leaves at one exit say so', () => {
  const [small, head, mixed] = [
    point('fast', [0.1, 1], { exitShares: [1, 0, 0] }),
    point('balanced', [1, 0], { exitShares: [0, 1, 0] }),
    point('accurate', [0.5, 0.5], { exitShares: [0.999, 0.001, 0] }),
  ] as const;
  const told = (of: Manifest, ...points: OperatingPoint[]) => leavesAtOne({ ...of, operatingPoints: points });
  assert.is(
    told(
      manifest,
      small,
      { ...small, name: 'cost-0.2' },
      mixed,
      point('exact', [1, 1], { exitShares: [0, 0, 1] }),
    ),
    'At fast every sample leaves at exit_1, with the answer of kitten.onnx alone.',
  );
  assert.is(
    told(manifest, small, { ...head, name: 'budget-0.2' }, { ...small, name: 'balanced' }),
    'At fast and balanced every sample leaves at exit_1, with the answer of kitten.onnx alone. At budget-0.2 every sample leaves at exit_2, with the answer of a strided head in pets.onnx.',
  );
  assert.is(told(MANIFEST, small), 'At fast every sample leaves at exit_1, and nothing behind it is run.');
  assert.is(told(manifest, mixed), undefined);
});

test('the page names networks at every exit, alone beside the points, and those left out', () => {
  assert.match(page, '<h1>A chain of kitten.onnx and pets.onnx</h1>');
  assert.match(page, '<title>chain of kitten.onnx and pets.onnx</title>');
  for (const text of [
    'The networks and their exits',
    'Left out of the file: mouse.onnx (5.0 % of the original’s MACs) is never worth its cost here',
    'Scores at exit_1 (kitten.onnx)',
    'Scores at exit_2 (pets.onnx)',
    'The original (pets.onnx)',
    'exit_1 is kitten.onnx itself, exit_2 is a strided head in pets.onnx',
    'Each network alone',
    'Diamonds are the other networks alone',
  ])
    assert.ok(words.includes(text), text);
  assert.not.match(words, /full path|undefined|NaN|the whole model/);
});

test('texts blame no heads and no single original', () => {
  const slow = { ...manifest, baseline: { ...manifest.baseline, latencyMsMean: 0.001 } };
  assert.match(noTimeSaved(slow, 'baking')!, 'the networks in front know too little');
  assert.not.match(noTimeSaved(slow, 'baking')!, /head/);
  const beyond = { ...manifest, operatingPoints: [point('fast', [0, 1])] };
  assert.match(lossesBeyondNames(beyond, () => seen)!, 'which no network has been trained on');
});

const reading = { scale: 1, mean: [0, 0, 0], std: [1, 1, 1], layout: 'NHWC', channels: 'rgb' } as const;

/** What the command line makes of the report's command. */
async function firstsIn(manifest: Manifest) {
  const words = commandOf(manifest)
    .split(/\s*\\\n\s*|\s+/)
    .slice(1);
  const { builder } = compileCommand as unknown as { builder: (y: object) => ReturnType<typeof yargs> };
  const args = await yargs(words)
    .command({ command: 'compile <model>', describe: '', builder: builder as never, handler: () => {} })
    .strict()
    .fail((message, error) => {
      throw error ?? new Error(message);
    })
    .parseAsync();
  return { firsts: firstsOf(args as never), args };
}

test('the command asks for the same networks, read as they were', async () => {
  const [kitten, original] = networks as [Manifest['networks'] & object][number][] & [never, never];
  const as = (more: object) => ({ ...(kitten as object), ...more }) as never;
  const alike = await firstsIn({
    ...manifest,
    networks: [as({ preprocessing: manifest.preprocessing }), original],
  });
  assert.equal(alike.firsts, ['kitten.onnx'], 'read as the original is');
  assert.equal(alike.args.taps, ['relu_5'], 'its end is no tap');
  const unlike = await firstsIn({
    ...manifest,
    networks: [
      as({ preprocessing: reading, dims: { 'x.1': 4, 'x.2': 4 } }),
      as({ file: '-b.onnx', preprocessing: { ...manifest.preprocessing, channels: 'bgr' } }),
      original,
    ],
  });
  const { resize, ...numbers } = manifest.preprocessing!;
  assert.equal(unlike.firsts, [
    { model: 'kitten.onnx', ...reading, resize: 'stretch', size: [4, 4] },
    { model: './-b.onnx', ...numbers, channels: 'bgr', resize, size: [2, 2] },
  ]);
  assert.not('first' in (await firstsIn(MANIFEST)).args && (await firstsIn(MANIFEST)).firsts);
});

test('exits that no named point uses were asked to be kept', async () => {
  const named = point('fast', [0.5, 1]);
  assert.ok((await firstsIn({ ...manifest, operatingPoints: [named], defaultPoint: 'fast' })).args.keepAll);
  assert.not((await firstsIn(manifest)).args.keepAll);
});

test.run();
