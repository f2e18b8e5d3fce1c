/** Runs training steps in ONNX Runtime: parameters, moments and statistics are inputs of a step's graph and, updated, its outputs. */
import { differentiate } from '../autodiff/differentiate.ts';
import { adamw, biasCorrection, packParameters, unpackParameters } from '../autodiff/optimizer.ts';
import { enterRows, leaveRows } from '../autodiff/rows-form.ts';
import { trainingForm } from '../autodiff/training-form.ts';
import { makeModel } from '../graph/builder.ts';
import { bindDims } from '../graph/infer.ts';
import { prune } from '../graph/prune.ts';
import { toFloat32Array } from '../graph/tensor.ts';
import type { Graph } from '../graph/types.ts';
import { dependents, indexGraph } from '../graph/walk.ts';
import { type Feeds, type Outputs, Session, type SessionOptions, Tensor } from '../ort/session.ts';
import { runPasses } from '../passes/pass.ts';
import { LOSS } from './losses.ts';

export interface StepperOptions {
  readonly batch: number;
  readonly seed: number;
  readonly weightDecay: number;
  /** Outputs wanted beside the loss. */
  readonly extras?: readonly string[];
  readonly session?: SessionOptions;
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
    private readonly names: readonly string[],
    private readonly session: Session,
    private state: Record<string, Tensor>,
    private readonly fetches: readonly string[],
  ) {}

  /** `graph`: heads with a `loss`, dims still open in N. */
  static async open(graph: Graph, options: StepperOptions): Promise<Stepper> {
    const names = trainable(graph);
    const parameters = names.map((name) => ({ name, decay: name.endsWith('/weight') }));
    const trained = runPasses(bindDims(graph, { N: options.batch }), [
      trainingForm({ seed: options.seed }),
      enterRows,
      differentiate({ loss: LOSS, wrt: names }),
      leaveRows,
      adamw({ parameters, weightDecay: options.weightDecay }),
    ]);
    const wanted = trained.outputs.filter(
      ({ name }) => name === LOSS || name.startsWith(NEXT) || options.extras?.includes(name),
    );
    const step = prune({ ...trained, outputs: wanted });
    const session = await Session.open(makeModel(step), options.session);
    return new Stepper(
      graph,
      names,
      session,
      initialState(graph, names, step),
      wanted.map((v) => v.name),
    );
  }

  /** One step on `feeds` (the graph's own inputs). Returns `loss` and the extras. */
  async step(feeds: Feeds, learningRate: number): Promise<Outputs> {
    this.steps++;
    this.rate[0] = learningRate;
    const outputs = await this.session.run(
      {
        ...feeds,
        ...this.state,
        learning_rate: this.rateTensor,
        bias_correction: new Tensor('float32', biasCorrection(this.steps), [2]),
      },
      this.fetches,
    );
    for (const name of Object.keys(this.state)) this.state[name] = outputs[NEXT + name]!;
    return outputs;
  }

  /** The graph it was opened with, with the learned values in its initializers. */
  learned(): Graph {
    const { parameters, ...rest } = this.state;
    const graph = unpackParameters(this.graph, this.names, parameters!.data as Float32Array);
    const bytesOf = (t: Tensor) => new Uint8Array(Float32Array.from(t.data as Float32Array).buffer);
    const initializers = graph.initializers.map((t) =>
      rest[t.name] ? { ...t, bytes: bytesOf(rest[t.name]!) } : t,
    );
    return { ...graph, initializers };
  }

  async close(): Promise<void> {
    await this.session.release();
  }
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
