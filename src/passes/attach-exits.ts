/** One untrained head for every planned exit. */
import type { ExitPlan, Head, HeadKind, PlannedExit } from './exits.ts';
import { buildHead, headMacs } from './heads.ts';

export interface AttachOptions {
  readonly kind: HeadKind;
  readonly seed: number;
  readonly dropout?: number;
  /** A `strided` head is narrowed until it costs at most this share of the model's MACs; 0.05 by default. */
  readonly maxShare?: number;
}

const WIDTHS = [1, 0.75, 0.5, 0.375, 0.25, 0.125];

/** Heads in training form, in the order samples meet them. Deterministic: exit and seed decide every weight. */
export function attachExits(plan: ExitPlan, options: AttachOptions): readonly Head[] {
  const limit = (options.maxShare ?? 0.05) * plan.totalMacs;
  return plan.exits.map((exit, i) => {
    const candidates = (options.kind === 'strided' ? WIDTHS : [1]).map((width) => make(exit, i, width));
    return candidates.find((head) => head.macs <= limit) ?? candidates.at(-1)!;
  });

  function make(exit: PlannedExit, i: number, width: number): Head {
    const { kind, seed, dropout } = options;
    const sized = { seed: seed + 7919 * i, width, ...(dropout === undefined ? {} : { dropout }) };
    const graph = buildHead(kind, exit.tap.dims, plan.typed.classes, sized);
    return { exit, kind, graph, macs: headMacs(graph) };
  }
}
