/** What Offramp sees in a model, and where exits could go. */
import { type Inspection, type InspectOptions, inspectLoaded } from '../model/inspect.ts';
import { loadModel } from '../parser/index.ts';
import { checkCall } from './options.ts';

/** Loads the model, raises its opset where that is too old, observes its facts, and plans exits as `compile` would. Throws `bad-option`, and what reading a model throws. */
export async function inspect(options: InspectOptions): Promise<Inspection> {
  checkCall('inspect', options);
  return await inspectLoaded(await loadModel(options.model, options.externalDataFolder), options);
}
