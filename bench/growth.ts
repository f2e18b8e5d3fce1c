/**
 * How time and memory grow with samples, taps, exits, classes and the size of the model: each swept by itself, each point in a process of its
 * own, with the exponent of the last half of the sweep. Prints the page and writes a chart of each sweep beside this file.
 *
 *   npx tsx bench/growth.ts      (Linux: memory is read from /proc)
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as echarts from 'echarts';
import { inferenceForm } from '../src/autodiff/training-form.ts';
import { type CostModel, searchPolicy } from '../src/calibrate/index.ts';
import { GraphBuilder, makeModel } from '../src/graph/builder.ts';
import { floatTensor } from '../src/graph/tensor.ts';
import type { Model } from '../src/graph/types.ts';
import { observeFacts } from '../src/model/observe-facts.ts';
import { Tensor, withSession } from '../src/ort/session.ts';
import { parseModel, serializeModel } from '../src/parser/index.ts';
import { attachExits } from '../src/passes/attach-exits.ts';
import type { Head } from '../src/passes/exits.ts';
import { lowerExits } from '../src/passes/lower-exits.ts';
import { runPasses } from '../src/passes/pass.ts';
import { planExits } from '../src/passes/plan-exits.ts';
import { distill, joinHeads } from '../src/train/losses.ts';
import { Stepper } from '../src/train/stepper.ts';
import { noise } from '../test/models.ts';
import { markdown } from './markdown.ts';

const SELF = fileURLToPath(import.meta.url);
const RUNS = 3;

/** [N, width] through `layers` of MatMul and Relu to `classes` scores. */
function chain(layers: number, width: number, classes: number): Model {
  const b = new GraphBuilder();
  const weight = (name: string, dims: number[]) =>
    b.initializer(
      floatTensor(
        name,
        dims,
        noise(dims[0]! * dims[1]!, 1).map((v) => v / Math.sqrt(dims[0]!)),
      ),
    );
  let x = b.input('x', 'float', ['N', width]);
  for (let i = 0; i < layers; i++)
    x = b.op('Relu', [b.op('MatMul', [x, weight(`w${i}`, [width, width])])], {}, `layer${i}`);
  b.op('MatMul', [x, weight('classifier', [width, classes])], {}, 'scores');
  b.output('scores', 'float', ['N', classes]);
  return makeModel(b.build('chain'), 17);
}

async function headsOf(model: Model, count: number) {
  const typed = await observeFacts(model);
  const heads = attachExits(planExits(typed, { exits: count }), { seed: 1 });
  return { typed, heads };
}

const inferred = (heads: readonly Head[]) =>
  heads.map((head) => ({ ...head, graph: runPasses(head.graph, [inferenceForm]) }));

/** `samples` with scores that tell a little of who is right. */
function outcomes(samples: number, exits: number) {
  const draw = (seed: number) => noise(samples, seed).map((v) => (v + 1) / 2);
  const hard = draw(1);
  const labels = new Int32Array(samples);
  const answers = Array.from({ length: exits }, (_, k) => {
    const luck = draw(2 + k);
    return Int32Array.from(hard, (h, i) => Number(h * luck[i]! > 0.2 + 0.2 * (k / exits)));
  });
  const scores = Array.from({ length: exits }, (_, k) => {
    const luck = draw(50 + k);
    return Float32Array.from(hard, (h, i) => 1 - (0.7 * h + 0.3 * luck[i]!));
  });
  const original = Int32Array.from(hard, (h) => Number(h > 0.95));
  return { scores, answers, original, labels };
}

const costs = (exits: number): CostModel => ({
  exits: Array.from({ length: exits }, (_, k) => ({ network: 0, prefix: (k + 1) / (exits + 1), head: 0.02 })),
  networks: [1],
});

interface Sweep {
  readonly title: string;
  readonly axis: string;
  readonly at: readonly number[];
  /** What is timed at a size: made ready first. */
  readonly ready: (size: number) => Promise<() => unknown>;
}

const SWEEPS: Record<string, Sweep> = {
  samples: {
    title: 'searching all thresholds of three exits',
    axis: 'calibration samples',
    at: [1000, 3000, 10_000, 30_000, 100_000],
    ready: async (size) => {
      const seen = outcomes(size, 3);
      return () => searchPolicy(() => seen, costs(3), { target: 'accuracy' });
    },
  },
  taps: {
    title: 'observing, planning and lowering three exits',
    axis: 'layers, each with two taps',
    at: [8, 16, 32, 64, 128, 256],
    ready: async (size) => {
      const model = chain(size, 64, 10);
      return async () => {
        const { typed, heads } = await headsOf(model, 3);
        serializeModel(lowerExits(typed, inferred(heads), { policy: 'max-prob' }));
      };
    },
  },
  exits: {
    title: 'lowering exits and opening a session on the result',
    axis: 'exits',
    at: [1, 2, 4, 8, 16],
    ready: async (size) => {
      const { typed, heads } = await headsOf(chain(64, 64, 10), size);
      return () =>
        withSession(
          lowerExits(typed, inferred(heads), { policy: 'max-prob' }),
          { threads: 2 },
          async () => {},
        );
    },
  },
  'exits searched': {
    title: 'searching all thresholds on 3,000 samples',
    axis: 'exits',
    at: [1, 2, 3, 4, 6, 8],
    ready: async (size) => {
      const seen = outcomes(3000, size);
      return () => searchPolicy(() => seen, costs(size), { target: 'accuracy' });
    },
  },
  classes: {
    title: 'ten training steps of a head, batch 128',
    axis: 'classes',
    at: [10, 30, 100, 300, 1000, 3000, 10_000],
    ready: async (size) => {
      const { heads } = await headsOf(chain(8, 64, size), 1);
      const [{ exit, graph }] = heads as [Head];
      const step = distill(joinHeads([{ id: exit.id, graph }]), [exit.id], size);
      const stepper = await Stepper.open(step, {
        batch: 128,
        seed: 1,
        weightDecay: 0.01,
        session: { threads: 2 },
      });
      const feeds = {
        [`${exit.id}/features`]: new Tensor('float32', noise(128 * 64, 1), [128, 64]),
        labels: new Tensor('int64', new BigInt64Array(128), [128]),
        teacher: new Tensor('float32', noise(128 * size, 2), [128, size]),
        survivors: new Tensor('float32', [0], []),
      };
      return async () => {
        for (let i = 0; i < 10; i++) await stepper.step(feeds, 1e-3);
      };
    },
  },
  'model size': {
    title: 'parsing and serializing a model that was changed',
    axis: 'megabytes of weights',
    at: [1, 4, 16, 64, 256],
    ready: async (size) => {
      const bytes = serializeModel(chain(16, Math.round(Math.sqrt((size * 1e6) / 64)), 10));
      return () => {
        const model = parseModel(bytes);
        serializeModel({ ...model, graph: { ...model.graph, name: 'changed' } });
      };
    },
  },
};

