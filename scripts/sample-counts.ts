/**
 * How many samples promises and measurements need, by the same functions that `compile` uses: the tables of docs/guide.md.
 *
 *   npx tsx scripts/sample-counts.ts
 */
import { fileURLToPath } from 'node:url';
import { binomialPValue, refuseTooFew } from '../src/calibrate/guarantee.ts';
import { pairedInterval } from '../src/calibrate/paired.ts';

const CONFIDENCE = 0.95;
const LIMITS = [0.005, 0.01, 0.02];
const CALIBRATION = [600, 1000, 2000, 5000, 10_000, 20_000];
const TEST = [500, 1000, 2000, 5000, 10_000];
/** Shares of test samples that only the original has right, and that only the point has right. */
const CHANGED = { lost: 0.02, gained: 0.01 };

/** The least calibration samples with which `--max-accuracy-drop limit --confidence 0.95` is not refused: half of them test it. */
export function leastCalibration(limit: number): number {
  for (let half = 1; ; half++) {
    try {
      refuseTooFew(half, limit, CONFIDENCE);
      return 2 * half;
    } catch {
      // Too few still.
    }
  }
}

/** The largest share of the testing half that may be lost, none gained, for `limit` to be promised; undefined where not even none may. */
function mostLost(calibration: number, limit: number): number | undefined {
  const samples = calibration / 2;
  let losses = -1;
  while (binomialPValue({ samples, losses: losses + 1, gains: 0 }, limit) <= 1 - CONFIDENCE) losses++;
  return losses < 0 ? undefined : losses / samples;
}

/** Half the width of the 95 % interval of a measured drop, in points. */
function reach(samples: number): number {
  const counts = { onlyA: CHANGED.lost * samples, onlyB: CHANGED.gained * samples };
  const [low, high] = pairedInterval({ samples, ...counts });
  return (100 * (high - low)) / 2;
}

const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |\n`;
const table = (head: readonly string[], rows: readonly (readonly string[])[]) =>
  `${row(head)}|${head.map(() => '---').join('|')}|\n${rows.map(row).join('')}`;
const count = (n: number) => n.toLocaleString('en-US');

export const promiseTable = (): string =>
  table(
    ['calibration samples', ...LIMITS.map((limit) => `\`--max-accuracy-drop ${limit}\``)],
    CALIBRATION.map((calibration) => [
      count(calibration),
      ...LIMITS.map((limit) => {
        const lost = mostLost(calibration, limit);
        return lost === undefined ? 'refused' : `${(100 * lost).toFixed(2)} %`;
      }),
    ]),
  );

export const noiseTable = (): string =>
  table(
    ['test samples', ...TEST.map(count)],
    [['95 % interval of the drop, points', ...TEST.map((samples) => `± ${reach(samples).toFixed(2)}`)]],
  );

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const limit of LIMITS) console.log(`at least ${leastCalibration(limit)} for ${limit}`);
  console.log(`\n${promiseTable()}\n${noiseTable()}`);
}
