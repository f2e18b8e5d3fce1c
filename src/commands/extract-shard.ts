/** Features for a compile that is told `features`: one part of the samples, on this machine. */
import { checkOutput } from '../emit/write.ts';
import type { Events } from '../errors/events.ts';
import { badOption, option, trainingDataMissing } from '../errors/index.ts';
import { type Shard, writeShard } from '../train/shards.ts';
import { refuseAmongSamples } from './apart.ts';
import { asksForExits } from './head-options.ts';
import { withHub } from './hub-model.ts';
import { shown } from './option-rules.ts';
import { checkCall } from './options.ts';
import { openProject, type ProjectOptions, withSplits } from './project.ts';
import { trainingFeatures, trainingSplits } from './ready-exits.ts';

export interface ExtractShardOptions extends ProjectOptions {
  /** Folder of all shards. */
  readonly out: string;
  /** All samples by default. */
  readonly shard?: Shard;
  /** As for `compile`. */
  readonly views?: number;
}

export interface ExtractedShard {
  readonly shard: Shard;
  /** Its samples, and where they begin among those that heads learn from. */
  readonly samples: number;
  readonly first: number;
}

/**
 * Writes the shard's share of the features that `compile` with the same options would cache. Does again only what is not there and whole.
 * Throws what `compile` throws before it trains, `output-unusable` and `features-differ`.
 */
export async function extractShard(given: ExtractShardOptions, events: Events = {}): Promise<ExtractedShard> {
  checkCall('features', given, events);
  const options = await withHub(given);
  const { shard = { index: 1, count: 1 }, exitOutputs } = options;
  if (exitOutputs)
    throw badOption(
      option('exitOutputs'),
      exitOutputs.join(','),
      'a model without: nothing is trained on it',
    );
  if (options.first && !asksForExits(options))
    throw badOption(
      option('first'),
      shown(options.first),
      'it with `exits` or `taps`: without them nothing is trained on the original',
    );
  if (options.train === undefined) throw trainingDataMissing();
  await checkOutput(options.out, { update: true });
  await refuseAmongSamples([options.out, options.cache], options);
  const project = await openProject(options, events);
  return await withSplits(project, options, events, async (context) => {
    const wanted = trainingFeatures(context, await trainingSplits(context), options.views);
    const { first, size } = await writeShard(wanted, shard, options.out);
    return { shard, samples: size, first };
  });
}
