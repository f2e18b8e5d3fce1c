/** How long chains take beside what their MACs foretell. One thread, no spinning; medians of runs in turn, in one process. For chain.ts. */
import { cpus } from 'node:os';
import { CLOSED, closesAll, measure, pickSamples } from '../src/calibrate/index.ts';
import { lower } from '../src/commands/steps/lower.ts';
import type { Dataset } from '../src/data/index.ts';
import { inputsOf } from '../src/data/splits.ts';
import { elementCount } from '../src/graph/tensor.ts';
import { inspectFile } from '../src/model/inspect.ts';
import { type Feeds, Session, Tensor } from '../src/ort/session.ts';
import { quantile } from '../src/predict/measure-latency.ts';
import { outcomesAt } from '../src/predict/outcomes.ts';
import { sampleFeeds, thresholdsFeed } from '../src/predict/run-emitted.ts';
import {
  type ChainPlaces,
  type ChainSpec,
  modelPath,
  nameOf,
  R8_R20_R56,
  R20_R56,
  withChain,
} from './chain-data.ts';
import { DEFAULT, thresholdsFor } from './chain-ways.ts';
import { markdown } from './markdown.ts';

const CHAINS = [R20_R56, R8_R20_R56];
const BUDGETS = [0.25, 0.4, 0.532];
/** By batch: how many runs' pictures there are, and how often each is timed. */
const RUNS = { 1: { runs: 80, passes: 9 }, 32: { runs: 8, passes: 7 } } as const;
type Batch = 1 | 32;
const BATCHES = [1, 32] as const;
const session = { threads: 1 };

interface Candidate {
  readonly name: string;
  readonly session: Session;
  /** Added to the pictures. */
  readonly extra: Feeds;
  /** Fed instead of the pictures. */
  readonly instead?: Feeds | undefined;
  readonly fetches?: readonly string[] | undefined;
}

/**
 * Milliseconds, mean over `feeds` of each one's median time. Candidates take turns; each runs once untimed before it is timed, or it would pay for what
 * the one before left in the caches.
 */
async function timesInTurn(candidates: readonly Candidate[], feeds: readonly Feeds[], passes: number) {
  const times = new Map(candidates.map(({ name }) => [name, feeds.map(() => new Float64Array(passes))]));
  for (let pass = 0; pass < passes; pass++) {
    for (const [i, pictures] of feeds.entries()) {
      for (const { name, session, extra, instead, fetches } of candidates) {
        const fed = { ...(instead ?? pictures), ...extra };
        await session.run(fed, fetches);
        const start = performance.now();
        await session.run(fed, fetches);
        times.get(name)![i]![pass] = performance.now() - start;
      }
    }
  }
  return new Map(
    [...times].map(([name, all]) => [
      name,
      all.reduce((sum, each) => sum + quantile(each, 0.5), 0) / feeds.length,
    ]),
  );
}

/** Noise for a network that reads its own input. */
async function noiseFor(path: string, batch: number): Promise<Feeds> {
  const { typed } = await inspectFile({ model: path });
  const [{ name, dims }] = inputsOf(typed) as [ReturnType<typeof inputsOf>[number]];
  const data = Float32Array.from({ length: batch * elementCount(dims) }, (_, i) => Math.sin(i * 0.7));
  return { [name]: new Tensor('float32', data, [batch, ...dims]) };
}

/** `count` runs' pictures, spread over `dataset`, and which they are. */
async function picturesOf(dataset: Dataset, batch: number, count: number) {
  const picks = Array.from({ length: batch * count }, (_, i) =>
    Math.floor((i * dataset.size) / (batch * count)),
  );
  const runs = Array.from({ length: count }, (_, r) => picks.slice(r * batch, (r + 1) * batch));
  return {
    picks: Int32Array.from(picks),
    feeds: await Promise.all(runs.map((run) => sampleFeeds(dataset, run))),
  };
}

