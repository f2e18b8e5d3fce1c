/** The compiler's own answers. */
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { evaluate } from '../../src/commands/evaluate.ts';
import { openDataset, type Preprocessing } from '../../src/data/index.ts';
import { readPackage } from '../../src/emit/read-package.ts';
import { withSession } from '../../src/ort/session.ts';
import { argMaxRows } from '../../src/policies/rows.ts';
import { accuracyOf } from '../../src/predict/predict.ts';
import { runEmitted } from '../../src/predict/run-emitted.ts';
import type { Answer } from './compare.ts';
import type { Subject } from './subjects.ts';

export interface Evaluated {
  readonly answers: Record<string, Answer[]>;
  readonly points: Record<string, { readonly thresholds: readonly number[] }>;
}

/** Picture by picture at every operating point, and checked to add up to what `npx onnx-offramp evaluate` reports. */
export async function evaluated({ folder, pictures }: Subject, cache: string): Promise<Evaluated> {
  const batch = 64;
  const { measured } = await evaluate({ folder, test: pictures, batch, cache });
  const manifest = await readPackage(folder);
  const { labels, classes, operatingPoints, outputs } = manifest;
  const dataset = await openDataset(pictures, {
    inputs: manifest.inputs.map((input) => ({ ...input, dims: input.dims.slice(1) as number[] })),
    preprocessing: manifest.preprocessing as Preprocessing,
    cache,
    classes,
    ...(labels && { labels }),
  });
  const answers: Record<string, Answer[]> = {};
  await withSession(join(folder, 'model.onnx'), {}, async (session) => {
    for (const [i, { name, thresholds }] of operatingPoints.entries()) {
      const run = { session, dataset, output: outputs.scores, thresholds, batch };
      const { exits, confidence, scores } = await runEmitted(run);
      const given = argMaxRows(scores, dataset.size);
      answers[name] = Array.from(given, (index, n) => ({
        label: labels?.[index] ?? index,
        exit: exits[n]!,
        probability: softmax(scores.subarray(n * classes, (n + 1) * classes))[index]!,
        confidence: confidence[n]!,
      }));
      const { accuracy, exitShares } = measured.operatingPoints[i]!;
      assert.is(accuracyOf(given, dataset.labels), accuracy, name);
      assert.equal(
        exitShares.map((_, exit) => exits.filter((taken) => taken === exit).length / dataset.size),
        exitShares,
        name,
      );
    }
  });
  await dataset.close();
  return { answers, points: Object.fromEntries(operatingPoints.map((point) => [point.name, point])) };
}

function softmax(logits: Float32Array): number[] {
  const powers = Array.from(logits, Math.exp);
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / sum);
}
