/**
 * A whole network inside one branch of an If, as the original lies in a chain: time and memory against the same network flat, by where its
 * weights are kept. Memory, each in a process of its own: what is resident after loading and one run, less what was before. In Chromium: the
 * heap of ONNX Runtime's WebAssembly, which never shrinks.
 *
 *   npx tsx bench/branch-weights.ts [NAME …]      MEGABYTES=100 BATCHES=1,32 SECONDS=20 THREADS=1 FORMS=web,native HEAP=0
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { GraphBuilder } from '../src/graph/builder.ts';
import { renameNode } from '../src/graph/rename.ts';
import { elementCount } from '../src/graph/tensor.ts';
import type { Graph, Model } from '../src/graph/types.ts';
import { allNames } from '../src/graph/walk.ts';
import { type Feeds, Session, Tensor } from '../src/ort/session.ts';
import { serializeModel } from '../src/parser/index.ts';
import { enterBlockedLayout } from '../src/passes/enter-blocked-layout.ts';
import { type Pass, runPasses } from '../src/passes/pass.ts';
import { placeWeights } from '../src/passes/place-weights.ts';
import { quantile } from '../src/predict/measure-latency.ts';
import { heapsInChromium } from './branch-weights-browser.ts';
import { SUBJECTS, subjectModel } from './branch-weights-subjects.ts';
import { markdown } from './markdown.ts';

const megabytes = Number(process.env.MEGABYTES ?? 100);
const batches = (process.env.BATCHES ?? '1,32').split(',').map(Number);
const seconds = Number(process.env.SECONDS ?? 20);
const threads = Number(process.env.THREADS ?? 1);

/** [M] samples of which `go` [N] is above 0 run through the network, the others get 0. */
function inBranch({ graph, ...model }: Model): Model {
  const main = new GraphBuilder('', allNames(graph));
  const { dataType, dims } = graph.inputs[0]!.type!;
  const x = main.input('x', dataType, dims!);
  const go = main.input('go', 'float', ['N']);
  const open = main.op('Greater', [go, main.float(0)]);
  const count = main.op('ReduceMax', [main.op('Cast', [open], { to: 7 })], { keepdims: 0 });
  const cheap = main.op('Reshape', [main.op('Mul', [go, main.float(0)]), main.int64([-1, 1])]);

  const then = main.branch();
  const rows = then.op('Transpose', [then.op('NonZero', [open])], { perm: [1, 0] });
  const names = new Map([
    ['x', then.op('GatherND', [x, rows])],
    ['y', then.fresh('y')],
  ]);
  then.initializers.push(...graph.initializers);
  for (const node of graph.nodes) then.nodes.push(renameNode(node, names));
  then.output(then.op('ScatterND', [cheap, rows, names.get('y')!]), 'float', ['M', 1]);
  const otherwise = main.branch();
  otherwise.output(otherwise.op('Identity', [cheap]), 'float', ['M', 1]);

  const branches = { then_branch: then.build('then'), else_branch: otherwise.build('else') };
  main.op('If', [main.op('Cast', [count], { to: 9 })], branches, 'y');
  main.output('y', 'float', ['N', 1]);
  return { ...model, graph: main.build('network_in_branch') };
}

/** Every large tensor in the main graph, with a Concat of one input for each in the branch. */
const concatForAll: Pass = {
  name: 'concat-for-all',
  run(graph: Graph): Graph {
    const moved = runPasses(graph, [placeWeights(new Set(), 'web')]);
    const large = moved.initializers.filter((t) => t.bytes.byteLength > 4096).map((t) => t.name);
    const names = new Map(large.map((name) => [name, `${name}/local`]));
    const nodes = moved.nodes.map((node) => {
      const then = node.attributes.then_branch;
      if (then?.type !== 'GRAPH') return node;
      const b = new GraphBuilder();
      for (const [name, as] of names) b.op('Concat', [name], { axis: 0 }, as);
      const value = {
        ...then.value,
        nodes: [...b.nodes, ...then.value.nodes.map((n) => renameNode(n, names))],
      };
      return { ...node, attributes: { ...node.attributes, then_branch: { type: 'GRAPH', value } as const } };
    });
    return { ...moved, nodes };
  },
};

const FLAT = 'flat';
/** Ways to keep the weights of the branch, the last two as `placeWeights` does. */
const FORMS: Readonly<Record<string, { readonly told: string; readonly passes: readonly Pass[] }>> = {
  branch: { told: 'in the branch', passes: [enterBlockedLayout] },
  concat: { told: 'main graph, all with a Concat', passes: [concatForAll, enterBlockedLayout] },
  web: { told: '`web`: main graph, no Concat', passes: [placeWeights(new Set(), 'web')] },
  native: {
    told: '`native`: main graph, a Concat for Conv',
    passes: [placeWeights(new Set(), 'native'), enterBlockedLayout],
  },
};
const forms = [FLAT, ...(process.env.FORMS?.split(',') ?? Object.keys(FORMS))];

function modelOf(name: string, form: string): Model {
  const flat = subjectModel(name, megabytes);
  if (form === FLAT) return flat;
  const nested = inBranch(flat);
  return { ...nested, graph: runPasses(nested.graph, FORMS[form]!.passes) };
}

