/**
 * What each way of writing a training step is worth: the same step of the same heads, in turn. `strided` heads, batch 128, AdamW.
 *
 *   npx tsx bench/step-parts.ts [model.onnx]      ROUNDS=12
 */

import { differentiate } from '../src/autodiff/differentiate.ts';
import { adamw } from '../src/autodiff/optimizer.ts';
import { enterRows, leaveRows } from '../src/autodiff/rows-form.ts';
import { trainingForm } from '../src/autodiff/training-form.ts';
import { makeModel, makeNode, makeValue } from '../src/graph/builder.ts';
import { bindDims, TypedBuilder } from '../src/graph/infer.ts';
import { prune } from '../src/graph/prune.ts';
import { Random } from '../src/graph/random.ts';
import { elementCount, int64Tensor } from '../src/graph/tensor.ts';
import type { Graph, ValueInfo } from '../src/graph/types.ts';
import { inspectFile } from '../src/model/inspect.ts';
import { type Feeds, Session, Tensor } from '../src/ort/session.ts';
import { attachExits } from '../src/passes/attach-exits.ts';
import type { Head } from '../src/passes/exits.ts';
import { type Pass, runPasses } from '../src/passes/pass.ts';
import { distill, joinHeads, LOSS } from '../src/train/losses.ts';
import { trainable } from '../src/train/stepper.ts';
import { markdown } from './markdown.ts';
import { median } from './median.ts';

const NEXT = 'next/';
const BATCH = 128;
const RUNS_A_ROUND = 3;
/** Steps of one run, where it makes several. */
const STEPS = 4;
const rounds = Number(process.env.ROUNDS ?? 12);
const [model = '../shared/data/models/resnet56.onnx'] = process.argv.slice(2);
const { plan, typed } = await inspectFile({ model });

/** AdamW for every parameter by itself: what one vector of all of them is compared with. */
const adamwOneByOne = (names: readonly string[]): Pass => ({
  name: 'adamw-one-by-one',
  run(graph) {
    const b = new TypedBuilder('adamw/', graph);
    const rate = b.input('learning_rate', 'float', []);
    const mul = (x: string, y: string) => b.op('Mul', [x, y]);
    const outputs = names.flatMap((name) => {
      const { dims } = graph.initializers.find((t) => t.name === name)!;
      const [m, v] = [`${name}/m`, `${name}/v`].map((state) => b.input(state, 'float', dims)) as [
        string,
        string,
      ];
      const g = `grad/${name}`;
      const average = (old: string, beta: number, value: string, as: string) =>
        b.op('Add', [mul(old, b.float(beta)), mul(value, b.float(1 - beta))], {}, as);
      const nextM = average(m, 0.9, g, `next/${m}`);
      const nextV = average(v, 0.999, mul(g, g), `next/${v}`);
      const adam = b.op('Div', [nextM, b.op('Add', [b.op('Sqrt', [nextV]), b.float(1e-8)])]);
      const step = b.op('Add', [adam, mul(name, b.float(0.01))]);
      b.op('Sub', [name, mul(step, rate)], {}, `next/${name}`);
      return [name, m, v].map((state) => makeValue(`next/${state}`, 'float', dims));
    });
    const moved = graph.initializers.filter((t) => names.includes(t.name));
    return {
      ...graph,
      nodes: [...graph.nodes, ...b.nodes],
      initializers: [...graph.initializers.filter((t) => !names.includes(t.name)), ...b.initializers],
      inputs: [...graph.inputs, ...b.inputs, ...moved.map((t) => makeValue(t.name, 'float', t.dims))],
      outputs: [...graph.outputs.filter((v) => !v.name.startsWith('grad/')), ...outputs],
    };
  },
});

/** `names` fed instead of kept: ONNX Runtime prepares ahead what is constant. */
const fed = (graph: Graph, names: readonly string[]): Graph => ({
  ...graph,
  initializers: graph.initializers.filter((t) => !names.includes(t.name)),
  inputs: [
    ...graph.inputs,
    ...graph.initializers
      .filter((t) => names.includes(t.name))
      .map((t) => makeValue(t.name, 'float', t.dims)),
  ],
});

const isState = ({ name }: ValueInfo) => name.startsWith(NEXT);
/** Names of what goes in with the batch and comes out a step further. */
const stateOf = ({ outputs }: Graph) => outputs.filter(isState).map(({ name }) => name.slice(NEXT.length));

