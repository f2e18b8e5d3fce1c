/** Leaks between splits: samples that were fitted on must not be reported on. */
import { info, type Note, warning } from '../errors/notes.ts';
import { type Dataset, recordBytesOf, recordHashes } from './index.ts';
import { SPLITS, type Split, type SplitData, type Splits } from './splits.ts';

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
    return data && !data.dataset.random ? [{ split, ...data }] : [];
  });
  const sumOf = (of: (dataset: Dataset) => number) =>
    given.reduce((sum, { dataset }) => sum + of(dataset), 0);
  if (sumOf(({ size }) => size) > MOST.samples) return notes;
  if (sumOf((dataset) => dataset.size * recordBytesOf(dataset)) > MOST.bytes) return notes;
  const hashes = new Map<Split, { readonly own: Set<string>; readonly data: SplitData }>();
  for (const { split, ...data } of given) {
    const own = await recordHashes(data.dataset);
    for (const [other, theirs] of hashes) {
      if (areCutApart(data, theirs.data)) continue;
      const shared = own.filter((hash) => theirs.own.has(hash)).length;
      if (shared / own.length > LEAST_SHARE)
        notes.push(
          warning(
            'splits-share-samples',
            `${shared} of ${own.length} ${split} samples are ${other} samples too: what is fitted on the one says little of the other, and figures are too good.`,
          ),
        );
    }
    hashes.set(split, { own: new Set(own), data });
  }
  return notes;
}

/** Whether one was cut off what the other was cut off, or off the other: they share no sample. */
function areCutApart(a: SplitData, b: SplitData): boolean {
  return (a.from ?? b.from) !== undefined && wholeOf(a.dataset) === wholeOf(b.dataset);
}

const wholeOf = (dataset: Dataset): Dataset => (dataset.partOf ? wholeOf(dataset.partOf.whole) : dataset);
