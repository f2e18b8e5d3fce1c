/** Step 4 of 5: how long the original and the emitted model take, in turn. */
import { benchmarkEmitted, type Latency } from '../../predict/measure-latency.ts';
import type { CompileContext } from '../project.ts';
import type { Calibrated } from './calibrated.ts';
import type { Emitted } from './lower-and-verify.ts';

/** By the point's name, and of the original; a model with thresholds built in runs at its default point only. */
export async function measureLatency(
  { inspection, predicting, progress }: CompileContext,
  { points: { points, defaultPoint }, reported }: Calibrated,
  { model, baked, session }: Emitted,
): Promise<ReadonlyMap<string, Latency>> {
  return await benchmarkEmitted({
    model,
    original: inspection.typed.model,
    dataset: reported.dataset,
    points: baked ? [defaultPoint] : points,
    baked: baked !== undefined,
    session,
    signal: predicting.signal,
    onProgress: progress('timing', 'runs'),
  });
}
