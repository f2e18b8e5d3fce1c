/** Leaks between splits: samples that were fitted on must not be reported on. */
import { info, type Note, warning } from '../errors/notes.ts';
import { type Dataset, recordBytesOf, recordHashes } from './index.ts';
import { SPLITS, type Split, type Splits } from './splits.ts';

/** Beyond these the samples are not read to be compared. */
const MOST = { bytes: 2 ** 30, samples: 500_000 };
/** A smaller share of samples in two splits is common in published data. */
const LEAST_SHARE = 0.01;

/** Notes on what makes figures too good: splits that share samples, and a test split cut off data that the original may have been trained on. */
export async function warnOfLeaks(splits: Splits): Promise<Note[]> {
  const notes: Note[] = [];
  if (splits.test?.from && !splits.test.dataset.random)
    notes.push(
      info(
        'test-cut-off-train',
        'The test samples were cut off `train`: if the original was trained on those, its figures, and what is lost to them, are not those of new data. Give `test` and `calibration` that it has never seen.',
      ),
    );
  const given = SPLITS.flatMap((split) => {
    const data = splits[split];
    return data && !data.from && !data.dataset.random ? [{ split, dataset: data.dataset }] : [];
  });
  const sumOf = (of: (dataset: Dataset) => number) =>
    given.reduce((sum, { dataset }) => sum + of(dataset), 0);
  if (sumOf(({ size }) => size) > MOST.samples) return notes;
  if (sumOf((dataset) => dataset.size * recordBytesOf(dataset)) > MOST.bytes) return notes;
  const hashes = new Map<Split, Set<string>>();
  for (const { split, dataset } of given) {
    const own = await recordHashes(dataset);
    for (const [other, theirs] of hashes) {
      const shared = own.filter((hash) => theirs.has(hash)).length;
      if (shared / own.length > LEAST_SHARE)
        notes.push(
          warning(
            'splits-share-samples',
            `${shared} of ${own.length} ${split} samples are ${other} samples too: what is fitted on the one says little of the other, and figures are too good.`,
          ),
        );
    }
    hashes.set(split, new Set(own));
  }
  return notes;
}
