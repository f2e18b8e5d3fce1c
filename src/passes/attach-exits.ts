/** One untrained head for every planned exit. */
import { wrongHeadCount } from '../errors/index.ts';
import type { ExitPlan, Head, HeadKind, PlannedExit, Tap } from './exits.ts';
import { buildHead, headMacs } from './heads.ts';

export interface AttachOptions {
  /** One for all exits, or one an exit; by default `token` at tokens and `strided` elsewhere. */
  readonly kind?: HeadKind | readonly HeadKind[] | undefined;
  readonly seed: number;
  readonly dropout?: number;
  /** A `strided` or `residual` head is narrowed until it costs at most this share of the model's MACs; 0.05 and 0.1 a block by default. */
  readonly maxShare?: number;
}

const WIDTHS = [1, 0.75, 0.5, 0.375, 0.25, 0.125];
const MOST: Partial<Record<HeadKind, number>> = {
  strided: 0.05,
  residual: 0.1,
  residual2: 0.2,
  residual3: 0.3,
};

const usualKind = ({ dims, channelAxis }: Tap): HeadKind =>
  dims.length === 2 && channelAxis === 1 ? 'token' : 'strided';

/** Heads in training form, in the order samples meet them. Deterministic: every weight follows from exit and seed. Throws `wrong-head-count`. */
export function attachExits(plan: ExitPlan, options: AttachOptions): readonly Head[] {
  const kinds = [options.kind ?? plan.exits.map(({ tap }) => usualKind(tap))].flat();
  if (kinds.length !== 1 && kinds.length !== plan.exits.length)
    throw wrongHeadCount(kinds.length, plan.exits.length);
  return plan.exits.map((exit, i) => {
    const kind = kinds[i] ?? kinds[0]!;
    const most = MOST[kind];
    const limit = (options.maxShare ?? most ?? 1) * plan.totalMacs;
    let head: Head | undefined;
    for (const width of most === undefined ? [1] : WIDTHS) {
      head = make(exit, i, kind, width);
      if (head.macs <= limit) break;
    }
    return head!;
  });

  function make(exit: PlannedExit, i: number, kind: HeadKind, width: number): Head {
    const { seed, dropout } = options;
    const { channelAxis } = exit.tap;
    const sized = {
      seed: seed + 7919 * i,
      width,
      channelAxis,
      ...(dropout === undefined ? {} : { dropout }),
    };
    const graph = buildHead(kind, exit.tap.dims, plan.typed.classes, sized);
    return { exit, kind, graph, macs: headMacs(graph) };
  }
}
