/**
 * The emitted model at work: leaving at each exit against a session that holds only that prefix and head, never leaving against the original
 * and heads in one session, and samples that leave where they like against what their MACs foretell. Untrained heads, which take the same time.
 * Then, each in a process of its own, peak memory and load time against the original's.
 *
 *   npx tsx bench/emitted.ts [model.onnx …]      THREADS=2 BATCHES=1,8,32,128 PASSES=10 SECONDS=20
 */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inferenceForm } from '../src/autodiff/training-form.ts';
import { GraphBuilder, makeValue } from '../src/graph/builder.ts';
import { inlineGraph } from '../src/graph/inline.ts';
import { prune } from '../src/graph/prune.ts';
import { Random } from '../src/graph/random.ts';
import { elementCount, floatTensor, toNumbers } from '../src/graph/tensor.ts';
import type { Model } from '../src/graph/types.ts';
import { allNames, ancestors, indexGraph } from '../src/graph/walk.ts';
import { inspectLoaded } from '../src/model/inspect.ts';
import { type Feeds, Session, Tensor } from '../src/ort/session.ts';
import { type LoadedModel, loadModel, serializeModel } from '../src/parser/index.ts';
import { attachExits } from '../src/passes/attach-exits.ts';
import type { ExitPlan, Head, TypedModel } from '../src/passes/exits.ts';
import { lowerExits } from '../src/passes/lower-exits.ts';
import { runPasses } from '../src/passes/pass.ts';
import { type BenchmarkCandidate, measureLatency, quantile } from '../src/predict/measure-latency.ts';
import { markdown } from './markdown.ts';

const SHARED = '../shared/data/models';
const models = process.argv.slice(2);
if (models.length === 0)
  models.push(...['resnet20', 'resnet56', 'light_resnet50'].map((name) => join(SHARED, `${name}.onnx`)));
const threads = Number(process.env.THREADS ?? 2);
const batches = (process.env.BATCHES ?? '1,8,32,128').split(',').map(Number);
const passes = Number(process.env.PASSES ?? 10);
/** For each candidate at a batch; passes and samples become fewer where a run takes long. */
const seconds = Number(process.env.SECONDS ?? 20);
const session = { threads };
/** Below every threshold of a sure sample, above all that heads say here. */
const NEVER = 0.99999;

/** The way to `values` and `heads` and nothing else, as one would cut it by hand. Outputs: `values`, then the heads' logits. */
function cutModel({ model, classes }: TypedModel, values: readonly string[], heads: readonly Head[]): Model {
  const { graph } = model;
  const b = new GraphBuilder('', allNames(graph));
  const wanted = ancestors(graph, [...values, ...heads.map((head) => head.exit.tap.value)]);
  b.nodes.push(...graph.nodes.filter((node) => wanted.has(node)));
  const logits = heads.map(({ exit, graph: head }) => {
    const onlyLogits = prune({ ...head, outputs: head.outputs.filter((v) => v.name === 'logits') });
    return inlineGraph(b, onlyLogits, { features: exit.tap.value }, `${exit.id}/`).logits!;
  });
  const outputs = [...values, ...logits].map((name) => makeValue(name, 'float', ['N', classes]));
  const initializers = [...graph.initializers, ...b.initializers];
  return { ...model, graph: prune({ ...graph, nodes: b.nodes, initializers, outputs, valueInfo: [] }) };
}

interface Subject {
  readonly typed: TypedModel;
  readonly plan: ExitPlan;
  readonly heads: readonly Head[];
}

