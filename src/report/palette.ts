/** Colours by use, light and dark, as CSS variables: a drawing names the use, the page or file defines the colour. */

const LIGHT = {
  paper: '#ffffff',
  card: '#f6f7f9',
  ink: '#1c2128',
  muted: '#57606a',
  grid: '#d8dee4',
  accent: '#1f5fbf',
  band: 'rgba(31,95,191,.14)',
  right: '#2f7fd1',
  wrong: '#d1570c',
  exit0: '#2f7fd1',
  exit1: '#1a9c8c',
  exit2: '#7a5fc9',
  exit3: '#b8860b',
  exit4: '#c04d88',
  exit5: '#5a7d2a',
  full: '#8b949e',
  shade: 'rgba(28,33,40,.30)',
};

const DARK: typeof LIGHT = {
  paper: '#14181d',
  card: '#1d232a',
  ink: '#e6e9ed',
  muted: '#a3adb8',
  grid: '#353d47',
  accent: '#7ab2f7',
  band: 'rgba(122,178,247,.20)',
  right: '#5aa2ea',
  wrong: '#f0883e',
  exit0: '#5aa2ea',
  exit1: '#3cc0ae',
  exit2: '#a58df0',
  exit3: '#d9a93a',
  exit4: '#e57fb2',
  exit5: '#93bb5c',
  full: '#7d8894',
  shade: 'rgba(230,233,237,.30)',
};

export type Role = keyof typeof LIGHT;

/** `var(--…)`. */
export const colour = (role: Role): string => `var(--${role})`;

const EXIT_COLOURS = 6;

/** Of exit k of K, counted from 0; the full path is exit K. */
export const exitColour = (k: number, exits: number): string =>
  k === exits ? colour('full') : colour(`exit${k % EXIT_COLOURS}` as Role);

const declared = (palette: typeof LIGHT) =>
  Object.entries(palette)
    .map(([role, value]) => `--${role}:${value}`)
    .join(';');

/** Declares the variables for `selector`; paper is white. */
export const paletteCss = (selector: string): string =>
  `${selector}{${declared(LIGHT)}}
@media screen and (prefers-color-scheme: dark){${selector}{${declared(DARK)}}}`;
