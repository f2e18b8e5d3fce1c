/** Memory of a chain's file against the sum of its networks' files. For chain.ts. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { networksWith } from '../src/commands/chain-exits.ts';
import { openProject } from '../src/commands/project.ts';
import type { Preset } from '../src/data/preprocessing.ts';
import { GraphBuilder, makeModel } from '../src/graph/builder.ts';
import { Random } from '../src/graph/random.ts';
import { floatTensor, toFloat32Array } from '../src/graph/tensor.ts';
import type { Tensor } from '../src/graph/types.ts';
import { allNames } from '../src/graph/walk.ts';
import { inspectFile } from '../src/model/inspect.ts';
import { serializeModel } from '../src/parser/index.ts';
import type { TypedModel } from '../src/passes/exits.ts';
import { lowerChain } from '../src/passes/lower-exits.ts';
import type { Runtime } from '../src/passes/place-weights.ts';
import { HIGHEST_OPEN } from '../src/policies/index.ts';
import { heapsInChromium } from './branch-weights-browser.ts';
import { subjectModel } from './branch-weights-subjects.ts';
import { type ChainPlaces, modelPath, nameOf, R8_R20_R56, R20_R56 } from './chain-data.ts';
import { feedsOf, type Weighed } from './chain-weigh.ts';
import { markdown } from './markdown.ts';

const MEGABYTES = 100;
/** One block of a subject's is enough. */
const SMALL_MEGABYTES = 5;
const KINDS = ['residual convolutions', 'MatMul'];
/** Processes; the median counts. */
const TIMES = 3;
const CLASSES = 10;
const HEADER = ['chain', 'file', 'MB', 'of the sum', 'heap in Chromium, MB', 'of the sum'];
const WEIGH = fileURLToPath(new URL('chain-weigh.ts', import.meta.url));

interface NamedFile extends Weighed {
  readonly file: string;
}

/**
 * The subject as a classifier: x [N, …] → scores [N, classes]. Its weights depend on `megabytes`: a chain holds the same weights once, and those of
 * all sizes of a subject begin alike.
 */
function classifier(kind: string, megabytes: number) {
  const { graph } = subjectModel(kind, megabytes);
  const b = new GraphBuilder('', allNames(graph));
  const random = new Random(megabytes, 'classifier');
  b.inputs.push(...graph.inputs);
  for (const tensor of graph.initializers) b.initializers.push(scaled(tensor, 1 - 1 / megabytes));
  b.nodes.push(...graph.nodes);
  const weights = Float32Array.from({ length: CLASSES }, () => random.gaussian());
  b.initializers.push(floatTensor('classes', [1, CLASSES], weights));
  b.output(b.op('MatMul', ['y', 'classes'], {}, 'scores'), 'float', ['N', CLASSES]);
  return makeModel(b.build('classifier'));
}

const scaled = (tensor: Tensor, by: number): Tensor =>
  tensor.dataType === 'float'
    ? floatTensor(
        tensor.name,
        tensor.dims,
        toFloat32Array(tensor).map((value) => value * by),
      )
    : tensor;

/** Writes the chain of `first` before `model` for each runtime, and says what there is to weigh. */
async function filesOf(
  folder: string,
  model: { readonly path: string; readonly preset: Preset },
  first: readonly { readonly path: string; readonly preset: Preset }[],
): Promise<{ readonly native: NamedFile; readonly web: NamedFile; readonly alone: NamedFile[] }> {
  const { chain } = await openProject({
    model: model.path,
    preset: model.preset,
    first: first.map(({ path, preset }) => ({ model: path, preset })),
  });
  const { heads, networks } = chain;
  const of = (typed: TypedModel) => {
    const input = typed.sampleInputs[0]!;
    return { input, dims: typed.facts.get(input)!.dims.slice(1) };
  };
  const emitted = (runtime: Runtime): NamedFile => {
    const path = join(folder, `${runtime}.onnx`);
    writeFileSync(
      path,
      serializeModel(lowerChain(networksWith(chain, heads), { policy: 'max-prob', runtime })),
    );
    return {
      file: `chain, \`${runtime}\``,
      path,
      thresholds: heads.map(() => HIGHEST_OPEN),
      ...of(networks.at(-1)!.typed),
    };
  };
  const alone: NamedFile[] = [];
  const named = (path: string, typed: TypedModel): NamedFile => {
    return { file: basename(path, '.onnx'), path, thresholds: [], ...of(typed) };
  };
  for (const { path } of first) alone.push(named(path, (await inspectFile({ model: path })).typed));
  alone.push(named(model.path, networks.at(-1)!.typed));
  return { native: emitted('native'), web: emitted('web'), alone };
}

/** Megabytes, each time in a process of its own, whose allocator has a fixed threshold: without one the same file takes now 106 MB and now 168. */
function weigh(weighed: Weighed): number {
  const env = { ...process.env, MALLOC_MMAP_THRESHOLD_: '131072' };
  const args = ['--import', 'tsx', WEIGH, '--weigh', JSON.stringify(weighed)];
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

export async function memorySection(places: ChainPlaces): Promise<string> {
  const rows: string[][] = [];
  const inFolder = async (name: string, files: (folder: string) => ReturnType<typeof filesOf>) => {
    const started = performance.now();
    const folder = mkdtempSync(join(tmpdir(), 'offramp-chain-memory-'));
    try {
      const own = await rowsOf(name, await files(folder));
      rows.push(...own);
      console.error(markdown([HEADER, ...own]));
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
  return `Resident after loading and one run in which every network runs, less what was before, when ONNX Runtime itself had been loaded and run: each file in a process of its own with \`MALLOC_MMAP_THRESHOLD_\` fixed, median of ${TIMES}. The sum is that of the
networks' own files. \`native\` and \`web\`: as the chain is written for machines, and for browsers. Heap: ONNX Runtime's WebAssembly in Chromium; it has a least size, which the sum counts once a file. Aimed at: 1.1.

${markdown([HEADER, ...rows])}
`;
}
