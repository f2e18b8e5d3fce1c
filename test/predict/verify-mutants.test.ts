/** The proof itself is tried: emitted models that are wrong in one place, each of which must be refused. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { CLOSED } from '../../src/calibrate/types.ts';
import type { Dataset } from '../../src/data/index.ts';
import { GraphBuilder, makeNode, makeValue } from '../../src/graph/builder.ts';
import { toFloat32Array } from '../../src/graph/tensor.ts';
import type { Graph, Model, Node, Tensor } from '../../src/graph/types.ts';
import { allNames, mapSubgraphs } from '../../src/graph/walk.ts';
import { parseModel, serializeModel } from '../../src/parser/index.ts';
import { lowerExits } from '../../src/passes/lower-exits.ts';
import { type FittedPolicy, fitPolicy } from '../../src/predict/fitted-policy.ts';
import { outcomesAt } from '../../src/predict/outcomes.ts';
import { type Predictions, predict } from '../../src/predict/predict.ts';
import { type Verification, verifyEmitted } from '../../src/predict/verify.ts';
import { ofOriginal } from '../calibrate/simulate.ts';
import { rejectsWith } from '../expect.ts';
import { tinyResidual } from '../models.ts';
import { COUNT, midway, prepareVaried, SAMPLE, samples } from '../passes/by-hand.ts';

const test = suite('wrong emitted models');

const COSTS = ofOriginal([0.2, 0.5, 0.8], [0.05, 0.05, 0.05]);

function datasetOf(pixels: Float32Array): Dataset {
  const size = pixels.length / SAMPLE;
  return {
    size,
    labels: Int32Array.from({ length: size }, (_, i) => i % 5),
    hash: 'mutants',
    inputs: [{ name: 'image', dims: [3, 8, 8], dataType: 'float' }],
    read: async (picks: ArrayLike<number>) => {
      const rows = new Float32Array(picks.length * SAMPLE);
      for (let n = 0; n < picks.length; n++)
        rows.set(pixels.subarray(picks[n]! * SAMPLE, (picks[n]! + 1) * SAMPLE), n * SAMPLE);
      return rows;
    },
    close: async () => {},
  } as unknown as Dataset;
}

interface Wanted {
  readonly activation?: 'Softmax' | 'LogSoftmax';
  /** Adds outputs of the original's. */
  readonly more?: (b: GraphBuilder) => void;
  readonly policy?: FittedPolicy['policy'];
  readonly final?: number;
  readonly baked?: boolean;
  readonly batch?: 1;
  /** Scores are half floats. */
  readonly half?: boolean;
  readonly pixels?: Float32Array;
}

function original({ activation, more, batch, half }: Wanted): Model {
  const model = tinyResidual({ batch: batch ?? 'N' });
  const b = new GraphBuilder('', allNames(model.graph));
  const graph = model.graph;
  if (activation) {
    b.op(activation, ['scores'], { axis: 1 }, 'probabilities');
    b.output('probabilities', 'float', [batch ?? 'N', 5]);
  } else if (half) b.output(b.op('Cast', ['scores'], { to: 10 }, 'half'), 'float16', ['N', 5]);
  else b.output('scores', 'float', [batch ?? 'N', 5]);
  more?.(b);
  return {
    ...model,
    graph: {
      ...graph,
      nodes: [...graph.nodes, ...b.nodes],
      initializers: [...graph.initializers, ...b.initializers],
      outputs: b.outputs,
    },
  };
}

const prepared = new Map<string, ReturnType<typeof prepareVaried>>();

/** The original and its heads, made once for all that differ in other things. */
function preparedFor(wanted: Wanted): ReturnType<typeof prepareVaried> {
  const { activation, more, batch, half } = wanted;
  const key = [activation, more !== undefined, batch, half].join();
  const known = prepared.get(key) ?? prepareVaried(original(wanted));
  prepared.set(key, known);
  return known;
}

/** A correct emitted model and everything that the proof needs. */
async function provable(wanted: Wanted): Promise<Verification> {
  const { typed, heads } = await preparedFor(wanted);
  const dataset = datasetOf(wanted.pixels ?? samples);
  const run = (data: Dataset): Promise<Predictions> =>
    predict(heads, data, { typed, modelHash: 'tiny', session: { threads: 1 } });
  const predictions = await run(dataset);
  let alone: Promise<Predictions> | undefined;
  const fitted = fitPolicy(wanted.policy ?? 'max-prob', predictions, COSTS);
  const fittedPolicy = { ...fitted, final: wanted.final };
  const outcomes = outcomesAt(predictions, fittedPolicy);
  const open = outcomes([0, 0, 0]).scores.map((scores) => midway(scores, 0.6));
  return {
    typed,
    networks: [{ typed, heads }],
    dataset,
    outcomes,
    predictions,
    predictAlone: (part) => (alone ??= run(part)),
    model: serializeModel(
      lowerExits(typed, heads, {
        ...fittedPolicy,
        baked: wanted.baked ? open : undefined,
        dropOutputs: true,
      }),
    ),
    thresholds: wanted.baked ? [open] : [[CLOSED, CLOSED, CLOSED]],
    baked: wanted.baked ?? false,
    session: { threads: 1 },
    effort: 'some',
  };
}

