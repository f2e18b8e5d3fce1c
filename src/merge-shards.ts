/** Shards of features put together, for callers from outside. */
import { checkCall } from './options.ts';
import { type Merged, type MergeOptions, mergeShards as merge } from './train/shards.ts';

/** As in `train/shards.ts`, and throws `bad-option`. */
export async function mergeShards(folder: string, options: MergeOptions = {}): Promise<Merged> {
  checkCall('features merge', { folder, ...options });
  return await merge(folder, options);
}
