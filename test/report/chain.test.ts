/** The report of a chain: networks in order, each alone, and named wherever an exit is. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import yargs from 'yargs';
import type { ExitOutcomes } from '../../src/calibrate/types.ts';
import { compileCommand } from '../../src/cli/commands/compile.ts';
import { firstsOf } from '../../src/cli/first.ts';
import type { Manifest, OperatingPoint } from '../../src/emit/manifest.ts';
import type { Grown } from '../../src/networks/chain.ts';
import {
  aloneFacts,
  asGoodAlone,
  betterAlone,
  leavesAtOne,
  lineOf,
  lossesBeyondNames,
  modelLineFile,
  neverPays,
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

const GROWN: Grown = {
  share: 0.2,
  family: 'wide',
  width: 2,
  depth: 1,
  training: {
    epochs: 8,
    batch: 128,
    learningRate: 0.2,
    steps: [1, 10, 20],
    losses: [2.5, 1.75, 1.25],
    accuracies: [
      { step: 10, accuracy: 0.4 },
      { step: 20, accuracy: 0.55 },
    ],
  },
};
const student = (more: Partial<Grown['training']> = {}): Manifest => ({
  ...manifest,
  networks: networks.map((one, n) =>
    n === 0
      ? { ...one, file: 'student_1.onnx', grown: { ...GROWN, training: { ...GROWN.training!, ...more } } }
      : one,
  ),
});

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

/** A manifest and outcomes of `samples` that all are of class 0: the network in front is right alone on some, the original on others. */
function compared(samples: number, onlyAlone: number, onlyOriginal: number, more: Partial<Manifest> = {}) {
  const answers = (isWrong: (i: number) => boolean) =>
    Int32Array.from({ length: samples }, (_, i) => +isWrong(i));
  const original = answers((i) => i < onlyAlone);
  const first = answers((i) => i >= samples - onlyOriginal);
  const scores = [0.5, 0.5].map((score) => new Float32Array(samples).fill(score));
  const outcomes: ExitOutcomes = {
    labels: new Int32Array(samples),
    logits: [],
    scores,
    answers: [first, original],
    original,
  };
  const baseline = { ...manifest.baseline, accuracy: 1 - onlyAlone / samples };
  const data = { ...manifest.data, test: { samples, hash: 'dd44' } };
  const of = { ...manifest, baseline, data, ...more };
  return { of, alone: aloneFacts(of, () => outcomes) };
}

const told = (...args: Parameters<typeof compared>) => {
  const { of, alone } = compared(...args);
  return asGoodAlone(of, alone);
};

test('a network that by itself is as good as the original is said to be, with the paired interval', () => {
  // Agresti and Min by hand: (12.5 - 10.5)/2002 ± 1.96/2002 · √(23 - 2²/2002).
  assert.is(
    told(2000, 12, 10),
    'kitten.onnx is right on 99.50 % of 2,000 test samples, the original on 99.40 %: this small network by itself is as good on your data (+0.10 points, 95 % interval −0.37 to +0.57). It costs 20.0 % of the original.',
  );
  // (60.5 - 20.5)/2002 ± 1.96/2002 · √(81 - 40²/2002)
  assert.match(told(2000, 60, 20)!, 'is better on your data (+2.00 points, 95 % interval +1.12 to +2.87). ');
  assert.match(told(4000, 10, 14)!, 'is as good on your data (−0.10 points, 95 % interval −0.34 to +0.14). ');
  assert.is(told(2000, 20, 60), undefined, 'it loses beyond chance');
  assert.is(told(100_000, 100, 300), undefined, 'a small loss beyond chance too');
});

test('of few samples no more is said than that it is right as often on them', () => {
  // 0 ± 1.96/102 · √7
  assert.match(
    told(100, 3, 3)!,
    'is right as often on your data (±0.00 points, 95 % interval −5.08 to +5.08), but so few samples leave room for a loss of 5.08 points. ',
  );
  assert.match(told(10, 0, 0)!, /right as often on your data .* leave room for a loss of 16\.33 points/);
  assert.is(told(100, 3, 4), undefined, 'right less often');
});

test('nothing is said of it where it costs as much, or where nothing was labelled', () => {
  const [kitten, original] = networks as never as [NonNullable<Manifest['networks']>[0], never];
  const dear = { ...kitten, relativeCost: 1 };
  assert.is(told(2000, 60, 20, { networks: [dear, original] }), undefined);
  for (const more of [{ labels: 'original' as const }, { random: true as const }])
    assert.is(told(2000, 60, 20, { data: { test: { samples: 2000, hash: 'ee55', ...more } } }), undefined);
  const student = { ...kitten, grown: GROWN };
  assert.match(
    told(2000, 60, 20, { networks: [student, original] })!,
    /, and its file lies beside model\.onnx\.$/,
  );
});

test('the page says it before any figure', async () => {
  const { of, alone } = compared(2000, 60, 20);
  const text = await reportPage({ ...facts, manifest: of, alone }, undefined);
  assert.match(text.split('<dl')[0]!, asGoodAlone(of, alone)!);
  assert.not.match(page, 'this small network');
});

