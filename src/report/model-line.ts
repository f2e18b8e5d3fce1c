/** The model as a line of segments: where its exits hang, what everything costs, how many samples are left. */
import type { Manifest } from '../emit/manifest.ts';
import { escapeHtml } from './html.ts';
import { macs, percent } from './numbers.ts';
import { colour, exitColour, paletteCss } from './palette.ts';

export interface ModelLine {
  /** MACs a sample of the whole model, without heads. */
  readonly totalMacs: number;
  /** In the order samples meet them. */
  readonly exits: readonly LineExit[];
  /** [K + 1]: share of samples that leave at each exit, the full path last; undefined before anything was measured. */
  readonly shares?: readonly number[];
}

export interface LineExit {
  readonly id: string;
  readonly tap: string;
  /** Head family. */
  readonly head: string;
  /** MACs of the backbone up to the tap. */
  readonly prefixMacs: number;
  readonly headMacs: number;
}

/** The line of a compiled model, its shares those of `point`. */
export const lineOf = (
  { exits, baseline }: Manifest,
  { exitShares }: { readonly exitShares: readonly number[] },
): ModelLine => ({ totalMacs: baseline.macs, exits, shares: exitShares });

/** Of one segment with its exit: a box, and room for the tap. */
const STEP = 188;
const BOX = { width: 118, height: 54, top: 46 };
const HEAD = { width: 140, height: 54, top: 142 };
const MARGIN = 14;
const HEIGHT = 250;
/** Of the flow where every sample is still there; and where next to none is. */
const FLOW = { widest: 20, thinnest: 1.5 };
const NAME_CHARACTERS = 24;

/** An SVG element; its colours are CSS variables, which the page declares. */
export function drawModelLine(line: ModelLine): string {
  const { exits, totalMacs, shares } = line;
  const y = BOX.top + BOX.height / 2;
  /** How wide the flow of so many samples is. */
  const flow = (share: number) => (shares ? Math.max(FLOW.thinnest, FLOW.widest * share) : 4 * FLOW.thinnest);
  const arriving = (k: number) => (shares ? shares.slice(k).reduce((sum, share) => sum + share, 0) : 1);
  const segment = (k: number) => {
    const left = MARGIN + k * STEP;
    const [from, to] = [exits[k - 1]?.prefixMacs ?? 0, exits[k]?.prefixMacs ?? totalMacs];
    const middle = left + BOX.width / 2;
    return [
      text(left, 19, `to ${percent(to / totalMacs)} of the MACs`, 'start', 'muted', 11),
      shares ? text(left, 35, `${percent(arriving(k))} get here`, 'start', 'muted', 11) : '',
      box(left, BOX, colour('card'), colour('ink')),
      text(middle, y - 5, `segment ${k}`, 'middle', 'ink', 13),
      text(middle, y + 14, `${macs(to - from)} MACs`, 'middle', 'muted', 12),
    ];
  };
  const branch = ({ id, tap, head, headMacs }: LineExit, k: number) => {
    const left = MARGIN + k * STEP + BOX.width;
    const middle = left + (STEP - BOX.width) / 2;
    const tint = exitColour(k, exits.length);
    const below = HEAD.top + HEAD.height;
    return [
      stroke(left, y, middle, y, flow(arriving(k)), colour('ink')),
      stroke(middle, y, MARGIN + (k + 1) * STEP, y, flow(arriving(k + 1)), colour('ink')),
      stroke(middle, y, middle, HEAD.top, shares ? flow(shares[k]!) : FLOW.thinnest, tint),
      `<circle cx="${middle}" cy="${y}" r="9" fill="${tint}" stroke="${colour('paper')}" stroke-width="2"><title>${escapeHtml(tap)}</title></circle>`,
      box(middle - HEAD.width / 2, HEAD, colour('paper'), tint),
      text(middle, HEAD.top + 22, `${id}: ${head}`, 'middle', 'ink', 13),
      text(middle, HEAD.top + 41, `${macs(headMacs)} MACs`, 'middle', 'muted', 12),
      shares ? text(middle, below + 19, `${percent(shares[k]!)} leave`, 'middle', 'ink', 13) : '',
      text(middle, below + 37, shortened(tap), 'middle', 'muted', 10.5),
    ];
  };
  const last = exits.length;
  const end = MARGIN + last * STEP + BOX.width;
  const rest = [
    stroke(end, y, end + STEP - BOX.width, y, flow(arriving(last)), colour('full')),
    box(end + STEP - BOX.width, BOX, colour('paper'), colour('full')),
    text(end + STEP - BOX.width / 2, y - 5, 'full path', 'middle', 'ink', 13),
    text(
      end + STEP - BOX.width / 2,
      y + 14,
      shares ? `${percent(shares[last]!)} end here` : 'the original',
      'middle',
      'muted',
      12,
    ),
  ];
  const parts = [
    ...exits.flatMap(branch),
    ...Array.from({ length: last + 1 }, (_, k) => segment(k)).flat(),
    ...rest,
  ];
  const width = end + STEP + MARGIN;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${HEIGHT}" width="${width}" height="${HEIGHT}" font-family="system-ui,sans-serif" role="img" aria-label="${escapeHtml(described(line))}">${parts.join('')}</svg>`;
}

/** The drawing as a file of its own, light or dark as the reader's system is. */
export function modelLineFile(line: ModelLine): string {
  const style = `<style>${paletteCss(':root')}</style><rect width="100%" height="100%" fill="${colour('paper')}"/>`;
  return `${drawModelLine(line).replace('>', `>${style}`)}\n`;
}

/** The drawing in words, for those who do not see it. */
export function described({ exits, totalMacs, shares }: ModelLine): string {
  const stops = exits.map(
    ({ id, head, prefixMacs, headMacs }, k) =>
      `${id} at ${percent(prefixMacs / totalMacs)} of the MACs, ${head} head of ${macs(headMacs)} MACs${shares ? `, where ${percent(shares[k]!)} of the samples leave` : ''}`,
  );
  const rest = shares ? `; ${percent(shares.at(-1)!)} go all the way` : '';
  return `The model, ${macs(totalMacs)} MACs, with ${exits.length} exits: ${stops.join('; ')}${rest}.`;
}

function box(left: number, size: typeof BOX, fill: string, edge: string): string {
  const { width, height, top } = size;
  return `<rect x="${left}" y="${top}" width="${width}" height="${height}" rx="6" fill="${fill}" stroke="${edge}" stroke-width="1.5"/>`;
}

const round = (value: number) => Number(value.toFixed(2));

function stroke(x1: number, y1: number, x2: number, y2: number, width: number, tint: string): string {
  return `<path d="M${x1} ${y1}L${x2} ${y2}" stroke="${tint}" stroke-width="${round(width)}"/>`;
}

function text(
  x: number,
  y: number,
  content: string,
  anchor: string,
  tint: 'ink' | 'muted',
  size: number,
): string {
  return `<text x="${x}" y="${y}" text-anchor="${anchor}" font-size="${size}" fill="${colour(tint)}">${escapeHtml(content)}</text>`;
}

/** Names of one model differ at their beginning or at their end. */
const shortened = (name: string) =>
  name.length <= NAME_CHARACTERS
    ? name
    : `${name.slice(0, NAME_CHARACTERS / 2)}…${name.slice(1 - NAME_CHARACTERS / 2)}`;
