/** What a command reads is not written over: told by its options, and checked before any work. */
import { isRandom } from '../data/random-samples.ts';
import { checkApart, checkOutside, filesIn, writtenInto } from '../emit/write.ts';
import type { Hub } from '../hub/read.ts';
import type { FirstOptions } from '../networks/open-first.ts';

/** Options of commands that name what is read, by the names that all commands have for them. */
export interface ReadOptions {
  readonly model?: string | undefined;
  readonly first?: readonly (string | FirstOptions)[] | undefined;
  readonly labels?: string | undefined;
  readonly hub?: Hub | undefined;
  readonly train?: string | undefined;
  readonly validation?: string | undefined;
  readonly calibration?: string | undefined;
  readonly test?: string | undefined;
}

/** Where the samples of `options` are. */
const samplesOf = ({ train, validation, calibration, test }: ReadOptions): string[] =>
  [train, validation, calibration, test].filter((path) => path !== undefined && !isRandom(path)) as string[];

/** The files that `options` name, and those in the packages among them. */
async function filesOf({ model, first = [], labels, hub }: ReadOptions): Promise<string[]> {
  const networks = first.map((one) => (typeof one === 'string' ? { model: one, labels: undefined } : one));
  const configs = [hub?.files.config, hub?.files.preprocessor];
  const named = [model, labels, ...configs, ...networks.flatMap((one) => [one.model, one.labels])];
  return (await Promise.all(named.filter((path) => path !== undefined).map(filesIn))).flat();
}

/** Throws `output-unusable` where one of `places`, files or folders that are written, lies among the samples that `options` name. */
export async function refuseAmongSamples(
  places: readonly (string | undefined)[],
  options: ReadOptions,
): Promise<void> {
  for (const place of places) if (place !== undefined) await checkOutside(place, samplesOf(options));
}

/** Throws `output-unusable` where a package in `out` would take the place of a file that `options` name. */
export async function refuseOver(out: string, options: ReadOptions): Promise<void> {
  const files = await filesOf(options);
  for (const file of writtenInto(out)) await checkApart(file, files);
}
