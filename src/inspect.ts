/** What Offramp sees in a model, without any data: its classes, its taps, and where exits would go. */
import { type ObserveOptions, observeFacts } from './observe-facts.ts';
import { type LoadedModel, loadModel } from './parser/index.ts';
import type { ExitPlan, TypedModel } from './passes/exits.ts';
import { extractExits, type GivenExits } from './passes/extract-exits.ts';
import { type PlanOptions, planExits } from './passes/plan-exits.ts';

export interface InspectOptions extends PlanOptions, ObserveOptions {
  /** Path of the ONNX file. */
  readonly model: string;
  /** Outputs of a model that has exits already, earliest first, its last output last. */
  readonly exitOutputs?: readonly string[] | undefined;
}

export interface Inspection {
  readonly source: LoadedModel;
  readonly typed: TypedModel;
  readonly plan: ExitPlan;
  /** Exits that came with the model; `typed` and `plan` are then of the model without them. */
  readonly given?: GivenExits & { readonly whole: TypedModel };
}

/** Loads the model, observes its facts, and plans exits as `compile` would. */
export async function inspect(options: InspectOptions): Promise<Inspection> {
  return await inspectLoaded(await loadModel(options.model), options);
}

/** `inspect` for a model that is loaded already. */
export async function inspectLoaded(
  source: LoadedModel,
  options: Omit<InspectOptions, 'model'>,
): Promise<Inspection> {
  const session = { ...options.session, externalDataFolder: source.folder };
  const output = options.exitOutputs?.at(-1) ?? options.output;
  const typed = await observeFacts(source.model, { ...options, output, session });
  if (options.exitOutputs) {
    const given = extractExits(typed, options.exitOutputs);
    return { source, typed: given.plan.typed, plan: given.plan, given: { ...given, whole: typed } };
  }
  return { source, typed, plan: planExits(typed, options) };
}
