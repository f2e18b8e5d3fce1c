/** A small compiled package, samples, and what the package itself answers: for code in other languages that runs the same model. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import * as ort from 'onnxruntime-node';
import * as assert from 'uvu/assert';
import { compile } from '../src/commands/compile.ts';
import { serializeModel } from '../src/parser/index.ts';
import { tinyResidual } from './models.ts';
import { tinyProject } from './tiny-project.ts';
import { tinySamples } from './tiny-samples.ts';

export const SAMPLES = 60;
/** Of one sample, as the README's code feeds it. */
export const DIMS = [3, 8, 8];

export interface Answer {
  readonly index: number;
  /** As `exit_index` counts. */
  readonly exit: number;
}

export async function emittedSubject(name: string) {
  const project = tinyProject(name);
  // One whose samples leave at several exits.
  writeFileSync(project.model, serializeModel(tinyResidual({ seed: 34 })));
  await project.writeSamples({ train: 600, calibration: 400, test: 200 });
  const folder = project.at('out');
  const { manifest } = await compile(
    project.compileOptions('out', { epochs: 10, budgets: [0.6], at: 'budget-0.6' }),
  );
  const { planar } = await tinySamples(project.model, SAMPLES, 77);
  /** float32 [SAMPLES, ...DIMS], little-endian. */
  writeFileSync(join(folder, 'samples.bin'), new Uint8Array(planar.buffer));
  const { TinyNet } = await import(pathToFileURL(join(folder, 'index.js')).href);
  const model = await TinyNet.load(ort);
  const exits = [...manifest.exits.map(({ id }) => id), 'full'];
  const answersTo = async (input: Float32Array): Promise<Answer[]> => {
    const results = (await model.classify(input)) as { index: number; exitId: string }[];
    return results.map(({ index, exitId }) => ({ index, exit: exits.indexOf(exitId) }));
  };
  const answers = await answersTo(planar);
  const toZeros = await answersTo(new Float32Array(DIMS.reduce((a, b) => a * b)));
  await model.release();
  assert.ok(new Set(answers.map(({ exit }) => exit)).size > 1, 'samples leave early and late');
  const readme = readFileSync(join(folder, 'README.md'), 'utf8');
  return {
    folder,
    /** To the samples of samples.bin, at the default point. */
    answers,
    toZeros,
    /** The README's code in `language`. */
    code: (language: string) => new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``).exec(readme)![1]!,
    remove: project.remove,
  };
}