type Change = (graph: Graph) => Graph;

/** Whatever is made by `node` and `tensor` of every node and initializer, inside branches too. */
function everywhere({
  node = (n) => n,
  tensor = (t) => t,
}: {
  readonly node?: (node: Node) => Node;
  readonly tensor?: (tensor: Tensor) => Tensor;
}): Change {
  return function change(graph) {
    return {
      ...graph,
      nodes: graph.nodes.map((n) => node(mapSubgraphs(n, change))),
      initializers: graph.initializers.map(tensor),
    };
  };
}

/** The elements of initializer `name`, changed. */
const weights = (name: string, change: (values: Float32Array) => ArrayLike<number>): Change =>
  everywhere({
    tensor: (t) => {
      if (t.name !== name) return t;
      const values = Float32Array.from(change(Float32Array.from(toFloat32Array(t))));
      return { ...t, bytes: new Uint8Array(values.buffer) };
    },
  });

const set = (at: number, value: number) => (values: Float32Array) =>
  values.map((v, i) => (i === at ? value : v));

/** Output `name` of the model is what `change` makes of it. */
const output =
  (
    name: string,
    change: (b: GraphBuilder, value: string) => [op: string, inputs: string[], attributes?: object],
  ): Change =>
  (graph) => {
    const b = new GraphBuilder('mutant/', allNames(graph));
    const before = b.fresh('before');
    const [op, inputs, attributes = {}] = change(b, before);
    const nodes = graph.nodes.map((n) => ({
      ...n,
      outputs: n.outputs.map((o) => (o === name ? before : o)),
    }));
    return {
      ...graph,
      nodes: [
        ...nodes,
        ...b.nodes,
        { ...makeNode(op, inputs, [name], attributes as Record<string, number>), name: 'mutant' },
      ],
      initializers: [...graph.initializers, ...b.initializers],
    };
  };

const opOf = (from: string, to: string, which: (node: Node) => boolean = () => true): Change =>
  everywhere({
    node: (n) =>
      n.opType === from && which(n)
        ? { ...n, opType: to, attributes: to === 'Identity' ? {} : n.attributes }
        : n,
  });

const rotate = (rows: number) => (values: Float32Array) => {
  const width = values.length / rows;
  return [...values.slice(width), ...values.slice(0, width)];
};
const rotated =
  (exit: string): Change =>
  (graph) =>
    weights(`${exit}/classifier/bias`, rotate(5))(weights(`${exit}/classifier/weight`, rotate(5))(graph));

/** Rows of `value` in the opposite order: a batch of one is left as it is. */
const reversed = (b: GraphBuilder, value: string): [string, string[]] => [
  'Slice',
  [value, ...[[-1], [-1000], [0], [-1]].map((list) => b.int64(list))],
];

/** Every `Greater` that compares the score of `exit` has `other` in place of its threshold. */
const threshold = (exit: string, change: (graph: Graph, threshold: string) => Node): Change =>
  function replace(graph): Graph {
    const nodes = graph.nodes.flatMap((n) => {
      const inside = mapSubgraphs(n, replace);
      if (n.opType !== 'Greater' || !n.inputs[0]!.startsWith(`${exit}/`)) return [inside];
      const made = change(graph, n.inputs[1]!);
      return [made, { ...inside, inputs: [n.inputs[0]!, made.outputs[0]!] }];
    });
    return { ...graph, nodes };
  };
const constant = (value: number) => (_: Graph, was: string) =>
  makeNode('Constant', [], [`${was}/mutant`], { value_float: { type: 'FLOAT', value } as never });

const LABEL = (b: GraphBuilder) => {
  b.op('ArgMax', ['scores'], { axis: 1, keepdims: 0 }, 'label');
  b.output('label', 'int64', ['N']);
};
const EARLY = (b: GraphBuilder) => {
  b.op('ReduceMean', ['stem'], { axes: [3], keepdims: 0 }, 'early');
  b.output('early', 'float', ['N', 8, 8]);
};
/** Is lost to a sample that leaves early. */
const LATE = (b: GraphBuilder) => {
  b.op('ReduceMean', ['block3'], { axes: [3], keepdims: 0 }, 'late');
  b.output('late', 'float', ['N', 16, 4]);
};
/** Grows faster than the logits do. */
const ODDS = (b: GraphBuilder) => {
  b.op(
    'Mul',
    [b.op('Exp', [b.op('ReduceMax', ['scores'], { axes: [1], keepdims: 0 })]), b.float(1e4)],
    {},
    'odds',
  );
  b.output('odds', 'float', ['N']);
};
const ALL = (b: GraphBuilder) => {
  for (const add of [LABEL, LATE, EARLY, ODDS]) add(b);
};