test('points that cost more than a network alone and are no better are named', () => {
  const worseOf = (points: readonly OperatingPoint[]) =>
    betterAlone({ ...manifest, operatingPoints: points });
  const [worse, same, better, cheaper] = [
    point('fast', [0.5, 0.5], { accuracy: 0.87, relativeCost: 0.3 }),
    point('balanced', [0.5, 0.5], { accuracy: 0.875, relativeCost: 0.4 }),
    point('accurate', [0.5, 0.5], { accuracy: 0.9, relativeCost: 0.5 }),
    point('budget-0.2', [0.5, 0.5], { accuracy: 0.8, relativeCost: 0.2 }),
  ] as const;
  assert.is(
    worseOf([worse, same, better, cheaper]),
    'kitten.onnx alone costs 20.0 % of the original and is right on 87.50 %: fast and balanced cost more and are no better on these samples.',
  );
  assert.match(worseOf([worse])!, 'fast costs more and is no better');
  assert.is(
    worseOf([better, cheaper, point('exact', [1, 1], { accuracy: 0.5, relativeCost: 1 })]),
    undefined,
  );
  const asCheap = point('fast', [0.5, 0.5], { accuracy: 0.875, relativeCost: 0.2 + 1e-16 });
  assert.ok(asCheap.relativeCost > 0.2, 'as sums round');
  assert.is(worseOf([asCheap]), undefined);
  assert.is(betterAlone({ ...MANIFEST, operatingPoints: [worse] }), undefined);
});

test('a chain that no named point uses is advised against, with the step at which a student was stopped', async () => {
  const closed = [point('fast', [1, 1], {}), point('exact', [1, 1], {})];
  const never: Manifest = { ...manifest, operatingPoints: [...closed, point('cost-0.3', [0.5, 0.5], {})] };
  assert.match(neverPays(never)!, /^Do not use this.*on these data\.$/);
  const training = {
    epochs: 9,
    stoppedAt: 60,
    batch: 128,
    learningRate: 0.2,
    steps: [60],
    losses: [1],
    accuracies: [],
  };
  const grown = never.networks!.map((one, n) => (n === 0 ? { ...one, grown: { ...GROWN, training } } : one));
  assert.match(
    neverPays({ ...never, networks: grown })!,
    /kitten\.onnx was stopped at step 60: without that limit/,
  );
  const used = [...closed, point('balanced', [0.5, 1], {})];
  assert.is(neverPays({ ...manifest, operatingPoints: used }), undefined);
  assert.match(neverPays({ ...MANIFEST, operatingPoints: closed })!, /^Do not use this.*goes all the way/);
});

test('points at which every sample leaves at one exit say so', () => {
  const [small, head, mixed] = [
    point('fast', [0.1, 1], { exitShares: [1, 0, 0] }),
    point('balanced', [1, 0], { exitShares: [0, 1, 0] }),
    point('accurate', [0.5, 0.5], { exitShares: [0.999, 0.001, 0] }),
  ] as const;
  const leaving = (of: Manifest, ...points: OperatingPoint[]) =>
    leavesAtOne({ ...of, operatingPoints: points });
  assert.is(
    leaving(
      manifest,
      small,
      { ...small, name: 'cost-0.2' },
      mixed,
      point('exact', [1, 1], { exitShares: [0, 0, 1] }),
    ),
    'At fast every sample leaves at exit_1, with the answer of kitten.onnx alone.',
  );
  assert.is(
    leaving(manifest, small, { ...head, name: 'budget-0.2' }, { ...small, name: 'balanced' }),
    'At fast and balanced every sample leaves at exit_1, with the answer of kitten.onnx alone. At budget-0.2 every sample leaves at exit_2, with the answer of a strided head in pets.onnx.',
  );
  assert.is(leaving(MANIFEST, small), 'At fast every sample leaves at exit_1, and nothing behind it is run.');
  assert.is(leaving(manifest, mixed), undefined);
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

test('a network alone that knows too little to be drawn is named instead', async () => {
  const [kitten] = facts.alone;
  const text = await reportPage({ ...facts, alone: [{ ...kitten!, accuracy: 0.01 }] }, undefined);
  assert.match(text, 'kitten.onnx alone lies below what is drawn.');
  assert.not.match(text, 'Diamonds');
  assert.not.match(page, 'lies below');
});

/** The page about `of` without tags, and what its drawings show. */
async function drawnFor(of: Manifest) {
  const text = await reportPage(
    reportFacts(of, () => seen),
    undefined,
  );
  return { text, labels: [...text.matchAll(/ aria-label="([^"]*)"/g)].map((m) => m[1]!) };
}

test('how students were trained is drawn as it is of heads, without heads too', async () => {
  const both = await drawnFor(student());
  const losses = 'Training loss: student_1.onnx 2.5 to 1.25.';
  const accuracies = 'Accuracy in percent: student_1.onnx 40 to 55.';
  for (const label of [losses, accuracies]) assert.ok(both.labels.includes(label), label);
  assert.ok(both.labels.some((label) => label.startsWith('Training loss: exit_1 2 to 1.25')));
  for (const text of ['student_1.onnx: 20 steps of 128 samples.', 'trained the students and the heads'])
    assert.match(both.text, text);
  assert.not.match(both.text, /limit ended|half the learning rate/);
  const { training: _, ...headless } = student({ accuracies: [], stoppedAt: 20, halvedAt: 10 });
  const alone = await drawnFor(headless);
  assert.ok(alone.labels.includes(losses));
  for (const text of [
    'A limit ended them early',
    'went back to step 10,',
    'trained the students<',
    'followed',
  ])
    assert.match(alone.text, text);
  assert.not.match(alone.text, /Heads: down|up is better|and the heads|undefined|NaN/);
  assert.not.match(page, /Students:|trained the students/);
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
    .slice(2);
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
