/** A plan as a tree for a terminal: stages of one shape, the places in them where exits can go, and how much has been computed there. */
import type { ExitPlan, Head, RejectedTap, Tap } from '../passes/exits.ts';
import { isClean, reasonsOf } from '../passes/plan-exits.ts';
import { macs, percent } from '../report/numbers.ts';

export interface TreeOptions {
  /** Every tap and every rejected value, instead of the best place for each cost. */
  readonly all: boolean;
  /** Columns of the terminal. */
  readonly columns: number;
  /** Of the planned exits, for what they cost. */
  readonly heads: readonly Head[];
}

/** Columns of a bar, on a wide terminal and on others. */
const BAR = { wide: 20, narrow: 12, from: 96 };
/** Columns of the tree and the mark, the share, the data carried along, the exit, and gaps. */
const OTHERS = 45;
const CARRIED = 13;
const NAME = { least: 16, most: 48 };

type Place = Tap | RejectedTap;
const isTap = (place: Place): place is Tap => 'live' in place;

/** Lines of the tree, its legend, and what was left out. Marks: ● exit, ○ candidate, · other tap, × rejected. */
export function planTree(plan: ExitPlan, { all, columns, heads }: TreeOptions): string {
  const exits = new Map(plan.exits.map(({ tap, id }, k) => [tap.value, { id, macs: heads[k]!.macs }]));
  const candidates = new Set(candidatesOf(plan));
  const taps = plan.taps.filter((tap) => all || exits.has(tap.value) || candidates.has(tap));
  const places: Place[] = all ? merged(plan.taps, plan.rejected) : taps;
  const cells = columns < BAR.from ? BAR.narrow : BAR.wide;
  const longest = Math.max(...places.map(({ value }) => value.length));
  const width = Math.max(NAME.least, Math.min(longest, NAME.most, columns - cells - OTHERS));
  const lines: string[] = [];
  const stages = stagesOf(places);
  for (const [i, { shape, members }] of stages.entries()) {
    const last = i === stages.length - 1;
    lines.push(`${last ? '└' : '├'}─ [${shape.join(', ')}]`);
    for (const [j, place] of members.entries()) {
      const branch = `${last ? ' ' : '│'}  ${j === members.length - 1 ? '└' : '├'}`;
      const exit = exits.get(place.value);
      const mark = exit ? '●' : !isTap(place) ? '×' : candidates.has(place) ? '○' : '·';
      const start = `${branch} ${mark} ${fitted(place.value, width)}`;
      const cost = `${bar(place.relativeCost, cells)} ${percent(place.relativeCost).padStart(7)}`;
      const rest = isTap(place)
        ? `${carried(place)}  ${exit ? `${exit.id} +${macs(exit.macs)}` : ''}`
        : `  ${place.reason}`;
      lines.push(`${start} ${cost}${rest}`.trimEnd());
    }
  }
  const head = `${''.padEnd(7)}${'tap'.padEnd(width)} ${'MACs so far'.padEnd(cells + 8)}${'carries'.padStart(CARRIED)}  exit`;
  return [head, ...lines, '', legend(plan, all, taps.length)].join('\n');
}

/** For each cost the clean tap with the least data to carry, where any is clean: among those `compile` chooses. */
function candidatesOf({ taps }: ExitPlan): Tap[] {
  const clean = taps.filter(isClean);
  const best = new Map<number, Tap>();
  for (const tap of clean.length > 0 ? clean : taps) {
    const rival = best.get(tap.prefixMacs);
    if (!rival || tap.liveBytes <= rival.liveBytes) best.set(tap.prefixMacs, tap);
  }
  return [...best.values()];
}

/** Both in the order of their cost, which taps and rejected values are each in already. */
const merged = (taps: readonly Tap[], rejected: readonly RejectedTap[]): Place[] =>
  [...taps, ...rejected].sort((a, b) => a.relativeCost - b.relativeCost);

/** Neighbours of one shape belong together; a rejected value, whose shape is not known, to what is before it. */
function stagesOf(places: readonly Place[]): { shape: readonly number[]; members: Place[] }[] {
  const stages: { shape: readonly number[]; members: Place[] }[] = [];
  for (const place of places) {
    const current = stages.at(-1);
    const shape = isTap(place) ? place.dims : (current?.shape ?? []);
    if (current && current.shape.join() === shape.join()) current.members.push(place);
    else stages.push({ shape, members: [place] });
  }
  return stages;
}

/** The end of a long name tells more than its beginning. */
const fitted = (name: string, width: number) =>
  name.length <= width ? name.padEnd(width) : `…${name.slice(1 - width)}`;

/** A bar of `share` of `cells` columns, in eighths of one. */
function bar(share: number, cells: number): string {
  const eighths = Math.round(Math.min(1, Math.max(0, share)) * cells * 8);
  const rest = ' ▏▎▍▌▋▊▉'[eighths % 8]!.trim();
  return `${'█'.repeat(eighths >> 3)}${rest}`.padEnd(cells);
}

const carried = ({ liveBytes, live }: Tap) =>
  `${(liveBytes / 1024).toFixed(1)} kB${live.length > 1 ? ` ×${live.length}` : ''}`.padStart(CARRIED);

function legend(plan: ExitPlan, all: boolean, shown: number): string {
  const lines = [
    `● exit, + MACs of its head  ○ candidate${all ? '  · tap that carries much or has a better neighbour  × no place for an exit' : ''}`,
    'carries: what a sample takes along from there (×2: two values).',
  ];
  if (plan.exits.length === 0) lines.unshift('There is no place for an exit in this model.');
  const hidden = plan.taps.length - shown;
  if (hidden > 0)
    lines.push(`${hidden} more taps carry much else along or cost the same as one shown (--all shows them).`);
  if (!all && plan.rejected.length > 0) {
    lines.push('Rejected:');
    for (const [reason, count] of reasonsOf(plan.rejected)) lines.push(`  ${count} × ${reason}`);
  }
  const uncounted = Object.entries(plan.notCounted).map(([op, count]) => `${count} ${op}`);
  if (uncounted.length > 0) lines.push(`MACs do not count: ${uncounted.join(', ')}.`);
  return lines.join('\n');
}
