/** Functions of rooms that know nothing of options, for callers from outside: what they are given is checked first. */
import { type KubernetesJobOptions, printKubernetesJob as print } from '../export/kubernetes-job.ts';
import { type LoadedModel, loadModel as load } from '../parser/index.ts';
import { type Merged, type MergeOptions, mergeShards as merge } from '../train/shards.ts';
import { checkCall } from './options.ts';

/** As in `parser/load-model.ts`. Throws `bad-option` too. */
export async function loadModel(path: string, dataFolder?: string): Promise<LoadedModel> {
  checkCall('load', { path, dataFolder });
  return await load(path, dataFolder);
}

/** As in `train/shards.ts`. Throws `bad-option` too. */
export async function mergeShards(folder: string, options: MergeOptions = {}): Promise<Merged> {
  checkCall('features merge', Object(options) === options ? { folder, ...options } : options);
  return await merge(folder, options);
}

/** The manifest of the Job as YAML. Throws `bad-option`. */
export function printKubernetesJob(options: KubernetesJobOptions): string {
  checkCall('export k8s', options);
  return print(options);
}