const [name, size] = process.argv.slice(2);
if (name && size) {
  const act = await SWEEPS[name]!.ready(Number(size));
  globalThis.gc!();
  // Forgets the peak so far (proc(5)): what made the input ready is not what is measured.
  writeFileSync('/proc/self/clear_refs', '5');
  const before = resident('VmRSS');
  const times: number[] = [];
  for (let i = 0; i < RUNS; i++) {
    const start = performance.now();
    await act();
    times.push(performance.now() - start);
  }
  const megabytes = Math.max(0, resident('VmHWM') - before);
  console.log(JSON.stringify({ ms: times.sort((a, b) => a - b)[RUNS >> 1], megabytes }));
  process.exit();
}

/** MiB that /proc/self/status has under `name`. */
function resident(name: 'VmRSS' | 'VmHWM'): number {
  const kilobytes = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(
    readFileSync('/proc/self/status', 'utf8'),
  )![1];
  return Number(kilobytes) / 1024;
}

interface Point {
  readonly size: number;
  readonly ms: number;
  readonly megabytes: number;
}

/** Slope of log y over log size, least squares, of the last half of the sweep. */
function exponent(points: readonly Point[], of: 'ms' | 'megabytes'): number {
  const last = points.slice(-Math.ceil((points.length + 1) / 2));
  const x = last.map((p) => Math.log(p.size));
  const y = last.map((p) => Math.log(Math.max(p[of], 1e-3)));
  const mean = (list: number[]) => list.reduce((a, b) => a + b, 0) / list.length;
  const [mx, my] = [mean(x), mean(y)];
  return (
    x.reduce((sum, v, i) => sum + (v - mx) * (y[i]! - my), 0) / x.reduce((sum, v) => sum + (v - mx) ** 2, 0)
  );
}

function chart({ title, axis }: Sweep, points: readonly Point[]): string {
  const drawn = echarts.init(null, null, { renderer: 'svg', ssr: true, width: 560, height: 320 });
  const line = (name: string, of: 'ms' | 'megabytes') => ({
    name,
    type: 'line' as const,
    data: points.map((p) => [p.size, Math.max(p[of], 0.1)]),
  });
  drawn.setOption({
    animation: false,
    backgroundColor: '#fff',
    title: { text: title, left: 'center', textStyle: { fontSize: 13 } },
    legend: { bottom: 0 },
    xAxis: { type: 'log', name: axis, nameLocation: 'middle', nameGap: 26 },
    yAxis: { type: 'log' },
    grid: { bottom: 76 },
    series: [line('milliseconds', 'ms'), line('MiB more than before', 'megabytes')],
  });
  const svg = drawn.renderToSVGString();
  drawn.dispose();
  return svg;
}

const sections = Object.entries(SWEEPS).map(([name, sweep]) => {
  const points = sweep.at.map((at): Point => {
    const out = execFileSync('node', ['--expose-gc', '--import', 'tsx', SELF, name, `${at}`], {
      encoding: 'utf8',
    });
    return { size: at, ...(JSON.parse(out) as { ms: number; megabytes: number }) };
  });
  const file = `growth-${name.replaceAll(' ', '-')}.svg`;
  writeFileSync(join(dirname(SELF), file), chart(sweep, points));
  console.error(name, points.map((p) => `${p.size}: ${p.ms.toFixed(0)} ms`).join(', '));
  return `## ${name}: ${sweep.title}

Time grows as ${sweep.axis} to the power of ${exponent(points, 'ms').toFixed(2)}, memory ${exponent(points, 'megabytes').toFixed(2)}.

${markdown([
  [sweep.axis, ...points.map((p) => p.size.toLocaleString('en'))],
  ['ms', ...points.map((p) => p.ms.toFixed(p.ms < 10 ? 1 : 0))],
  ['MiB', ...points.map((p) => p.megabytes.toFixed(0))],
])}

![${name}](${file})
`;
});
console.log(
  `# How it grows

Made by \`npx tsx bench/growth.ts\`: medians of ${RUNS} runs in a process of its own for each point; memory is the peak over what the process
had before the first run. Exponents are of the last half of each sweep, where fixed costs weigh least. What grows with samples besides is in
[features-memory.md](features-memory.md).

${sections.join('\n')}`,
);
