/** The report of a compiled model: its facts, and the images of the samples they name. */
import type { ExitOutcomes, OutcomesAt } from '../calibrate/types.ts';
import { type Dataset, thumbnails } from '../data/index.ts';
import type { Manifest } from '../emit/manifest.ts';
import { picturedSamples, reportFacts, reportPage } from './index.ts';

/** One HTML file about `manifest` and the samples it was measured on: those of `dataset`, as `view` sees them. */
export async function reportCompiled(
  manifest: Manifest,
  outcomes: OutcomesAt<ExitOutcomes>,
  dataset: Dataset,
): Promise<string> {
  const facts = reportFacts(manifest, outcomes);
  const samples = picturedSamples(facts);
  const images = dataset.random ? undefined : await thumbnails(dataset, samples);
  return await reportPage(facts, images && new Map(samples.map((sample, i) => [sample, images[i]!])));
}
