/**
 * A training step of a head or a student against the same network in PyTorch eager, turn by turn, on the same threads: forward, distillation
 * loss, backward, AdamW, batch 128.
 *
 *   npx tsx bench/pytorch.ts [model.onnx]      PYTHON=/usr/bin/python3 ROUNDS=12
 *
 * PyTorch is Debian's: `apt-get install python3-torch`. Without it there is nothing to compare with and the script says so.
 */

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { resolvePreprocessing } from '../src/data/index.ts';
import { Random } from '../src/graph/random.ts';
import type { Graph } from '../src/graph/types.ts';
import { indexGraph } from '../src/graph/walk.ts';
import { inspectFile } from '../src/model/inspect.ts';
import { Tensor } from '../src/ort/session.ts';
import { attachExits } from '../src/passes/attach-exits.ts';
import type { HeadKind } from '../src/passes/exits.ts';
import { buildStudent } from '../src/students/build-student.ts';
import { distill, joinHeads } from '../src/train/losses.ts';
import { Stepper } from '../src/train/stepper.ts';
import { markdown } from './markdown.ts';
import { median } from './median.ts';
import { profiled } from './profile.ts';

const BATCH = 128;
const STEPS = 5;
const python = process.env.PYTHON ?? '/usr/bin/python3';
const rounds = Number(process.env.ROUNDS ?? 12);
const [model = '../shared/data/models/resnet56.onnx'] = process.argv.slice(2);

if (spawnSync(python, ['-c', 'import torch']).status !== 0) {
  console.log(`Skipped: ${python} has no torch. On Debian: apt-get install python3-torch`);
  process.exit();
}

const { plan, typed } = await inspectFile({ model });
const { classes } = typed;

/** A network to train: `features` [N, ...dims] to `logits` [N, classes]. */
interface Trained {
  readonly name: string;
  readonly graph: Graph;
  readonly dims: readonly number[];
  readonly macs: number;
}

const heads = (['strided', 'conv2', 'residual'] as HeadKind[]).flatMap((kind) =>
  attachExits(plan, { kind, seed: 1 }).map(
    ({ exit, graph, macs }): Trained => ({ name: kind, graph, dims: exit.tap.dims, macs }),
  ),
);
const picture = { name: 'features', dims: [3, 32, 32], dataType: 'float' } as const;
/** Of about a tenth of ResNet-56: wide and soon small, and the form of ResNet-8. */
const students = ([['wide', 2], ['narrow', 1]] as const).map(([family, width]): Trained => {
  const preprocessing = resolvePreprocessing({ preset: 'imagenet' }, [picture]);
  const reads = { inputs: [picture], preprocessing, classes };
  const { graph, macs } = buildStudent(reads, { family, width, depth: 1 }, 1);
  return { name: `student, ${family}`, graph, dims: picture.dims, macs };
}); // biome-ignore format: pairs

/** The nodes that logits need, as pytorch-step.py reads them. */
function described({ graph }: Trained) {
  const { initializer } = indexGraph(graph);
  const last = graph.nodes.findIndex((node) => node.outputs.includes('logits'));
  return graph.nodes.slice(0, last + 1).map((node) => {
    const ints = (name: string) => (node.attributes[name]?.value as readonly number[] | undefined)?.[0];
    return {
      op: node.opType,
      inputs: node.inputs.filter((name) => name && !initializer.has(name)),
      output: node.outputs[0],
      weight: initializer.get(node.inputs[1] ?? '')?.dims,
      stride: ints('strides'),
      pad: ints('pads'),
    };
  });
}

