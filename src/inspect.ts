/** What Offramp sees in a model, without any data: its classes, its taps, and where exits would go. */
import { type ObserveOptions, observeFacts } from './observe-facts.ts';
import { type LoadedModel, loadModel } from './parser/index.ts';
import type { ExitPlan, TypedModel } from './passes/exits.ts';
import { type PlanOptions, planExits } from './passes/plan-exits.ts';

export interface InspectOptions extends PlanOptions, ObserveOptions {
  /** Path of the ONNX file. */
  readonly model: string;
}

export interface Inspection {
  readonly source: LoadedModel;
  readonly typed: TypedModel;
  readonly plan: ExitPlan;
}

/** Loads the model, observes its facts, and plans exits as `compile` would. */
export async function inspect(options: InspectOptions): Promise<Inspection> {
  const source = await loadModel(options.model);
  const session = { ...options.session, externalDataFolder: source.folder };
  const typed = await observeFacts(source.model, { ...options, session });
  return { source, typed, plan: planExits(typed, options) };
}
