/** Runs training steps in ONNX Runtime: parameters, moments and statistics are inputs of a step's graph and, updated, its outputs. */

import { enterBlocked, leaveBlocked } from '../autodiff/blocked-form.ts';
import { differentiate } from '../autodiff/differentiate.ts';
import { adamw, biasCorrection, packParameters, sgd, unpackParameters } from '../autodiff/optimizer.ts';
import { enterRows, leaveRows } from '../autodiff/rows-form.ts';
import { trainingForm } from '../autodiff/training-form.ts';
import { makeModel } from '../graph/builder.ts';
import { bindDims } from '../graph/infer.ts';
import { prune } from '../graph/prune.ts';
import { toFloat32Array } from '../graph/tensor.ts';
import type { Graph } from '../graph/types.ts';
import { dependents, indexGraph } from '../graph/walk.ts';
import { blockedChannels } from '../ort/blocked-layout.ts';
import { type Feeds, type Outputs, Session, type SessionOptions, Tensor } from '../ort/session.ts';
import { runPasses } from '../passes/pass.ts';
import { LOSS } from './losses.ts';

/** Optimizers, and what else they read in step 1, 2, …. */
const OPTIMIZERS = {
  adamw: {
    pass: adamw,
    feeds: (step: number): Feeds => ({ bias_correction: new Tensor('float32', biasCorrection(step), [2]) }),
  },
  /** With Nesterov's momentum .9. */
  sgd: { pass: sgd, feeds: (): Feeds => ({}) },
};

export interface StepperOptions {
  /** `adamw` by default. */
  readonly optimizer?: keyof typeof OPTIMIZERS;
  readonly batch: number;
  readonly seed: number;
  readonly weightDecay: number;
  /** Outputs wanted beside the loss. */
  readonly extras?: readonly string[];
  readonly session?: SessionOptions;
}

/** All that the next step depends on besides its feeds; the arrays are never written to. */
export interface StepperState {
  /** Steps done. */
  readonly steps: number;
  /** Parameters, the optimizer's vectors and running statistics by name. */
  readonly values: Readonly<Record<string, Float32Array>>;
}

const NEXT = 'next/';
const TRAINABLE = /\/(weight|bias|scale)$/;

/** Initializers that training updates: weights, biases and scales that `loss` depends on. */
export function trainable(graph: Graph): string[] {
  const names = graph.initializers.map((t) => t.name).filter((n) => TRAINABLE.test(n));
  return names.filter((n) => dependents(graph, [n]).has(LOSS));
}

export class Stepper {
  private steps = 0;
  private readonly rate = new Float32Array(1);
  private readonly rateTensor = new Tensor('float32', this.rate, []);

  private constructor(
    private readonly graph: Graph,
    private readonly session: Session,
    private readonly values: Record<string, Tensor>,
    private readonly fetches: readonly string[],
    private readonly optimizer: keyof typeof OPTIMIZERS,
  ) {}

  /** `graph`: heads with a `loss`, dims still open in N. */
  static async open(graph: Graph, options: StepperOptions): Promise<Stepper> {
    const { optimizer = 'adamw' } = options;
    const names = trainable(graph);
    const block = await blockedChannels(options.session);
    const parameters = names.map((name) => ({ name, decay: name.endsWith('/weight') }));
    const trained = runPasses(bindDims(graph, { N: options.batch }), [
      trainingForm({ seed: options.seed }),
      ...(block ? [enterBlocked(block)] : []),
      enterRows,
      differentiate({ loss: LOSS, wrt: names }),
      leaveRows,
      leaveBlocked,
      OPTIMIZERS[optimizer].pass({ parameters, weightDecay: options.weightDecay }),
    ]);
    const wanted = trained.outputs.filter(
      ({ name }) => name === LOSS || name.startsWith(NEXT) || options.extras?.includes(name),
    );
    const step = prune({ ...trained, outputs: wanted });
    const session = await Session.open(makeModel(step), options.session);
    return new Stepper(
      graph,
      session,
      initialState(graph, names, step),
      wanted.map((v) => v.name),
      optimizer,
    );
  }

  /** One step on `feeds` (the graph's own inputs). Returns `loss` and the extras. */
  async step(feeds: Feeds, learningRate: number): Promise<Outputs> {
    this.steps++;
    this.rate[0] = learningRate;
    const outputs = await this.session.run(
      {
        ...feeds,
        ...this.values,
        learning_rate: this.rateTensor,
        ...OPTIMIZERS[this.optimizer].feeds(this.steps),
      },
      this.fetches,
    );
    for (const name of Object.keys(this.values)) this.values[name] = outputs[NEXT + name]!;
    return outputs;
  }

  get state(): StepperState {
    const values = Object.entries(this.values).map(([name, { data }]) => [name, data as Float32Array]);
    return { steps: this.steps, values: Object.fromEntries(values) };
  }

  /** Goes on from `state` of a stepper for the same graph. Dropout's random numbers begin anew. */
  set state({ steps, values }: StepperState) {
    this.steps = steps;
    for (const [name, { dims }] of Object.entries(this.values))
      this.values[name] = new Tensor('float32', values[name]!, dims);
  }

  /** The graph it was opened with, with the learned values in its initializers. */
  learned(): Graph {
    return learnedGraph(this.graph, this.state);
  }

  async close(): Promise<void> {
    await this.session.release();
  }
}

/** `graph`, which a stepper was opened with, with the values of its `state` in its initializers. */
export function learnedGraph(graph: Graph, { values }: StepperState): Graph {
  const { parameters, ...statistics } = values;
  const learned = unpackParameters(graph, trainable(graph), parameters!);
  const bytesOf = (values: Float32Array) => new Uint8Array(values.slice().buffer);
  const initializers = learned.initializers.map((t) =>
    statistics[t.name] ? { ...t, bytes: bytesOf(statistics[t.name]!) } : t,
  );
  return { ...learned, initializers };
}

/** The first step's input for every output `next/<name>`: the parameters, zero moments, the statistics as they are. */
function initialState(graph: Graph, names: readonly string[], step: Graph): Record<string, Tensor> {
  const { initializer } = indexGraph(graph);
  const packed = packParameters(graph, names);
  const first = (name: string): Tensor => {
    if (name === 'parameters') return new Tensor('float32', packed, [packed.length]);
    const tensor = initializer.get(name);
    if (!tensor) return new Tensor('float32', new Float32Array(packed.length), [packed.length]);
    return new Tensor('float32', Float32Array.from(toFloat32Array(tensor)), tensor.dims);
  };
  const stateful = step.outputs.filter((v) => v.name.startsWith(NEXT)).map((v) => v.name.slice(NEXT.length));
  return Object.fromEntries(stateful.map((name) => [name, first(name)]));
}
