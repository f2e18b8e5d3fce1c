/** Numbers as the report prints them. */

export const percent = (share: number, digits = 1) => `${(100 * share).toFixed(digits)} %`;

/** A cost as a share of the original's; of however little, a digit that is not 0. */
export const costPercent = (share: number) =>
  percent(share, share > 0 && share < 0.0005 ? Math.ceil(-Math.log10(share)) - 2 : 1);

/** A difference of shares in percentage points, always with its sign. */
export function signedPoints(difference: number, digits = 2): string {
  const text = (100 * Math.abs(difference)).toFixed(digits);
  return `${Number(text) === 0 ? '±' : difference < 0 ? '−' : '+'}${text}`;
}

export const macs = (value: number) =>
  value >= 1e9
    ? `${(value / 1e9).toFixed(2)} G`
    : value >= 1e6
      ? `${(value / 1e6).toFixed(2)} M`
      : `${(value / 1e3).toFixed(1)} k`;

export const count = (value: number) => value.toLocaleString('en-US');

/** Milliseconds, or a dash where nothing was measured. */
export const ms = (value: number | undefined) =>
  value === undefined ? '–' : `${value.toFixed(value < 10 ? 2 : 1)} ms`;