function feedsOf(name: string, form: string, batch: number): Feeds {
  const { sample, input } = SUBJECTS[name]!;
  const dims = [batch, ...sample];
  const length = elementCount(dims);
  const x =
    input === 'int64'
      ? new Tensor(
          'int64',
          BigInt64Array.from({ length }, (_, i) => BigInt((i * 7919) % 1000)),
          dims,
        )
      : new Tensor(
          'float32',
          Float32Array.from({ length }, (_, i) => Math.sin(i * 0.7)),
          dims,
        );
  return form === FLAT ? { x } : { x, go: new Tensor('float32', new Float32Array(batch).fill(1), [batch]) };
}

/** At least, however long a run takes. */
const ROUNDS = 7;

/** Milliseconds of CPU a run, which other processes disturb less than the clock: of all forms in turn, the median of each. */
async function timesOf(name: string, paths: ReadonlyMap<string, string>, batch: number) {
  const sessions = new Map<string, Session>();
  for (const [form, path] of paths) sessions.set(form, await Session.open(path, { threads }));
  const times = new Map<string, number[]>(forms.map((form) => [form, []]));
  const answers = new Set<number>();
  const end = performance.now() + 1000 * seconds;
  for (let round = 0; round < ROUNDS || performance.now() < end; round++) {
    for (const [form, session] of sessions) {
      const feeds = feedsOf(name, form, batch);
      const start = process.cpuUsage();
      const { y } = await session.run(feeds);
      // The first two find caches cold and arenas small.
      const { user, system } = process.cpuUsage(start);
      if (round > 1) times.get(form)!.push((user + system) / 1000);
      if (round === 0) answers.add(Math.fround((y!.data as Float32Array)[0]!));
    }
  }
  const [one, ...others] = [...answers] as [number];
  for (const other of others)
    if (!(Math.abs(other - one) <= 1e-3 * Math.abs(one) + 1e-5)) throw new Error(`${name}: ${[...answers]}`);
  for (const session of sessions.values()) await session.release();
  return new Map([...times].map(([form, all]) => [form, quantile(Float64Array.from(all), 0.5)]));
}

const resident = () =>
  Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))![1]) / 1024;

interface Weighed {
  readonly load: number;
  readonly memory: number;
}

/** With a fixed threshold: without one the same file takes now 106 MB and now 168. */
function weigh(path: string, name: string, form: string): Weighed {
  const env = { ...process.env, MALLOC_MMAP_THRESHOLD_: '131072' };
  const args = ['--import', 'tsx', fileURLToPath(import.meta.url), '--weigh', path, name, form];
  return JSON.parse(execFileSync('node', args, { encoding: 'utf8', env })) as Weighed;
}

async function rowsOf(name: string): Promise<string[][]> {
  const folder = mkdtempSync(join(tmpdir(), 'offramp-weights-'));
  try {
    const paths = new Map(forms.map((form, i) => [form, join(folder, `${i}.onnx`)]));
    for (const [form, path] of paths) writeFileSync(path, serializeModel(modelOf(name, form)));
    const weighed = new Map([...paths].map(([form, path]) => [form, weigh(path, name, form)]));
    const times = new Map<number, Map<string, number>>();
    for (const batch of batches) times.set(batch, await timesOf(name, paths, batch));
    const heaps =
      process.env.HEAP !== '0' &&
      (await heapsInChromium(
        [...paths.values()],
        [...paths.keys()].map((f) => feedsOf(name, f, 1)),
      ));
    const cell = (value: number, flat: number, digits: number, form: string) =>
      form === FLAT ? value.toFixed(digits) : (value / flat).toFixed(2);
    return forms.map((form, i) => [
      form === FLAT ? name : '',
      FORMS[form]?.told ?? form,
      ...batches.map((n) => cell(times.get(n)!.get(form)!, times.get(n)!.get(FLAT)!, 1, form)),
      cell(weighed.get(form)!.memory, weighed.get(FLAT)!.memory, 0, form),
      cell(weighed.get(form)!.load, weighed.get(FLAT)!.load, 0, form),
      heaps ? cell(heaps[i]!, heaps[0]!, 0, form) : '',
    ]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const [first, ...rest] = process.argv.slice(2);
if (first === '--weigh') {
  const [path, name, form] = rest as [string, string, string];
  const before = resident();
  const start = process.cpuUsage();
  const session = await Session.open(path, { threads });
  const { user, system } = process.cpuUsage(start);
  const load = (user + system) / 1000;
  await session.run(feedsOf(name, form, 1));
  console.log(JSON.stringify({ load, memory: resident() - before }));
  process.exit();
}
const rows: string[][] = [];
for (const name of first ? [first, ...rest] : Object.keys(SUBJECTS)) rows.push(...(await rowsOf(name)));
console.log(`# Weights of branches

Made by \`npx tsx bench/branch-weights.ts\`: networks of ${megabytes} MB of random weights inside one branch of an If, between a GatherND and a ScatterND, as
the original of a chain lies; all samples go there. ${threads} thread; medians of runs in turn, of the CPU's time. The first line of each network is the network without any If,
in ms and MB; the others are relative to it. Memory: resident after loading and one run, less what was before. Heap: WebAssembly, in Chromium.

${markdown([['network', 'weights', ...batches.map((n) => `batch ${n}, ms`), 'memory, MB', 'load, ms', 'heap, MB'], ...rows])}
`);
process.exit();