/** An exit that is open leaves the memory of the policy as it was, as a closed one does. */
const stale = (exit: string): Change =>
  everywhere({
    node: (n) => {
      const closed = n.attributes.else_branch;
      const open = n.attributes.then_branch;
      if (n.outputs.length !== 3 || !n.outputs[1]!.startsWith(`${exit}/score`)) return n;
      if (closed?.type !== 'GRAPH' || open?.type !== 'GRAPH') return n;
      const same = closed.value.nodes.find((m) => m.outputs[0] === closed.value.outputs[2]!.name)!;
      const now = open.value.outputs[2]!.name;
      const name = `${exit}/stale`;
      // Before the first exit there is none: the closed branch makes zeros.
      const old =
        same.opType === 'Identity'
          ? makeNode('Identity', same.inputs, [name])
          : makeNode('Sub', [now, now], [name]);
      const value: Graph = {
        ...open.value,
        nodes: [...open.value.nodes, old],
        outputs: [...open.value.outputs.slice(0, 2), { ...open.value.outputs[2]!, name }],
      };
      return { ...n, attributes: { ...n.attributes, then_branch: { type: 'GRAPH', value } } };
    },
  });

const MUTANTS: Record<string, [Wanted, Record<string, Change>]> = {
  logits: [
    {},
    {
      'classes of the first exit rotated': rotated('exit_1'),
      'classes of the last exit rotated': rotated('exit_3'),
      'a bias of a head NaN': weights('exit_2/classifier/bias', set(1, Number.NaN)),
      'a bias of the original NaN': weights('fc.bias', set(4, Number.NaN)),
      'a bias of a head infinite': weights('exit_1/classifier/bias', set(3, Number.NEGATIVE_INFINITY)),
      'a weight of the original infinite': weights('fc.weight', set(7, Number.POSITIVE_INFINITY)),
      'a weight of a head changed': weights('exit_2/classifier/weight', (w) => set(5, w[5]! * 1.05)(w)),
      'two weights of a head swapped': weights('exit_3/classifier/weight', (w) =>
        set(0, w[1]!)(set(1, w[0]!)(w)),
      ),
      'a weight behind the last exit changed': weights('fc.weight', (w) => set(9, w[9]! + 0.01)(w)),
      'exit_index off by one': output('exit_index', (b, v) => ['Add', [v, b.int64(1)]]),
      'exit_index as int32': (graph) => {
        const changed = output('exit_index', (_, v) => ['Cast', [v], { to: 6 }])(graph);
        const outputs = graph.outputs.map((v) =>
          v.name === 'exit_index' ? makeValue(v.name, 'int32', ['N']) : v,
        );
        return { ...changed, outputs };
      },
      'rows of the scores swapped in a batch': output('scores', reversed),
      'rows of exit_index swapped in a batch': output('exit_index', reversed),
      'the confidence less than it is': output('exit_confidence', (b, v) => ['Mul', [v, b.float(0.99)]]),
      'the confidence 1 - it': output('exit_confidence', (b, v) => ['Sub', [b.float(1), v]]),
      'the confidence with a second axis': output('exit_confidence', (b, v) => [
        'Reshape',
        [v, b.int64([-1, 1])],
      ]),
      'scores of another shape': output('scores', (b, v) => ['Reshape', [v, b.int64([-1, 5, 1])]]),
      'the first threshold ignored': threshold('exit_1', constant(0.5)),
      'the last threshold ignored': threshold('exit_3', constant(-1)),
      'a threshold that nothing exceeds': threshold('exit_2', constant(2)),
      'a threshold a little higher': threshold('exit_2', (_, was) =>
        makeNode('Mul', [was, was], [`${was}/mutant`]),
      ),
      'an output more': (graph) => ({
        ...graph,
        nodes: [...graph.nodes, makeNode('Identity', ['scores'], ['again'])],
        outputs: [...graph.outputs, makeValue('again', 'float', ['N', 5])],
      }),
    },
  ],
  softmax: [
    { activation: 'Softmax', more: ALL },
    {
      'classes of an exit rotated': rotated('exit_2'),
      'a bias of a head NaN': weights('exit_2/classifier/bias', set(1, Number.NaN)),
      'LogSoftmax for Softmax': opOf('Softmax', 'LogSoftmax', (n) => n.outputs[0] === 'probabilities'),
      'Softmax missing': opOf('Softmax', 'Identity', (n) => n.outputs[0] === 'probabilities'),
      'an output of the original dropped': (graph) => ({
        ...graph,
        outputs: graph.outputs.filter(({ name }) => name !== 'early'),
      }),
      'an output of the original changed': output('early', (b, v) => ['Mul', [v, b.float(1.001)]]),
      'an output derived from the logits changed': opOf('ArgMax', 'ArgMin', (n) => n.outputs[0] === 'label'),
      'one that grows fast changed': output('odds', (b, v) => ['Mul', [v, b.float(1.05)]]),
      'rows of another output swapped in a batch': output('early', reversed),
      'outputs in another order': (graph) => ({ ...graph, outputs: [...graph.outputs].reverse() }),
    },
  ],
  'log-softmax': [
    { activation: 'LogSoftmax' },
    {
      'classes of an exit rotated': rotated('exit_1'),
      'Softmax for LogSoftmax': opOf('LogSoftmax', 'Softmax'),
    },
  ],
  'an ensembled final answer': [
    { policy: 'max-prob', final: 0.3 },
    {
      'the weight of the exits another': everywhere({
        tensor: (t) => {
          const isWeight = t.dataType === 'float' && t.dims.length === 0;
          if (!isWeight || toFloat32Array(t)[0] !== Math.fround(0.3)) return t;
          return { ...t, bytes: new Uint8Array(Float32Array.of(0.35).buffer) };
        },
      }),
      'a weight of the original changed': weights('fc.weight', (w) => set(9, w[9]! + 0.1)(w)),
      'the second exit forgotten': stale('exit_2'),
    },
  ],
  patience: [{ policy: 'patience' }, { 'the second exit forgotten': stale('exit_2') }],
  ensemble: [{ policy: 'ensemble' }, { 'the first exit forgotten': stale('exit_1') }],
  'thresholds built in': [
    { baked: true },
    {
      'a threshold a little higher': everywhere({
        tensor: (t) => {
          const value = t.dataType === 'float' && t.dims.join() === '1' ? toFloat32Array(t)[0]! : 0;
          if (!(value > 0 && value < 1)) return t;
          return { ...t, bytes: new Uint8Array(Float32Array.of(value + 0.05).buffer) };
        },
      }),
    },
  ],
  'half floats': [
    { half: true },
    {
      'classes of an exit rotated': rotated('exit_1'),
      'a bias of a head NaN': weights('exit_3/classifier/bias', set(1, Number.NaN)),
      'scores as float': (graph) => {
        const changed = output('half', (_, v) => ['Cast', [v], { to: 1 }])(graph);
        return {
          ...changed,
          outputs: graph.outputs.map((v) => (v.name === 'half' ? makeValue('half', 'float', ['N', 5]) : v)),
        };
      },
    },
  ],
  'a batch of one': [{ batch: 1 }, { 'classes of an exit rotated': rotated('exit_2') }],
};

