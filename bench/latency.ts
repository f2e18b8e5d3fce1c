/**
 * Batch-1 latency of an emitted model: leaving at each exit against a session that holds only that prefix and head, and
 * never leaving against the original, with thresholds as an input and baked in. Untrained heads: timing is the same.
 *
 *   npx tsx bench/latency.ts [model.onnx] [taps…]     THREADS=2 BATCH=1 PASSES=10
 */

import { basename } from 'node:path';
import { table } from '../src/cli/tables.ts';
import { GraphBuilder, makeValue } from '../src/graph/builder.ts';
import { inlineGraph } from '../src/graph/inline.ts';
import { prune } from '../src/graph/prune.ts';
import type { Model } from '../src/graph/types.ts';
import { allNames, ancestors } from '../src/graph/walk.ts';
import { inspect } from '../src/inspect.ts';
import { type Contestant, measureLatency } from '../src/measure-latency.ts';
import { type Feeds, Session, Tensor } from '../src/ort.ts';
import { attachExits } from '../src/passes/attach-exits.ts';
import type { Head } from '../src/passes/exits.ts';
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

const { graph } = typed.model;

/** The way to `values` and `heads` and nothing else, as one would cut it by hand. Outputs: `values`, then the heads' logits. */
function cutModel(values: readonly string[], heads: readonly Head[]): Model {
  const b = new GraphBuilder('', allNames(graph));
  const wanted = ancestors(graph, [...values, ...heads.map((head) => head.exit.tap.value)]);
  b.nodes.push(...graph.nodes.filter((node) => wanted.has(node)));
  const logits = heads.map(({ exit, graph: head }) => {
    const onlyLogits = prune({ ...head, outputs: head.outputs.filter((v) => v.name === 'logits') });
    return inlineGraph(b, onlyLogits, { features: exit.tap.value }, `${exit.id}/`).logits!;
  });
  const outputs = [...values, ...logits].map((name) => makeValue(name, 'float', ['N', typed.classes]));
  const initializers = [...graph.initializers, ...b.initializers];
  return { ...typed.model, graph: prune({ ...graph, nodes: b.nodes, initializers, outputs, valueInfo: [] }) };
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

const [answer] = graph.outputs.map((v) => v.name) as [string];
const contestants: Contestant[] = [
  { name: 'original', session: original, extra: {} },
  {
    name: 'original and heads',
    session: await Session.open(cutModel([typed.logits], heads), options),
    extra: {},
    fetches: [typed.logits],
  },
];
/** With all outputs, and with the class scores alone, as those it is compared with. */
function contend(name: string, session: Session, extra: Feeds) {
  contestants.push({ name, session, extra }, { name: scoresOnly(name), session, extra, fetches: [answer] });
}
const scoresOnly = (name: string) => `${name}, scores only`;
contend('never, all open', lowered, thresholds(everyExit(never)));
contend('never, baked', await baked(everyExit(never)), {});
contend('never, all closed', lowered, thresholds(everyExit(1)));
for (const [k, head] of heads.entries()) {
  const { id } = head.exit;
  contestants.push({
    name: `prefix ${id}`,
    session: await Session.open(cutModel([], [head]), options),
    extra: {},
  });
  contend(`leave ${id}`, lowered, thresholds(onlyAt(k)));
  contend(`leave ${id}, baked`, await baked(onlyAt(k)), {});
}
const result = await measureLatency(contestants, samples, {
  warmup: 30,
  settle: 1,
  passes: Number(process.env.PASSES ?? 10),
});
const ms = (name: string) => result.get(name)!.p50;
const headShare = heads.reduce((sum, h) => sum + h.macs, 0) / plan.totalMacs;
const row = (name: string, against: string) => {
  const [all, alone, base] = [ms(name), ms(scoresOnly(name)), ms(against)];
  return [
    name,
    all.toFixed(3),
    alone.toFixed(3),
    against,
    (all / base).toFixed(3),
    (alone / base).toFixed(3),
  ];
};
const rows = [
  ['', 'ms', 'scores only', 'against', 'ratio', 'scores only'],
  ...['original', 'original and heads'].map((name) => [name, '', ms(name).toFixed(3), '', '', '']),
  ...['original', 'original and heads'].flatMap((against) =>
    ['never, all open', 'never, baked'].map((name) => row(name, against)),
  ),
  row('never, all closed', 'original'),
  ...heads.flatMap(({ exit }) =>
    [`leave ${exit.id}`, `leave ${exit.id}, baked`].map((name) => row(name, `prefix ${exit.id}`)),
  ),
];
console.log(
  `${basename(model)}, batch ${batch}, ${threads} threads; heads ${(100 * headShare).toFixed(1)} % of the MACs\n`,
);
console.log(table(rows));
