/** How training went, thinned: what a report draws and a manifest keeps. */
import type { TrainProgress } from './train-options.ts';

/** Running means of the loss at some steps. */
export interface LossCurve {
  /** Counted from 1, rising; the first and the last are among them. */
  readonly steps: readonly number[];
  /** By exit id, or `joint`: one value a step, to four digits. */
  readonly losses: Readonly<Record<string, readonly number[]>>;
}

const MOST_POINTS = 60;

/** Collects a curve, from `begun` on: `follow` takes the progress of every step in order, `curve` is what there is so far. */
export function lossCurve(begun: LossCurve = { steps: [], losses: {} }): {
  follow(progress: TrainProgress): void;
  readonly curve: LossCurve;
} {
  const steps = [...begun.steps];
  const losses = Object.fromEntries(Object.entries(begun.losses).map(([id, values]) => [id, [...values]]));
  const part = (done: number, total: number) => Math.floor((done * (MOST_POINTS - 1)) / total);
  return {
    follow({ done, total, losses: now }) {
      if (done > 1 && part(done, total) === part(done - 1, total)) return;
      steps.push(done);
      for (const [id, loss] of Object.entries(now)) {
        losses[id] ??= [];
        losses[id].push(short(loss));
      }
    },
    curve: { steps, losses },
  };
}

/** `curve` with the step at which training ended, which is none of its own where a limit ended it; `last` has the running means there. */
export function endedAt(curve: LossCurve, step: number, last: Readonly<Record<string, number>>): LossCurve {
  if (curve.steps.at(-1) === step) return curve;
  const losses = Object.entries(curve.losses).map(([id, values]) => [id, [...values, short(last[id]!)]]);
  return { steps: [...curve.steps, step], losses: Object.fromEntries(losses) };
}

const short = (loss: number) => Number(loss.toPrecision(4));