for (const [name, [wanted, mutants]] of Object.entries(MUTANTS)) {
  test(`${name}: the right model passes, and each wrong one is refused`, async () => {
    const verification = await provable(wanted);
    const { compared } = await verifyEmitted(verification);
    assert.ok(compared >= (verification.baked || wanted.batch ? COUNT : 2 * COUNT), `${compared}`);
    for (const [mutant, change] of Object.entries(mutants)) {
      const right = parseModel(verification.model);
      const graph = change(right.graph);
      const model = serializeModel({ ...right, graph });
      assert.ok(Buffer.compare(model, verification.model) !== 0, `${mutant}: nothing was changed`);
      await rejectsWith('emitted-model-differs', () => verifyEmitted({ ...verification, model })).catch(
        (error) => {
          throw new Error(`${mutant}: ${error.message}`, { cause: error });
        },
      );
    }
  });
}

test('a sample that the original answers by NaN is the same as itself, and as nothing else', async () => {
  const pixels = Float32Array.from(samples);
  pixels[3 * SAMPLE + 7] = Number.NaN;
  const verification = await provable({ pixels });
  assert.ok(Number.isNaN(verification.predictions.original[3 * 5]));
  const { deviation } = await verifyEmitted(verification);
  assert.ok(deviation! < 1e-6, `${deviation}`);
  const right = parseModel(verification.model);
  const hidden = output('scores', (b, v) => {
    const odd = b.op('IsNaN', [v]);
    return ['Where', [odd, b.float(0), v]];
  });
  const model = serializeModel({ ...right, graph: hidden(right.graph) });
  const error = await rejectsWith('emitted-model-differs', () => verifyEmitted({ ...verification, model }));
  assert.match(error.message, /sample 3 in a batch of 1: scores is NaN or infinite in another place/);
});

test.run();
