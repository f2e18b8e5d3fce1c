/** The model as a line of segments: where its exits hang, what everything costs, how many samples are left. */
import { CLOSED } from '../calibrate/index.ts';
import { leavingCostsAt, networkName } from '../emit/chain-words.ts';
import type { Manifest, OperatingPoint } from '../emit/manifest.ts';
import { escapeHtml } from './html.ts';
import { costPercent, macs, percent } from './numbers.ts';
import { colour, exitColour, paletteCss } from './palette.ts';

export interface ModelLine {
  /** MACs a sample of the whole model, without heads. */
  readonly totalMacs: number;
  /** In the order samples meet them. */
  readonly exits: readonly LineExit[];
  /** [K + 1]: share of samples that leave at each exit, the full path last; undefined before anything was measured. */
  readonly shares?: readonly number[];
  /** Set of a chain. */
  readonly chain?: ChainLine;
}

export interface ChainLine {
  /** In the order samples meet them, the original last. */
  readonly networks: readonly { readonly name: string; readonly relativeCost: number }[];
  /** [K]: which of them each exit is in. */
  readonly places: readonly number[];
  /** [K] */
  readonly open: readonly boolean[];
  /** [K + 1]: what a sample that leaves at each exit, or gets the original's answer, has cost, as a share of the original. */
  readonly spent: readonly number[];
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
  manifest: Manifest,
  { exitShares, thresholds }: Pick<OperatingPoint, 'exitShares' | 'thresholds'>,
): ModelLine => {
  const { exits, baseline, networks } = manifest;
  const line = { totalMacs: baseline.macs, exits, shares: exitShares };
  if (!networks) return line;
  const chain = {
    networks: networks.map(({ relativeCost }, n) => ({ name: networkName(manifest, n), relativeCost })),
    places: exits.map(({ network = 0 }) => network),
    open: thresholds.map((threshold) => threshold < CLOSED),
    spent: leavingCostsAt(manifest, thresholds),
  };
  return { ...line, chain };
};

/** Of one segment with its exit: a box, and room for the tap. */
const STEP = 188;
const BOX = { width: 118, height: 54, top: 46 };
const HEAD = { width: 140, height: 54, top: 142 };
const MARGIN = 14;
const HEIGHT = 250;
/** Above the networks of a chain: their names. */
const NAMES = 50;
/** Of the flow where every sample is still there; and where next to none is. */
const FLOW = { widest: 20, thinnest: 1.5 };
const NAME_CHARACTERS = 24;

