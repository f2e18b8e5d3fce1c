/** Memory of a chain's file against the sum of its networks' files. For chain.ts. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { networksWith } from '../src/commands/chain-exits.ts';
import { openProject } from '../src/commands/project.ts';
import type { Preset } from '../src/data/preprocessing.ts';
import { GraphBuilder, makeModel } from '../src/graph/builder.ts';
import { Random } from '../src/graph/random.ts';
import { elementCount, floatTensor } from '../src/graph/tensor.ts';
import { allNames } from '../src/graph/walk.ts';
import { type Feeds, Session, Tensor } from '../src/ort/session.ts';
import { serializeModel } from '../src/parser/index.ts';
import { lowerChain } from '../src/passes/lower-exits.ts';
import { HIGHEST_OPEN } from '../src/policies/index.ts';
import { heapsInChromium } from './branch-weights-browser.ts';
import { subjectModel } from './branch-weights-subjects.ts';
import { modelPath, nameOf, type Places, R8_R20_R56, R20_R56 } from './chain-data.ts';
import { markdown } from './markdown.ts';

const MEGABYTES = 100;
/** One block of a subject's is enough. */
const SMALL_MEGABYTES = 5;
const KINDS = ['residual convolutions', 'MatMul'];
/** Processes; the median counts. */
const TIMES = 3;
const CLASSES = 10;

interface Weighed {
  readonly file: string;
  readonly path: string;
  readonly input: string;
  /** Of a sample. */
  readonly dims: readonly number[];
  /** 0 of a network by itself. */
  readonly exits: number;
}

/** The subject as a classifier: x [N, …] → scores [N, classes]. */
function classifier(kind: string, megabytes: number) {
  const { graph } = subjectModel(kind, megabytes);
  const b = new GraphBuilder('', allNames(graph));
  const random = new Random(megabytes, 'classifier');
  b.inputs.push(...graph.inputs);
  b.initializers.push(...graph.initializers);
  b.nodes.push(...graph.nodes);
  const weights = Float32Array.from({ length: CLASSES }, () => random.gaussian());
  b.initializers.push(floatTensor('classes', [1, CLASSES], weights));
  b.output(b.op('MatMul', ['y', 'classes'], {}, 'scores'), 'float', ['N', CLASSES]);
  return makeModel(b.build('classifier'));
}

/** Writes the chain of `first` before `model` for each runtime, and says what there is to weigh: the chain first. */
async function filesOf(
  folder: string,
  model: { readonly path: string; readonly preset: Preset },
  first: readonly { readonly path: string; readonly preset: Preset }[],
): Promise<{ readonly native: Weighed; readonly web: Weighed; readonly alone: Weighed[] }> {
  const { chain } = await openProject({
    model: model.path,
    preset: model.preset,
    first: first.map(({ path, preset }) => ({ model: path, preset })),
  });
  const { heads, networks } = chain;
  const of = (typed: (typeof networks)[number]['typed']) => {
    const input = typed.sampleInputs[0]!;
    return { input, dims: typed.facts.get(input)!.dims.slice(1) };
  };
  const emitted = (runtime: 'native' | 'web'): Weighed => {
    const path = join(folder, `${runtime}.onnx`);
    writeFileSync(
      path,
      serializeModel(lowerChain(networksWith(chain, heads), { policy: 'max-prob', runtime })),
    );
    return { file: `chain, \`${runtime}\``, path, exits: heads.length, ...of(networks.at(-1)!.typed) };
  };
  const alone: Weighed[] = [];
  for (const { path } of [...first, model]) {
    const { inspection } = await openProject({ model: path });
    alone.push({ file: path.split('/').at(-1)!, path, exits: 0, ...of(inspection.typed) });
  }
  return { native: emitted('native'), web: emitted('web'), alone };
}

