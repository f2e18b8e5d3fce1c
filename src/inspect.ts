/** What Offramp sees in a model, without any data: its classes, its taps, and where exits would go. */
import { type Model, opsetOf } from './graph/types.ts';
import { type ObserveOptions, observeFacts } from './observe-facts.ts';
import { inlineFunctions, type LoadedModel, loadModel } from './parser/index.ts';
import { dequantizeTaps } from './passes/dequantize-taps.ts';
import type { ExitPlan, TypedModel } from './passes/exits.ts';
import { extractExits, type GivenExits } from './passes/extract-exits.ts';
import { describeOutputs, giveValue } from './passes/give-value.ts';
import { runPasses } from './passes/pass.ts';
import { type PlanOptions, planExits } from './passes/plan-exits.ts';
import { raiseModel } from './raise-model.ts';
import { widenModel } from './widen-model.ts';

export interface InspectOptions extends PlanOptions, ObserveOptions {
  /** Path of the ONNX file. */
  readonly model: string;
  /** Folder that its external data lie in; its own by default. */
  readonly externalDataFolder?: string | undefined;
  /** Make a model that takes one sample at a time take any number. */
  readonly widenBatch?: boolean | undefined;
  /** Outputs of a model that has exits already, earliest first, its last output last. */
  readonly exitOutputs?: readonly string[] | undefined;
}

export interface Inspection {
  /** The file as it is; `typed` and `plan` are of its model with its functions inlined, raised to opset 12 when it was below 11, and widened when asked for. */
  readonly source: LoadedModel;
  /** What the user should know of the model, a sentence each. */
  readonly notes: readonly string[];
  readonly typed: TypedModel;
  readonly plan: ExitPlan;
  /** Exits that came with the model; `typed` and `plan` are then of the model without them. */
  readonly given?: GivenExits;
}

const WIDENED = 'Made to take any number of samples: a batch of three gave what the samples gave one by one.';

/** The newest opset that has an If on every backend. */
const NEWEST_WITH_IF = 22;

/** Loads the model, raises its opset where that is too old, observes its facts, and plans exits as `compile` would. */
export async function inspect(options: InspectOptions): Promise<Inspection> {
  return await inspectLoaded(await loadModel(options.model, options.externalDataFolder), options);
}

/** `inspect` for a model that is loaded already. */
export async function inspectLoaded(
  source: LoadedModel,
  options: Omit<InspectOptions, 'model' | 'externalDataFolder'>,
): Promise<Inspection> {
  const session = { ...options.session, externalDataFolder: source.folder };
  const output = options.exitOutputs?.at(-1) ?? options.output;
  const inlined = inlineFunctions(source.model);
  const asked = giveValue(inlined, output);
  const raised = await raiseModel(asked, { ...options, session });
  const widened = options.widenBatch ? await widenModel(raised, { ...options, session }) : raised;
  const model = { ...widened, graph: runPasses(widened.graph, [dequantizeTaps]) };
  const notes = [
    ...(asked === inlined ? [] : [givenInstead(inlined, output!)]),
    ...notesOn(source.model, model),
    ...(widened === raised ? [] : [WIDENED]),
  ];
  const typed = describeOutputs(await observeFacts(model, { ...options, output, session }));
  if (options.exitOutputs) {
    const given = extractExits(typed, options.exitOutputs);
    return { source, notes, typed: given.plan.typed, plan: given.plan, given };
  }
  return { source, notes, typed, plan: planExits(typed, options) };
}

const givenInstead = ({ graph }: Model, name: string) =>
  `${name} lies inside the model: the early-exit model gives it in place of ${graph.outputs.map((v) => v.name).join(', ')}.`;

function notesOn(original: Model, model: Model): string[] {
  const [from, to] = [opsetOf(original), opsetOf(model)];
  if (from !== to) return [`Opset ${from}, raised to ${to}: both gave the same outputs for random input.`];
  if (from <= NEWEST_WITH_IF) return [];
  return [
    `Opset ${from}: onnxruntime-web's WebGPU backend has no If above opset ${NEWEST_WITH_IF}, so the early-exit model will not run there.`,
  ];
}