/** Random weights where a model has none but their shapes, as the `light_` models of ONNX's tests; normalizations that do nothing. */
function withWeights({ model, ...source }: LoadedModel): LoadedModel {
  const { graph } = model;
  const { initializer, producer } = indexGraph(graph);
  const ones = new Set(
    graph.nodes.flatMap(({ opType, inputs }) =>
      opType === 'BatchNormalization' ? [inputs[1], inputs[4]] : [],
    ),
  );
  const random = new Random(1, 'weights');
  const made = graph.nodes.flatMap(({ opType, inputs, outputs: [name] }) => {
    const shape = opType === 'ConstantOfShape' ? initializer.get(inputs[0]!) : undefined;
    if (!shape) return [];
    const dims = toNumbers(shape);
    const deviation = 0.7 * Math.sqrt(2 / elementCount(dims.slice(1)));
    const value = () => (dims.length > 1 ? deviation * random.gaussian() : ones.has(name) ? 1 : 0);
    return [floatTensor(name!, dims, Float32Array.from({ length: elementCount(dims) }, value))];
  });
  const nodes = graph.nodes.filter((node) => !made.some(({ name }) => producer.get(name) === node));
  const initializers = [...graph.initializers, ...made];
  return { ...source, model: { ...model, graph: { ...graph, nodes, initializers } } };
}

async function subjectOf(path: string): Promise<Subject> {
  const source = withWeights(await loadModel(path));
  const alone = await inspectLoaded(source, {});
  const { typed, plan } =
    alone.typed.batch === 'dynamic' ? alone : await inspectLoaded(source, { widenBatch: true });
  const heads = attachExits(plan, { kind: 'strided', seed: 1 }).map((head) => ({
    ...head,
    graph: runPasses(head.graph, [inferenceForm]),
  }));
  return { typed, plan, heads };
}

/** Noise of rising contrast, so that scores differ. */
function samplesOf({ typed }: Subject, batch: number, count: number): Feeds[] {
  const input = typed.sampleInputs[0]!;
  const dims = typed.facts.get(input)!.dims.slice(1);
  return Array.from({ length: count }, (_, i) => {
    const data = Float32Array.from({ length: batch * elementCount(dims) }, (_, j) => {
      const sample = i * batch + Math.floor(j / elementCount(dims));
      return Math.sin(sample * 31 + j * 0.7) * (0.25 + (sample % 16) / 8);
    });
    return { [input]: new Tensor('float32', data, [batch, ...dims]) };
  });
}

const feed = (values: readonly number[]): Feeds => ({
  thresholds: new Tensor('float32', Float32Array.from(values), [values.length]),
});

/** Thresholds at which about as many samples leave at each exit as go all the way; and the average relative cost at them. */
async function mixture({ heads, plan }: Subject, lowered: Session, samples: readonly Feeds[]) {
  const thresholds = heads.map(() => 1);
  const shares: number[] = [];
  for (const k of heads.keys()) {
    const found: number[] = [];
    for (const sample of samples) {
      const seen = await lowered.run({ ...sample, ...feed(thresholds.map((t, i) => (i === k ? -1 : t))) });
      const [exits, scores] = [
        seen.exit_index!.data as BigInt64Array,
        seen.exit_confidence!.data as Float32Array,
      ];
      for (const [i, exit] of exits.entries()) if (Number(exit) === k) found.push(scores[i]!);
    }
    found.sort((a, b) => a - b);
    const leave = 1 / (heads.length + 1 - k);
    thresholds[k] = found[Math.min(found.length - 1, Math.floor(found.length * (1 - leave)))]!;
  }
  const counts = new Array<number>(heads.length + 1).fill(0);
  for (const sample of samples) {
    const { exit_index } = await lowered.run({ ...sample, ...feed(thresholds) });
    for (const exit of exit_index!.data as BigInt64Array) counts[Number(exit)]!++;
  }
  const all = counts.reduce((a, c) => a + c, 0);
  let [cost, paid] = [0, 0];
  for (const [k, count] of counts.entries()) {
    const head = heads[k];
    if (head) paid += head.macs / plan.totalMacs;
    shares.push(count / all);
    cost += (count / all) * ((head ? head.exit.tap.relativeCost : 1) + paid);
  }
  return { thresholds, shares, cost };
}

const percent = (share: number) => `${(100 * share).toFixed(0)} %`;