/** `step` as the body of a Loop: its batches come stacked, [STEPS, …], its state goes round inside. */
function looped(step: Graph): Graph {
  const state = stateOf(step);
  const [carried, fed] = [true, false].map((is) =>
    step.inputs.filter((v) => state.includes(v.name) === is),
  ) as [ValueInfo[], ValueInfo[]];
  const one = fed.map(({ name }) => makeNode('Gather', [`${name}/all`, 'iteration'], [name], { axis: 0 }));
  const body: Graph = {
    ...step,
    nodes: [...one, ...step.nodes, makeNode('Identity', ['condition'], ['condition/next'])],
    initializers: [],
    inputs: [makeValue('iteration', 'int64', []), makeValue('condition', 'bool', []), ...carried],
    outputs: [makeValue('condition/next', 'bool', []), ...step.outputs.filter(isState)],
  };
  const times = [
    int64Tensor('steps', [], [STEPS]),
    { ...int64Tensor('yes', [], [1]), dataType: 'bool' as const, bytes: Uint8Array.of(1) },
  ];
  const named = (suffix: string) => carried.map((v) => ({ ...v, name: `${v.name}/${suffix}` }));
  const [first, last] = [named('first'), named('last')];
  const inputs = ['steps', 'yes', ...first.map((v) => v.name)];
  return {
    ...step,
    nodes: [
      makeNode(
        'Loop',
        inputs,
        last.map((v) => v.name),
        { body },
      ),
    ],
    initializers: [...step.initializers, ...times],
    inputs: [
      ...fed.map((v) => makeValue(`${v.name}/all`, v.type!.dataType, [STEPS, ...v.type!.dims!])),
      ...first,
    ],
    outputs: last,
  };
}

/** What `step` takes and gives, and nothing done in between. */
function crossing(step: Graph): Graph {
  const nodes = step.outputs.map(({ name }) =>
    isState({ name, type: undefined })
      ? makeNode('Identity', [name.slice(NEXT.length)], [name])
      : makeNode('ReduceMax', ['learning_rate'], [name], { keepdims: 0 }),
  );
  return { ...step, nodes, initializers: [] };
}

function feedsFor(graph: Graph): Feeds {
  const random = new Random(1, 'bench');
  return Object.fromEntries(
    graph.inputs.map(({ name, type }) => {
      const dims = type!.dims as number[];
      const n = elementCount(dims);
      if (type!.dataType === 'int64')
        return [
          name,
          new Tensor(
            'int64',
            BigInt64Array.from({ length: n }, () => BigInt(random.integer(0, typed.classes))),
            dims,
          ),
        ];
      const value = () => (/features|teacher|parameters|weight/.test(name) ? 0.1 * random.gaussian() : 1);
      return [name, new Tensor('float32', Float32Array.from({ length: n }, value), dims)];
    }),
  );
}

/** Every form of a step of `head`. */
function formsOf(head: Head): Record<string, Graph> {
  const { id } = head.exit;
  const graph = bindDims(distill(joinHeads([{ id, graph: head.graph }]), [id], typed.classes), { N: BATCH });
  const names = trainable(graph);
  const gradients = differentiate({ loss: LOSS, wrt: names });
  const training = trainingForm({ seed: 1 });
  const packed = adamw({ parameters: names.map((name) => ({ name, decay: name.endsWith('/weight') })) });
  const kept = (made: Graph) =>
    prune({ ...made, outputs: made.outputs.filter((v) => v.name === LOSS || /^(next|grad)\//.test(v.name)) });
  const rows = runPasses(graph, [training, enterRows, gradients, leaveRows]);
  const step = kept(runPasses(rows, [packed]));
  return {
    used: step,
    maps: kept(runPasses(graph, [training, gradients, packed])),
    'update one by one': kept(runPasses(rows, [adamwOneByOne(names)])),
    'without update': kept(fed(rows, names)),
    'several a run': looped(step),
    crossing: crossing(step),
  };
}

const rows: string[][] = [];
for (const head of attachExits(plan, { kind: 'strided', seed: 1 }))
  for (const threads of [1, 2]) {
    const forms = await Promise.all(
      Object.entries(formsOf(head)).map(async ([name, graph]) => ({
        name,
        session: await Session.open(makeModel(graph), { threads }),
        feeds: feedsFor(graph),
        steps: name === 'several a run' ? STEPS : 1,
        times: [] as number[],
      })),
    );
    for (let round = 0; round <= rounds; round++)
      for (const { session, feeds, steps, times } of forms)
        for (let run = 0; run < RUNS_A_ROUND; run++) {
          const start = performance.now();
          await session.run(feeds);
          if (round > 0) times.push((performance.now() - start) / steps);
        }
    for (const { session } of forms) await session.release();
    const ms = forms.map(({ times }) => median(times));
    rows.push([
      `[${head.exit.tap.dims}]`,
      `${threads}`,
      ...ms.map((value) => value.toFixed(value < 1 ? 2 : 1)),
    ]);
    console.error(rows.at(-1)!.join('  '));
  }

console.log(`# What each way of writing a training step is worth

Made by \`npx tsx bench/step-parts.ts\`: milliseconds a step of \`strided\` heads, batch ${BATCH}, medians of ${rounds * RUNS_A_ROUND} runs in turn. *Used*: as heads are trained: in
rows, weight gradients as products of the columns that the forward pass unfolded, AdamW over one vector of all parameters. *Maps*: convolutions and
their gradients as ONNX convolutions. *One by one*: AdamW for every parameter by itself. *Without update*: gradients only. *Several a run*: a Loop
of ${STEPS} steps, whose batches are fed at once. *Crossing*: a run that takes and gives what a step does, and computes nothing: copies and calls.

${markdown([['features', 'threads', 'used', 'maps', 'one by one', 'without update', 'several a run', 'crossing'], ...rows])}`);
