/** Plain-text tables of what was measured. Fractions become percent only here. */
import type { Manifest, OperatingPoint } from '../emit/manifest.ts';
import type { Evaluation } from '../evaluate.ts';
import { macs } from '../report/numbers.ts';

const percent = (fraction: number, digits = 2) => `${(100 * fraction).toFixed(digits)} %`;
const ms = (value: number | null | undefined) =>
  value === null || value === undefined ? '–' : `${value.toFixed(2)} ms`;
/** Columns padded to their widest cell; the first is left-aligned, the others right-aligned. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, c) => Math.max(...rows.map((row) => row[c]!.length)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, c) => (c === 0 ? cell.padEnd(widths[c]!) : cell.padStart(widths[c]!)))
      .join('  ')
      .trimEnd();
  const [head, ...body] = rows;
  return [line(head!), widths.map((w) => '─'.repeat(w)).join('  '), ...body.map(line)].join('\n');
}

/** The original and every operating point: accuracy, agreement, cost, mean latency (the median where it is all there is), and where samples leave. */
export function resultTable(
  manifest: Manifest,
  points: readonly OperatingPoint[] = manifest.operatingPoints,
): string {
  const { baseline, exits } = manifest;
  const header = ['', 'accuracy', 'agreement', 'MACs', 'latency', ...exits.map((e) => e.id), 'full path'];
  const original = [
    'original',
    percent(baseline.accuracy),
    percent(1),
    macs(baseline.macs),
    ms(baseline.latencyMsMean ?? baseline.latencyMsP50),
  ];
  const rows = points.map((point) => [
    point.name,
    percent(point.accuracy),
    percent(point.agreement),
    percent(point.relativeCost, 1),
    ms(point.latencyMsMean ?? point.latencyMsP50),
    ...point.exitShares.map((share) => percent(share, 1)),
  ]);
  return table([header, [...original, ...exits.map(() => ''), ''], ...rows]);
}

/** Whether what was measured now is what the manifest says. */
export function comparison({ sameData, largestDifference, movedShare, promised }: Evaluation): string {
  if (!sameData) return `Other data than the manifest's figures are from (its ${promised.measuredOn} role).`;
  const apart = `accuracy, agreement and cost within ${percent(largestDifference, 3)}, at most ${percent(movedShare)} of the samples left elsewhere`;
  return largestDifference <= 1e-3
    ? `Agrees with the manifest (${apart}).`
    : `Differs from the manifest: ${apart}.`;
}