async function rowsOf(spec: ChainSpec, places: ChainPlaces): Promise<string[][]> {
  return await withChain(spec, places, async (context, exits) => {
    const { splits, costs, chain } = context;
    const fitted = DEFAULT.fit(await exits.predict(splits.calibration.dataset, 'predicting'), costs, 1);
    const test = splits.test!.dataset;
    const outcomes = outcomesAt(await exits.predict(test, 'predicting'), fitted.policy);
    const emitted = await Session.open(lower(context, exits, fitted.policy), session);
    const original = await Session.open(modelPath(places, spec.original), session);
    const firstPath = modelPath(places, spec.first[0]!);
    const first = await Session.open(firstPath, session);
    const scores = [chain.networks.at(-1)!.typed.output];
    const closed = costs.exits.map(() => CLOSED);
    const settings = [
      { name: '`exact`', thresholds: closed },
      { name: 'all leave at the first network', thresholds: closed.with(0, -1) },
      ...BUDGETS.flatMap((budget) => {
        const thresholds = thresholdsFor(fitted, budget);
        return thresholds ? [{ name: `budget ${budget}`, thresholds }] : [];
      }),
    ];
    const rows: string[][] = [];
    for (const batch of BATCHES) {
      const { runs, passes } = RUNS[batch];
      const { picks, feeds } = await picturesOf(test, batch, runs);
      const candidates: Candidate[] = [
        { name: 'original', session: original, extra: {} },
        { name: 'first', session: first, extra: {}, instead: await noiseFor(firstPath, batch) },
        ...settings.flatMap(({ name, thresholds }) => {
          const one = { name, session: emitted, extra: thresholdsFeed(thresholds) };
          return [one, { ...one, name: `${name}, scores only`, fetches: scores }];
        }),
      ];
      await timesInTurn(candidates, feeds.slice(0, 2), 1);
      const ms = await timesInTurn(candidates, feeds, passes);
      const costAt = (thresholds: readonly number[]) =>
        measure(pickSamples(outcomes(thresholds), picks), costs, thresholds).relativeCost;
      rows.push(...batchRows(batch, spec, settings, ms, costAt));
    }
    for (const one of [emitted, original, first]) await one.release();
    return rows;
  });
}

function batchRows(
  batch: Batch,
  spec: ChainSpec,
  settings: readonly { readonly name: string; readonly thresholds: readonly number[] }[],
  ms: ReadonlyMap<string, number>,
  costAt: (thresholds: readonly number[]) => number,
): string[][] {
  const base = ms.get('original')!;
  const bare = ms.get('first')!;
  const rows = settings.map(({ name, thresholds }) => {
    const [all, alone] = [ms.get(name)!, ms.get(`${name}, scores only`)!];
    const isFirst = name.startsWith('all leave');
    const against = isFirst ? bare : base;
    const ratio = (time: number) => (time / against).toFixed(2);
    const over = isFirst ? ` (${(1000 * (all - bare)).toFixed(0)} µs more)` : '';
    const cost = costAt(thresholds);
    const realised = (time: number) =>
      closesAll(thresholds) || isFirst ? '' : ((base / time) * cost).toFixed(2);
    return [
      String(batch),
      name,
      all.toFixed(3),
      isFirst ? `${spec.first[0]!.file} alone` : 'original',
      `${ratio(all)}${over}`,
      ratio(alone),
      closesAll(thresholds) || isFirst ? '' : (1 / cost).toFixed(2),
      realised(all),
      realised(alone),
    ];
  });
  const plain = (name: string, time: number) => [
    String(batch),
    name,
    time.toFixed(3),
    '',
    '',
    '',
    '',
    '',
    '',
  ];
  return [plain('original', base), plain(`${spec.first[0]!.file} alone`, bare), ...rows];
}

export async function speedSection(places: ChainPlaces): Promise<string> {
  const sections: string[] = [];
  for (const spec of CHAINS) {
    console.error(nameOf(spec));
    const header = [
      'batch',
      '',
      'ms',
      'against',
      'ratio',
      'scores only',
      'foretold ×',
      'realised',
      'scores only',
    ];
    const section = `### ${nameOf(spec)}: time\n\n${markdown([header, ...(await rowsOf(spec, places))])}\n`;
    console.error(section);
    sections.push(section);
  }
  return `Processor: ${cpus()[0]!.model}. Milliseconds a run on pictures of the test split, one thread, sessions that do not spin: the mean over pictures of the median of each one's runs, all candidates in turn in one process.
Thresholds are those of the default way in *Accuracy*, fitted on the calibration split. *Foretold*: the speed-up that the MACs of these very pictures promise; *realised*: the share of it
that is measured. *Scores only*: the output of class scores alone is asked for, as the original has no other. Aimed at: realised .92; \`exact\` 1.02 of the original; the first network 1.05 of
its bare file or 40 µs more.

${sections.join('\n')}`;
}