/** Steps in PyTorch: milliseconds each. */
async function inPyTorch(network: Trained, threads: number) {
  const child = spawn(python, [join(dirname(fileURLToPath(import.meta.url)), 'pytorch-step.py')], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, OMP_NUM_THREADS: `${threads}` },
  });
  const lines = createInterface({ input: child.stdout });
  const ask = async (line: string) => {
    const answer = once(lines, 'line');
    child.stdin.write(`${line}\n`);
    return JSON.parse((await answer)[0] as string);
  };
  const { dims } = network;
  const about = await ask(
    JSON.stringify({ nodes: described(network), batch: BATCH, dims, classes, threads }),
  );
  return {
    about: `PyTorch ${about.version}, BLAS ${about.blas}, ${about.dnn}`,
    steps: (count: number): Promise<number[]> => ask(`${count}`),
    close: () => child.stdin.end(),
  };
}

/** The same here. */
async function inOfframp({ graph, dims }: Trained, threads: number) {
  const id = 'network';
  const random = new Random(1, 'bench');
  const floats = (dims: readonly number[]) =>
    new Tensor(
      'float32',
      Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => random.gaussian()),
      [...dims],
    );
  const feeds = {
    [`${id}/features`]: floats([BATCH, ...dims]),
    labels: new Tensor(
      'int64',
      BigInt64Array.from({ length: BATCH }, () => BigInt(random.integer(0, classes))),
      [BATCH],
    ),
    teacher: floats([BATCH, classes]),
    survivors: new Tensor('float32', [0], []),
  };
  const stepper = await Stepper.open(distill(joinHeads([{ id, graph }]), [id], classes), {
    batch: BATCH,
    seed: 1,
    weightDecay: 0.01,
    session: { threads },
  });
  return {
    async steps(count: number): Promise<number[]> {
      const times: number[] = [];
      for (let i = 0; i < count; i++) {
        const start = performance.now();
        await stepper.step(feeds, 1e-3);
        times.push(performance.now() - start);
      }
      return times;
    },
    close: () => stepper.close(),
  };
}

const rows: string[][] = [];
let about = '';
for (const network of [...students, ...heads])
  for (const threads of [1, 2]) {
    const [ours, theirs] = [await inOfframp(network, threads), await inPyTorch(network, threads)];
    about = theirs.about;
    const [mine, its]: [number[], number[]] = [[], []];
    for (let round = 0; round <= rounds; round++) {
      const [a, b] = [await ours.steps(STEPS), await theirs.steps(STEPS)];
      if (round === 0) continue;
      mine.push(...a);
      its.push(...b);
    }
    const [m, i] = [median(mine), median(its)];
    rows.push([
      network.name,
      `[${network.dims}]`,
      (network.macs / 1e6).toFixed(2),
      `${threads}`,
      m.toFixed(1),
      i.toFixed(1),
      (m / i).toFixed(2),
    ]);
    console.error(rows.at(-1)!.join('  '));
    await ours.close();
    theirs.close();
  }
const SHOWN = 8;
const profiles: string[][] = [];
for (const network of students) {
  const { byOp } = await profiled(async () => {
    const ours = await inOfframp(network, 2);
    await ours.steps(STEPS * rounds);
    await ours.close();
  });
  const all = [...byOp].sort((a, b) => b[1] - a[1]);
  const sum = all.reduce((total, [, ms]) => total + ms, 0);
  const most = all.slice(0, SHOWN);
  const rest = most.reduce((left, [, ms]) => left - ms, sum);
  for (const [op, ms] of [...most, ['all others', rest] as const])
    profiles.push([network.name, op, ms.toFixed(1), `${((100 * ms) / sum).toFixed(0)} %`]);
}

console.log(`# A training step against PyTorch

Made by \`npx tsx bench/pytorch.ts\`: forward, distillation loss, backward and AdamW of one head or student at batch ${BATCH}, medians of ${rounds * STEPS} steps, in turn on the same
threads. ${about}; eager, Debian's package. Processor: ${cpus()[0]!.model}.

${markdown([['network', 'reads', 'M MACs', 'threads', 'Offramp, ms', 'PyTorch, ms', 'ratio'], ...rows])}

Where the time of a student's step goes, by op, on two threads (ONNX Runtime's profile, medians of ${rounds * STEPS} steps):

${markdown([['network', 'op', 'ms', 'share'], ...profiles])}`);
process.exit();
