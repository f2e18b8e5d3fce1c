/**
 * A model of 500 MB read, given exits and written: time and memory against reading and writing the file, each in a process of its own, in turn.
 *
 *   npx tsx bench/rewrite.ts [megabytes]
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inferenceForm } from '../src/autodiff/training-form.ts';
import { GraphBuilder, makeModel } from '../src/graph/builder.ts';
import type { Model } from '../src/graph/types.ts';
import { loadModel, parseModel, serializeChunks } from '../src/parser/index.ts';
import { attachExits } from '../src/passes/attach-exits.ts';
import type { Fact, TypedModel } from '../src/passes/exits.ts';
import { lowerExits } from '../src/passes/lower-exits.ts';
import { runPasses } from '../src/passes/pass.ts';
import { planExits } from '../src/passes/plan-exits.ts';
import { markdown } from './markdown.ts';

const RUNS = 7;
const WIDTH = 2800;
const CLASSES = 10;
const LAYER_BYTES = 4 * WIDTH * WIDTH;

/** [N, WIDTH] through as many layers as make `bytes`; weights of no meaning. */
function wideModel(bytes: number): Model {
  const b = new GraphBuilder();
  const weights = (name: string, dims: number[]) => {
    const data = new Uint8Array(4 * dims.reduce((a, d) => a * d, 1)).fill(7);
    return b.initializer({
      name,
      dims,
      dataType: 'float',
      bytes: data,
    } as Model['graph']['initializers'][number]);
  };
  let x = b.input('x', 'float', ['N', WIDTH]);
  for (let layer = 0; layer < Math.round(bytes / LAYER_BYTES); layer++)
    x = b.op('Relu', [b.op('MatMul', [x, weights(`w${layer}`, [WIDTH, WIDTH])])], {}, `layer${layer}`);
  b.op('MatMul', [x, weights('classifier', [WIDTH, CLASSES])], {}, 'scores');
  b.output('scores', 'float', ['N', CLASSES]);
  return makeModel(b.build('wide'), 17);
}

/** What ONNX Runtime would be asked for, known by construction. */
function typedModel(model: Model): TypedModel {
  const facts = new Map<string, Fact>();
  const values = [...model.graph.inputs.map((v) => v.name), ...model.graph.nodes.flatMap((n) => n.outputs)];
  for (const name of values)
    facts.set(name, { dataType: 'float', dims: [1, name === 'scores' ? CLASSES : WIDTH], batchAxis: 0 });
  for (const { name, dataType, dims } of model.graph.initializers)
    facts.set(name, { dataType, dims: dims as number[], batchAxis: undefined });
  return {
    model,
    facts,
    sampleInputs: ['x'],
    output: 'scores',
    logits: 'scores',
    classes: CLASSES,
    activation: 'none',
    batch: 'dynamic',
  };
}

function withExits(model: Model): Model {
  const typed = typedModel(model);
  const heads = attachExits(planExits(typed), { seed: 1 }).map((head) => ({
    ...head,
    graph: runPasses(head.graph, [inferenceForm]),
  }));
  return lowerExits(typed, heads, { policy: 'max-prob' });
}

const WAYS: Record<string, (from: string, to: string) => Promise<void>> = {
  'read and write': async (from, to) => writeFileSync(to, readFileSync(from)),
  'parse, rewrite, serialize': async (from, to) =>
    writeFile(to, serializeChunks(withExits(parseModel(readFileSync(from))))),
  'read and sha256': async (from) => {
    createHash('sha256').update(readFileSync(from)).digest();
  },
  'parse (with sha256: loadModel), rewrite, serialize': async (from, to) =>
    writeFile(to, serializeChunks(withExits((await loadModel(from)).model))),
};

const [first = '500', ...rest] = process.argv.slice(2);
const way = WAYS[first];
// In a process of its own too: the peak of a child is at least that of its parent.
if (first === 'make') {
  await writeFile(rest[0]!, serializeChunks(wideModel(Number(rest[1]) * 1e6)));
  process.exit();
}
if (way || first === 'nothing') {
  const start = performance.now();
  await way?.(...(rest as [string, string]));
  console.log(
    JSON.stringify({ ms: performance.now() - start, megabytes: process.resourceUsage().maxRSS / 1024 }),
  );
  process.exit();
}

const folder = mkdtempSync(join(tmpdir(), 'offramp-rewrite-'));
const [from, to] = [join(folder, 'from.onnx'), join(folder, 'to.onnx')];
const run = (...args: string[]) =>
  execFileSync('node', ['--import', 'tsx', fileURLToPath(import.meta.url), ...args], { encoding: 'utf8' });
run('make', from, first);
const size = statSync(from).size / 2 ** 20;
const measure = (name: string) => JSON.parse(run(name, from, to)) as { ms: number; megabytes: number };
const names = ['nothing', ...Object.keys(WAYS)];
const found = new Map(names.map((name) => [name, [] as { ms: number; megabytes: number }[]]));
for (let turn = 0; turn < RUNS; turn++)
  for (const name of names) {
    found.get(name)!.push(measure(name));
    rmSync(to, { force: true });
  }
rmSync(folder, { recursive: true });
const median = (name: string, of: 'ms' | 'megabytes') =>
  found
    .get(name)!
    .map((m) => m[of])
    .sort((a, b) => a - b)[RUNS >> 1]!;
const empty = median('nothing', 'megabytes');
const base = median('read and write', 'ms');
console.log(`# A large model read, rewritten and written

Made by \`npx tsx bench/rewrite.ts\`: ${size.toFixed(0)} MiB of weights in the file itself, three exits spliced in; medians of ${RUNS} processes each, in turn. Memory is the
peak of the process less the ${empty.toFixed(0)} MiB of one that does nothing, relative to the file. The sha256, by which caches and manifests know
the original, is what the last row costs more.

${markdown([
  ['', 'ms', 'time', 'memory, MiB', 'memory'],
  ...Object.keys(WAYS).map((name) => {
    const [ms, memory] = [median(name, 'ms'), median(name, 'megabytes') - empty];
    return [name, ms.toFixed(0), (ms / base).toFixed(2), memory.toFixed(0), (memory / size).toFixed(2)];
  }),
])}`);