async function benchmark(subject: Subject, batch: number): Promise<string[][]> {
  const { typed, plan, heads } = subject;
  const lowered = await Session.open(lowerExits(typed, heads, { policy: 'max-prob' }), session);
  const original = await Session.open(typed.model, session);
  const opened: Session[] = [lowered, original];
  const open = async (model: Model) => {
    opened.push(await Session.open(model, session));
    return opened.at(-1)!;
  };
  const probe = samplesOf(subject, batch, 1);
  await original.run(probe[0]!);
  const began = performance.now();
  await original.run(probe[0]!);
  const once = performance.now() - began;
  const contestantsCount = 6 + 3 * heads.length;
  const runs = Math.max(6, Math.min(40 * passes, (1000 * seconds) / (2 * once * contestantsCount)));
  const count = Math.max(3, Math.min(40, Math.round(Math.sqrt(runs))));
  const samples = samplesOf(subject, batch, count);
  const { thresholds, shares, cost } = await mixture(subject, lowered, samples);

  const [answer] = typed.model.graph.outputs.map((v) => v.name) as [string];
  const scoresOnly = (name: string) => `${name}, scores only`;
  const candidates: BenchmarkCandidate[] = [
    { name: 'original', session: original, extra: {} },
    {
      name: 'original and heads',
      session: await open(cutModel(typed, [typed.logits], heads)),
      extra: {},
      fetches: [typed.logits],
    },
  ];
  const contend = (name: string, extra: Feeds, of = lowered) =>
    candidates.push(
      { name, session: of, extra },
      { name: scoresOnly(name), session: of, extra, fetches: [answer] },
    );
  contend('never leaving', feed(heads.map(() => NEVER)));
  contend('all exits closed', feed(heads.map(() => 1)));
  contend('as they like', feed(thresholds));
  for (const [k, head] of heads.entries()) {
    const { id } = head.exit;
    const only = heads.map((_, i) => (i === k ? -1 : 1));
    candidates.push({ name: `prefix ${id}`, session: await open(cutModel(typed, [], [head])), extra: {} });
    contend(`leaving at ${id}`, feed(only));
    const baked = await open(lowerExits(typed, heads, { policy: 'max-prob', baked: only }));
    contend(`leaving at ${id}, baked`, {}, baked);
  }
  const result = await measureLatency(candidates, samples, {
    warmup: 2,
    settle: 1,
    passes: Math.max(2, Math.min(passes, Math.round(runs / count))),
  });
  for (const one of opened) await one.release();
  const ms = (name: string, of: 'median' | 'mean' = 'median') => {
    const { least, mean } = result.get(name)!;
    return of === 'mean' ? mean : quantile(least, 0.5);
  };
  const row = (name: string, against: string, foretold?: number, of: 'median' | 'mean' = 'median') => {
    const [all, alone, base] = [ms(name, of), ms(scoresOnly(name), of), ms(against, of)];
    const realised = foretold ? (ms('original', of) / all / foretold).toFixed(2) : '';
    return [
      `${batch}`,
      name,
      all.toFixed(2),
      against,
      (all / base).toFixed(2),
      (alone / base).toFixed(2),
      foretold ? foretold.toFixed(2) : '',
      realised,
      foretold && against !== 'original' ? (ms('original') / base / foretold).toFixed(2) : '',
    ];
  };
  const headShare = (upTo: number) =>
    heads.slice(upTo, upTo + 1).reduce((sum, h) => sum + h.macs / plan.totalMacs, 0);
  return [
    [`${batch}`, 'original', ms('original').toFixed(2), '', '', '', '', '', ''],
    [
      `${batch}`,
      'original and heads',
      ms('original and heads').toFixed(2),
      'original',
      '',
      (ms('original and heads') / ms('original')).toFixed(2),
      '',
      '',
      '',
    ],
    row('never leaving', 'original and heads'),
    row('all exits closed', 'original'),
    ...heads.flatMap(({ exit }, k) => {
      const foretold = 1 / (exit.tap.relativeCost + headShare(k));
      return [
        row(`leaving at ${exit.id}`, `prefix ${exit.id}`, foretold),
        row(`leaving at ${exit.id}, baked`, `prefix ${exit.id}`, foretold),
      ];
    }),
    // Of single samples the median is one of those that all leave at one place.
    row('as they like', 'original', 1 / cost, 'mean').with(
      1,
      `as they like: ${shares.map(percent).join(', ')}`,
    ),
  ];
}

