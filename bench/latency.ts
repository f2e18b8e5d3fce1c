/**
 * Batch-1 latency of an emitted model: leaving at each exit against a session that holds only that prefix and head, and
 * never leaving against the original, with thresholds as an input and baked in. Untrained heads: timing is the same.
 *
 *   npx tsx bench/latency.ts [model.onnx] [taps…]     THREADS=2 BATCH=1 PASSES=10
 */

import { basename } from 'node:path';
import { table } from '../src/cli/tables.ts';
import { GraphBuilder, makeModel, makeValue } from '../src/graph/builder.ts';
import { inlineGraph } from '../src/graph/inline.ts';
import type { Model } from '../src/graph/types.ts';
import { allNames, ancestors } from '../src/graph/walk.ts';
import { inspect } from '../src/inspect.ts';
import { type Contestant, measureLatency } from '../src/measure-latency.ts';
import { Session, Tensor } from '../src/ort.ts';
import { attachExits } from '../src/passes/attach-exits.ts';
import type { Head, TypedModel } from '../src/passes/exits.ts';
import { lowerExits } from '../src/passes/lower-exits.ts';
import { runPasses } from '../src/passes/pass.ts';
import { inferenceForm } from '../src/passes/training-form.ts';

const [model = '../shared/data/models/resnet56.onnx', ...taps] = process.argv.slice(2);
const threads = Number(process.env.THREADS ?? 2);
const batch = Number(process.env.BATCH ?? 1);
const { typed, plan } = await inspect({ model, ...(taps.length > 0 && { taps }) });
const heads = attachExits(plan, { kind: 'strided', seed: 1 }).map((head) => ({
  ...head,
  graph: runPasses(head.graph, [inferenceForm]),
}));
const options = { threads };

/** Only the way to one exit: what a hand-cut model would hold. */
function prefixModel(typed: TypedModel, head: Head): Model {
  const { graph } = typed.model;
  const b = new GraphBuilder('', allNames(graph));
  const nodes = ancestors(graph, [head.exit.tap.value]);
  b.nodes.push(...graph.nodes.filter((n) => nodes.has(n)));
  const { logits } = inlineGraph(b, head.graph, { features: head.exit.tap.value }, `${head.exit.id}/`);
  const read = new Set(b.nodes.flatMap((n) => n.inputs));
  const initializers = [...graph.initializers.filter((t) => read.has(t.name)), ...b.initializers];
  const outputs = [makeValue(logits!, 'float', ['N', typed.classes])];
  const used = new Set([...b.nodes.flatMap((n) => n.inputs), logits!]);
  const live = b.nodes.filter((n) => n.outputs.some((o) => used.has(o)));
  return { ...typed.model, graph: { ...graph, nodes: live, initializers, outputs, valueInfo: [] } };
}

const lowered = await Session.open(lowerExits(typed, heads, { policy: 'max-prob' }), options);
const original = await Session.open(typed.model, options);
const K = heads.length;
const thresholds = (values: number[]) => ({
  thresholds: new Tensor('float32', Float32Array.from(values), [K]),
});
const input = typed.sampleInputs[0]!;
const dims = typed.facts.get(input)!.dims.slice(1);
const samples = Array.from({ length: 40 }, (_, i) => {
  const data = Float32Array.from({ length: batch * dims.reduce((a, b) => a * b, 1) }, (_, j) =>
    Math.sin(i * 31 + j * 0.7),
  );
  return { [input]: new Tensor('float32', data, [batch, ...dims]) };
});

const baked = (values: number[]) =>
  Session.open(lowerExits(typed, heads, { policy: 'max-prob', baked: values }), options);
const never = 0.99999;
const everyExit = (value: number) => heads.map(() => value);
const onlyAt = (k: number) => heads.map((_, i) => (i === k ? -1 : 1));

const contestants: Contestant[] = [
  { name: 'original', session: original, extra: {} },
  { name: 'never, all open', session: lowered, extra: thresholds(everyExit(never)) },
  { name: 'never, all closed', session: lowered, extra: thresholds(everyExit(1)) },
  { name: 'never, baked', session: await baked(everyExit(never)), extra: {} },
];
for (const [k, head] of heads.entries()) {
  const { id } = head.exit;
  contestants.push(
    { name: `prefix ${id}`, session: await Session.open(prefixModel(typed, head), options), extra: {} },
    { name: `leave ${id}`, session: lowered, extra: thresholds(onlyAt(k)) },
    { name: `leave ${id}, baked`, session: await baked(onlyAt(k)), extra: {} },
    {
      name: `head ${id}`,
      session: await Session.open(makeModel(head.graph), options),
      extra: {},
      feeds: featuresOf(head),
    },
  );
}
const result = await measureLatency(contestants, samples, {
  warmup: 30,
  passes: Number(process.env.PASSES ?? 10),
});
const ms = (name: string) => result.get(name)!.p50;
const headShare = heads.reduce((sum, h) => sum + h.macs, 0) / plan.totalMacs;
const headTime = heads.reduce((sum, h) => sum + ms(`head ${h.exit.id}`), 0);
const rows = [
  ['', 'ms', 'against', 'ratio'],
  ['original', ms('original').toFixed(3), '', ''],
  ...['never, all open', 'never, baked', 'never, all closed'].map((name) => {
    return [name, ms(name).toFixed(3), 'original', (ms(name) / ms('original')).toFixed(3)];
  }),
  ...heads.flatMap(({ exit }) =>
    [`leave ${exit.id}`, `leave ${exit.id}, baked`].map((name) => {
      const prefix = `prefix ${exit.id}`;
      return [
        name,
        ms(name).toFixed(3),
        `prefix and head, ${ms(prefix).toFixed(3)} ms`,
        (ms(name) / ms(prefix)).toFixed(3),
      ];
    }),
  ),
];
console.log(
  `${basename(model)}, batch ${batch}, ${threads} threads; heads ${(100 * headShare).toFixed(1)} % of the MACs,`,
);
console.log(
  `${headTime.toFixed(3)} ms by themselves, ${(100 * (headTime / ms('original'))).toFixed(1)} % of the original's time\n`,
);
console.log(table(rows));

/** What a head alone is fed: its own features instead of the picture. */
function featuresOf(head: Head) {
  const size = head.exit.tap.dims.reduce((a, b) => a * b, batch);
  const values = Float32Array.from({ length: size }, (_, i) => Math.max(0, Math.sin(i)));
  return { features: new Tensor('float32', values, [batch, ...head.exit.tap.dims]) };
}