/** An SVG element; its colours are CSS variables, which the page declares. */
export function drawModelLine(line: ModelLine): string {
  const { exits, totalMacs, shares, chain } = line;
  const y = BOX.top + BOX.height / 2;
  const last = exits.length;
  const leftOf = (k: number) => MARGIN + k * STEP;
  /** How wide the flow of so many samples is. */
  const flow = (share: number) => (shares ? Math.max(FLOW.thinnest, FLOW.widest * share) : 4 * FLOW.thinnest);
  const arriving = (k: number) => (shares ? shares.slice(k).reduce((sum, share) => sum + share, 0) : 1);
  const segment = (k: number) => {
    const left = leftOf(k);
    const isFirst = k === 0 || (chain && networkOf(chain, k - 1) !== networkOf(chain, k));
    const isWhole = chain && isFirst && (k === last || exits[k]!.head === 'end');
    const from = isFirst ? 0 : exits[k - 1]!.prefixMacs;
    const to = exits[k]?.prefixMacs ?? totalMacs;
    const middle = left + BOX.width / 2;
    const isRun = !chain || runs(chain, k);
    const above = chain
      ? `${percent(chain.spent[k]!)} spent after it`
      : `to ${percent(to / totalMacs)} of the MACs`;
    return [
      text(left, 19, isRun ? above : 'not run', 'start', 'muted', 11),
      shares && isRun ? text(left, 35, `${percent(arriving(k))} get here`, 'start', 'muted', 11) : '',
      box(left, BOX, colour('card'), colour(isRun ? 'ink' : 'grid')),
      text(middle, y - 5, isWhole ? 'whole network' : `segment ${k}`, 'middle', isRun ? 'ink' : 'muted', 13),
      text(middle, y + 14, `${macs(to - from)} MACs`, 'middle', 'muted', 12),
    ];
  };
  const branch = ({ id, tap, head, headMacs }: LineExit, k: number) => {
    const left = leftOf(k) + BOX.width;
    const middle = left + (STEP - BOX.width) / 2;
    const tint = exitColour(k, exits.length);
    const below = HEAD.top + HEAD.height;
    const isEnd = head === 'end';
    const isOpen = chain?.open[k] ?? true;
    return [
      stroke(left, y, middle, y, flow(arriving(k)), colour('ink')),
      stroke(middle, y, leftOf(k + 1), y, flow(arriving(k + 1)), colour('ink')),
      stroke(middle, y, middle, HEAD.top, shares ? flow(shares[k]!) : FLOW.thinnest, tint),
      `<circle cx="${middle}" cy="${y}" r="9" fill="${tint}" stroke="${colour('paper')}" stroke-width="2"><title>${escapeHtml(tap)}</title></circle>`,
      box(middle - HEAD.width / 2, HEAD, colour('paper'), tint),
      text(middle, HEAD.top + 22, isEnd ? id : `${id}: ${head}`, 'middle', 'ink', 13),
      text(
        middle,
        HEAD.top + 41,
        isEnd ? 'the network itself' : `${macs(headMacs)} MACs`,
        'middle',
        'muted',
        12,
      ),
      shares
        ? text(middle, below + 19, isOpen ? `${percent(shares[k]!)} leave` : 'closed', 'middle', 'ink', 13)
        : '',
      isEnd ? '' : nameText(middle, below + 37, tap, 'middle', 'muted', 10.5),
    ];
  };
  const end = leftOf(last) + BOX.width;
  const rest = [
    stroke(end, y, end + STEP - BOX.width, y, flow(arriving(last)), colour('full')),
    box(end + STEP - BOX.width, BOX, colour('paper'), colour('full')),
    text(end + STEP - BOX.width / 2, y - 5, chain ? 'the original' : 'full path', 'middle', 'ink', 13),
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
  ].join('');
  const width = end + STEP + MARGIN;
  const height = chain ? HEIGHT + NAMES : HEIGHT;
  const drawn = chain
    ? `${names(chain, width - MARGIN)}<g transform="translate(0 ${NAMES})">${parts}</g>`
    : parts;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="system-ui,sans-serif" role="img" aria-label="${escapeHtml(described(line))}">${drawn}</svg>`;
}

/** The network that segment k, which ends at exit k or at the end, is part of. */
const networkOf = ({ places, networks }: ChainLine, k: number) => places[k] ?? networks.length - 1;

/** Whether samples that get there run segment k: a network without an open exit is not run, but for the original. */
const runs = (chain: ChainLine, k: number) =>
  networkOf(chain, k) === chain.networks.length - 1 ||
  chain.places.some((n, other) => other >= k && n === chain.places[k] && chain.open[other]);

/** Names of networks and what they cost, each over a line as long as its segments. */
function names(chain: ChainLine, end: number): string {
  const { networks, places } = chain;
  const segments = [...places.keys(), places.length];
  return networks
    .flatMap(({ name, relativeCost }, n) => {
      const own = segments.filter((k) => networkOf(chain, k) === n);
      const left = MARGIN + own[0]! * STEP;
      const isLast = n === networks.length - 1;
      const right = isLast ? end : MARGIN + own.at(-1)! * STEP + (STEP + BOX.width) / 2 + 12;
      const cost = isLast ? 'the original' : `${costPercent(relativeCost)} of the original’s MACs`;
      return [
        nameText(left, 15, name, 'start', 'ink', 12),
        text(left, 32, cost, 'start', 'muted', 11),
        stroke(left, 42, right, 42, 1.5, colour('muted')),
      ];
    })
    .join('');
}

/** The drawing as a file of its own, light or dark as the reader's system is. */
export function modelLineFile(line: ModelLine): string {
  const style = `<style>${paletteCss(':root')}</style><rect width="100%" height="100%" fill="${colour('paper')}"/>`;
  return `${drawModelLine(line).replace('>', `>${style}`)}\n`;
}

/** Whether `text` begins as `modelLineFile` begins one. */
export const isModelLine = (text: string): boolean => /^<svg [^>]* aria-label="The model, /.test(text);

/** The drawing in words, for those who do not see it. */
export function described({ exits, totalMacs, shares, chain }: ModelLine): string {
  const left = (k: number) => (shares ? `, where ${percent(shares[k]!)} of the samples leave` : '');
  const end = shares?.at(-1) ?? 0;
  if (chain) {
    const answers = exits.map(({ id, head }, k) => {
      const { name } = chain.networks[chain.places[k]!]!;
      return `${id}, ${head === 'end' ? name : `a ${head} head in ${name}`}${left(k)}`;
    });
    const costs = chain.networks.map(({ name, relativeCost }) => `${name} ${costPercent(relativeCost)}`);
    return `The chain, costs relative to the original: ${costs.join(', then ')}. Exits: ${answers.join('; ')}; the original answers ${percent(end)}.`;
  }
  const stops = exits.map(
    ({ id, head, prefixMacs, headMacs }, k) =>
      `${id} at ${percent(prefixMacs / totalMacs)} of the MACs, ${head} head of ${macs(headMacs)} MACs${left(k)}`,
  );
  const rest = shares ? `; ${percent(end)} go all the way` : '';
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
  tip?: string,
): string {
  const title = tip === undefined ? '' : `<title>${escapeHtml(tip)}</title>`;
  return `<text x="${x}" y="${y}" text-anchor="${anchor}" font-size="${size}" fill="${colour(tint)}">${title}${escapeHtml(content)}</text>`;
}

/** A name, cut where it is long: then a mouse is told all of it. */
function nameText(x: number, y: number, name: string, ...looks: [string, 'ink' | 'muted', number]): string {
  const shown = shortened(name);
  return text(x, y, shown, ...looks, shown === name ? undefined : name);
}

/** Names of one model differ at their beginning or at their end. */
const shortened = (name: string) =>
  name.length <= NAME_CHARACTERS
    ? name
    : `${name.slice(0, NAME_CHARACTERS / 2)}…${name.slice(1 - NAME_CHARACTERS / 2)}`;