const LOAD = join(fileURLToPath(new URL('.', import.meta.url)), 'load.ts');

/** Median of five processes: milliseconds to load, megabytes at the peak of load and a run of one sample and of 32. */
function weigh(path: string | undefined, { typed }: Subject, exits: number) {
  const input = typed.sampleInputs[0]!;
  const dims = typed.facts.get(input)!.dims.slice(1);
  const asked = JSON.stringify({ path, input, dims, threads, exits });
  const runs = Array.from(
    { length: 5 },
    () =>
      JSON.parse(execFileSync('node', ['--import', 'tsx', LOAD, asked], { encoding: 'utf8' })) as {
        ms: number;
        megabytes: number;
      },
  );
  const median = (values: number[]) => values.sort((a, b) => a - b)[2]!;
  return { ms: median(runs.map((r) => r.ms)), megabytes: median(runs.map((r) => r.megabytes)) };
}

function weighed(subject: Subject): string[][] {
  const { typed, heads } = subject;
  const folder = mkdtempSync(join(tmpdir(), 'offramp-emitted-'));
  const files = { original: join(folder, 'a.onnx'), emitted: join(folder, 'b.onnx') };
  writeFileSync(files.original, serializeModel(typed.model));
  writeFileSync(files.emitted, serializeModel(lowerExits(typed, heads, { policy: 'max-prob' })));
  const nothing = weigh(undefined, subject, 0);
  const [before, after] = [weigh(files.original, subject, 0), weigh(files.emitted, subject, heads.length)];
  rmSync(folder, { recursive: true });
  return [
    ['original', before.ms.toFixed(0), '', before.megabytes.toFixed(0), ''],
    [
      'emitted',
      after.ms.toFixed(0),
      (after.ms / before.ms).toFixed(2),
      after.megabytes.toFixed(0),
      `${(after.megabytes / before.megabytes).toFixed(2)} (${((after.megabytes - nothing.megabytes) / (before.megabytes - nothing.megabytes)).toFixed(2)} without the ${nothing.megabytes.toFixed(0)} of an empty process)`,
    ],
  ];
}

console.log(`# The emitted model against what it is made of

Made by \`npx tsx bench/emitted.ts\` with ${threads} threads. Milliseconds a run, medians over samples of the least of several passes; candidates take
turns, sessions do not spin. An output more costs onnxruntime-node 10 to 20 µs, so there are two ratios: with all three outputs of the emitted
model, and with the class scores alone, as those it is compared with have. *Foretold*: the speed-up over the original that MACs promise, and
*realised* the share of it that is measured, *by hand* the share that prefix and head alone realise. *As they like*: thresholds at which about as many samples leave at each exit as go all the way;
means over samples there, for the median of single samples would be that of one exit.
`);
for (const model of models) {
  const subject = await subjectOf(model);
  const { heads, plan } = subject;
  const head = heads.map((h) => percent(h.macs / plan.totalMacs)).join(', ');
  const at = heads.map((h) => percent(h.exit.tap.relativeCost)).join(', ');
  console.log(
    `## ${basename(model, '.onnx')}: exits at ${at} with heads of ${head} of ${(plan.totalMacs / 1e6).toFixed(0)} M MACs\n`,
  );
  const rows: string[][] = [];
  for (const batch of batches) {
    if ((batch * plan.totalMacs) / 1e9 > 200) continue;
    rows.push(...(await benchmark(subject, batch)));
  }
  console.log(
    markdown([
      ['batch', '', 'ms', 'against', 'ratio', 'scores only', 'foretold ×', 'realised', 'by hand'],
      ...rows,
    ]),
  );
  console.log(`\n${markdown([['', 'load, ms', 'ratio', 'peak, MB', 'ratio'], ...weighed(subject)])}\n`);
}
process.exit();