/** A sample that no exit is sure enough of: every network runs. */
function feedsOf({ input, dims, exits }: Weighed): Feeds {
  const data = Float32Array.from({ length: elementCount(dims) }, (_, i) => Math.sin(i * 0.7));
  const x = { [input]: new Tensor('float32', data, [1, ...dims]) };
  if (exits === 0) return x;
  return { ...x, thresholds: new Tensor('float32', new Float32Array(exits).fill(HIGHEST_OPEN), [exits]) };
}

const resident = () =>
  Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))![1]) / 1024;

/** Megabytes, each time in a process of its own, whose allocator has a fixed threshold: without one the same file takes now 106 MB and now 168. */
function weigh(weighed: Weighed): number {
  const env = { ...process.env, MALLOC_MMAP_THRESHOLD_: '131072' };
  const args = ['--import', 'tsx', fileURLToPath(import.meta.url), '--weigh', JSON.stringify(weighed)];
  const all = Array.from({ length: TIMES }, () =>
    Number(execFileSync('node', args, { encoding: 'utf8', env })),
  );
  return all.sort((a, b) => a - b)[Math.floor(TIMES / 2)]!;
}

async function rowsOf(name: string, files: Awaited<ReturnType<typeof filesOf>>): Promise<string[][]> {
  const all = [...files.alone, files.native, files.web];
  const heaps = await heapsInChromium(
    all.map(({ path }) => path),
    all.map(feedsOf),
  );
  const megabytes = all.map(weigh);
  const apart = files.alone.length;
  const sumOf = (values: readonly number[]) => values.slice(0, apart).reduce((sum, value) => sum + value, 0);
  const cells = (values: readonly number[], i: number) => [
    values[i]!.toFixed(0),
    i < apart ? '' : (values[i]! / sumOf(values)).toFixed(2),
  ];
  return all.map(({ file }, i) => [
    i === 0 ? name : '',
    file,
    ...cells(megabytes, i),
    ...(heaps ? cells(heaps, i) : ['', '']),
  ]);
}

export async function memorySection(places: Places): Promise<string> {
  const rows: string[][] = [];
  const inFolder = async (name: string, files: (folder: string) => ReturnType<typeof filesOf>) => {
    const started = performance.now();
    const folder = mkdtempSync(join(tmpdir(), 'offramp-chain-memory-'));
    try {
      rows.push(...(await rowsOf(name, await files(folder))));
      console.error(`  ${name}: ${((performance.now() - started) / 1000).toFixed(0)} s`);
    } finally {
      rmSync(folder, { recursive: true });
    }
  };
  for (const spec of [R20_R56, R8_R20_R56]) {
    const network = (one: (typeof spec)['original']) => ({
      path: modelPath(places, one),
      preset: one.preset,
    });
    await inFolder(nameOf(spec), (folder) =>
      filesOf(folder, network(spec.original), spec.first.map(network)),
    );
  }
  for (const kind of KINDS)
    await inFolder(`${kind}, ${MEGABYTES} MB`, (folder) => {
      const written = (file: string, megabytes: number) => {
        const path = join(folder, `${file}.onnx`);
        writeFileSync(path, serializeModel(classifier(kind, megabytes)));
        return { path, preset: 'none' as const };
      };
      return filesOf(folder, written('original', MEGABYTES), [written('small', SMALL_MEGABYTES)]);
    });
  const header = ['chain', 'file', 'MB', 'of the sum', 'heap in Chromium, MB', 'of the sum'];
  return `## Memory

Resident after loading and one run in which every network runs, less what was before: each file in a process of its own with \`MALLOC_MMAP_THRESHOLD_\` fixed, median of ${TIMES}. The sum is that of the
networks' own files. \`web\` is what packages for browsers hold. Heap: ONNX Runtime's WebAssembly in Chromium; it has a least size, which the sum counts once a file. Aimed at: 1.1.

${markdown([header, ...rows])}
`;
}

if (process.argv[2] === '--weigh') {
  const weighed = JSON.parse(process.argv[3]!) as Weighed;
  const before = resident();
  const session = await Session.open(weighed.path, { threads: 1 });
  await session.run(feedsOf(weighed));
  console.log(resident() - before);
  process.exit();
}
