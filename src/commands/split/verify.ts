/** Runs client and server against the whole model, on noise and on samples where they are given. */
import { join } from 'node:path';
import { type Events, progressOf } from '../../errors/events.ts';
import { cannotBatch } from '../../errors/index.ts';
import type { TensorSpec } from '../../export/triton-config.ts';
import { classifierOutputs } from '../../export/triton-model.ts';
import { withSession } from '../../ort/session.ts';
import { openSamples } from '../open-samples.ts';
import type { SplitOptions } from '../split-options.ts';
import { batchesOf, checkSplit, noiseSamples, type SplitAgreement } from './check.ts';
import type { PartFile, Splitting } from './parts.ts';
import type { Rest } from './rests.ts';
import { type Running, withStages } from './run.ts';

export interface Verified {
  readonly verified: SplitAgreement;
  /** Of each rest: scores, exit and confidence. */
  readonly outputs: readonly (readonly TensorSpec[])[];
}

/** Samples of `calibration` that are compared. */
const SAMPLES = 70;

/** Throws `emitted-model-differs` where they answer otherwise, and `cannot-batch` where a served model takes one sample and should take any number. */
export async function verifySplit(
  splitting: Splitting,
  client: PartFile | undefined,
  rests: readonly Rest[],
  options: SplitOptions,
  running: Running,
  events: Events,
): Promise<Verified> {
  const { manifest, pixels, cut } = splitting;
  const samples = [...noiseSamples(manifest, pixels), ...(await givenSamples(splitting, options, events))];
  const model = join(options.folder, 'model.onnx');
  const progress = progressOf(events)('verifying', 'models');
  return await withSession(model, running.session, (whole) =>
    withStages(client ? [client] : [], running, async ([clientStage]) => {
      const sides = { manifest, whole, client: clientStage };
      const found: SplitAgreement[] = [];
      const outputs: TensorSpec[][] = [];
      for (const [n, { file, parts, points }] of rests.entries()) {
        const compare = (files: readonly PartFile[], and: (spec: TensorSpec[]) => void = () => {}) =>
          withStages(files, running, async (stages) => {
            and(classifierOutputs(stages[0]!.session, manifest));
            found.push(await checkSplit(sides, { points, stages }, samples, cut, events.signal));
          });
        await compare([file], (spec) => outputs.push(spec));
        if (parts.length > 0) await compare(parts);
        progress(n + 1, rests.length);
      }
      for (const { name, dims } of manifest.batch === 'dynamic' ? outputs.flat() : [])
        if (dims[0] !== -1) throw cannotBatch(name, dims);
      return { verified: together(found), outputs };
    }),
  );
}

async function givenSamples({ manifest, pixels }: Splitting, options: SplitOptions, events: Events) {
  const { calibration } = options;
  if (calibration === undefined) return [];
  const dataset = await openSamples(calibration, 'calibration', manifest, options, events);
  try {
    return await batchesOf(dataset, manifest, pixels, SAMPLES);
  } finally {
    await dataset.close();
  }
}

const together = (found: readonly SplitAgreement[]): SplitAgreement => ({
  answers: found.reduce((sum, { answers }) => sum + answers, 0),
  deviation: Math.max(0, ...found.map(({ deviation }) => deviation)),
});
