/** Draws README's pictures into docs/images: `npx tsx scripts/pictures.ts`. A test says when that was forgotten. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { inspect } from '../src/commands/inspect.ts';
import { modelLineFile } from '../src/report/model-line.ts';

const at = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url));

interface Row {
  readonly name: string;
  /** [average cost, points of accuracy lost], where it was measured. */
  readonly points: readonly (readonly [number, number])[];
}

/** The rows of the first table of `markdown`: costs in its head, points lost below, a minus before what was gained. */
export function readRows(markdown: string): Row[] {
  const [head, , ...body] = /^\|[^\n]*\n(\|[^\n]*\n)+/m
    .exec(markdown)![0]
    .trim()
    .split('\n')
    .map(cellsOf) as string[][];
  const costs = head!.slice(1).map(Number);
  return body.map(([name, ...cells]) => ({
    name: name!.replace(/[,(].*/, '').trim(),
    points: cells.flatMap((cell, i) => {
      const lost = /^([−-]?)(\d+\.\d+)/.exec(cell);
      const points = lost ? Number(lost[2]) * (lost[1] ? -1 : 1) : Number.NaN;
      return points <= MOST_LOST ? [[costs[i]!, points] as const] : [];
    }),
  }));
}

const cellsOf = (line: string) =>
  line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim());

/** Points of accuracy: what loses more is not drawn. */
const MOST_LOST = 1.5;

const WIDTH = 860;
const HEIGHT = 400;
const LEFT = 110;
const RIGHT = 290;
const TOP = 34;
const BOTTOM = 56;
const STYLE = `
  :root { --paper: #ffffff; --ink: #1c2128; --muted: #57606a; --grid: #d8dee4 }
  @media (prefers-color-scheme: dark) { :root { --paper: #14181d; --ink: #e6e9ed; --muted: #a3adb8; --grid: #353d47 } }
  text { font: 14px system-ui, sans-serif; fill: var(--ink) } .muted { fill: var(--muted) } .grid { stroke: var(--grid) }
  .s0 { stroke: #2f7fd1; fill: #2f7fd1 } .s1 { stroke: #1a9c8c; fill: #1a9c8c } .s2 { stroke: #d1570c; fill: #d1570c }
  .n0 { fill: #2f7fd1 } .n1 { fill: #1a9c8c } .n2 { fill: #d1570c } .n3 { fill: #8a6fe0 } .n4 { fill: #8b949e }
  .s3 { stroke: #8a6fe0; fill: #8a6fe0 } .s4 { stroke: #8b949e; fill: #8b949e } path[d] { fill: none; stroke-width: 2.5 }
`;

/** Points lost against average cost, a line a row. */
export function drawTradeOff(rows: readonly Row[]): string {
  const [low, high] = [0.22, 0.56];
  const [best, worst] = [-0.75, MOST_LOST];
  const x = (cost: number) => round(LEFT + ((cost - low) / (high - low)) * (WIDTH - LEFT - RIGHT));
  const y = (lost: number) => round(TOP + ((lost - best) / (worst - best)) * (HEIGHT - TOP - BOTTOM));
  const lines = [-0.5, 0, 0.5, 1, 1.5];
  const costs = [0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55];
  const ends = placeNames(rows.map(({ points }) => y(points.at(-1)![1])));
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img" aria-label="${described(rows)}">
<style>${STYLE}</style>
<rect width="100%" height="100%" fill="var(--paper)"/>
${lines.map((lost) => `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(lost)}" y2="${y(lost)}"${lost === 0 ? ' stroke-width="2"' : ''}/><text class="muted" x="${LEFT - 10}" y="${y(lost) + 5}" text-anchor="end">${lost === 0 ? 'as ResNet-56' : signed(-lost)}</text>`).join('\n')}
<text class="muted" x="12" y="20">points of accuracy, against ResNet-56</text>
${costs.map((cost) => `<text class="muted" x="${x(cost)}" y="${HEIGHT - BOTTOM + 24}" text-anchor="middle">${round(100 * cost)} %</text>`).join('\n')}
<text class="muted" x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 10}" text-anchor="middle">average cost, of ResNet-56's multiply-accumulates</text>
${rows
  .map(({ name, points }, i) => {
    const path = points.map(([cost, lost], n) => `${n === 0 ? 'M' : 'L'}${x(cost)} ${y(lost)}`).join('');
    const dots = points
      .map(
        ([cost, lost]) =>
          `<circle class="s${i}" cx="${x(cost)}" cy="${y(lost)}" r="4.5"><title>${name}: ${signed(-lost)} points at ${round(100 * cost)} %</title></circle>`,
      )
      .join('');
    const [lastX, lastY] = [x(points.at(-1)![0]), y(points.at(-1)![1])];
    return `<g><path class="s${i}" d="${path}"/>${dots}<line class="grid" x1="${lastX + 8}" y1="${lastY}" x2="${WIDTH - RIGHT + 14}" y2="${ends[i]}"/><text x="${WIDTH - RIGHT + 20}" y="${ends[i]! + 5}" class="n${i}">${name}</text></g>`;
  })
  .join('\n')}
</svg>
`;
}

/** Heights of names beside lines that end at `wanted`, none on another. */
function placeNames(wanted: readonly number[]): number[] {
  const placed = [...wanted];
  const order = [...wanted.keys()].sort((a, b) => wanted[a]! - wanted[b]!);
  for (const [n, i] of order.entries()) {
    const above = n === 0 ? TOP : placed[order[n - 1]!]! + 22;
    placed[i] = Math.max(placed[i]!, above);
  }
  return placed;
}

const round = (value: number) => Math.round(10 * value) / 10;
const signed = (points: number) => `${points < 0 ? '−' : '+'}${Math.abs(points)}`;

const described = (rows: readonly Row[]) =>
  `Points of accuracy against average cost, relative to ResNet-56. ${rows
    .map(
      ({ name, points }) =>
        `${name}: ${points.map(([cost, lost]) => `${signed(-lost)} at ${round(100 * cost)} %`).join(', ')}.`,
    )
    .join(' ')}`;

/** README's pictures, by their paths. */
export async function drawPictures(): Promise<ReadonlyMap<string, string>> {
  const { totalMacs, exits } = await inspect({
    model: at('examples/demo/base.onnx'),
    session: { threads: 1 },
  });
  const line = exits.map(({ tap, ...exit }) => ({ ...exit, tap: tap.value }));
  return new Map([
    ['docs/images/trade-off.svg', drawTradeOff(readRows(readFileSync(at('docs/results.md'), 'utf8')))],
    ['docs/images/line.svg', modelLineFile({ totalMacs, exits: line })],
  ]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  mkdirSync(at('docs/images'), { recursive: true });
  for (const [path, svg] of await drawPictures()) writeFileSync(at(path), svg);
}
