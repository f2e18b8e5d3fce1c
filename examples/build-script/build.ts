/**
 * Compiles a model as a step of a build, by the API instead of the command line, and fails the build when the result is not good enough.
 *
 *   npx tsx examples/build-script/build.ts [folder to write]     in a clone of the repository
 *
 * For a project of yours, copy it, import from 'onnx-offramp', and let `optionsIn` give your files: the demo's model and pictures are not part of the npm package.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type CompileOptions, compile, type Events, OfframpError } from '../../src/index.ts';
import { CLASSES, drawSamples, writeNpz } from '../demo/shapes.ts';

/** Points of accuracy that the default operating point may lose, and MACs that it may take, as shares. */
const LIMITS = { loss: 0.05, cost: 0.95 };

const out = process.argv[2] ?? 'out/build-script';
const stop = new AbortController();
process.once('SIGINT', () => stop.abort());

const events: Events = {
  onNote: ({ level, message }) => console.error(`${level}: ${message}`),
  onProgress: ({ phase, done, total }) => {
    if (done === total) console.error(`${phase}: done`);
  },
  signal: stop.signal,
};

const folder = mkdtempSync(join(tmpdir(), 'offramp-build-'));
try {
  const { manifest } = await compile(optionsIn(folder), events);
  const point = manifest.operatingPoints.find(({ name }) => name === manifest.defaultPoint)!;
  const loss = manifest.baseline.accuracy - point.accuracy;
  console.log(
    `${out}: ${point.name} loses ${(100 * loss).toFixed(2)} points at ${(100 * point.relativeCost).toFixed(1)} % of the MACs`,
  );
  if (loss > LIMITS.loss || point.relativeCost > LIMITS.cost) {
    console.error('The model is not good enough: exits leave too much, or save too little.');
    process.exitCode = 1;
  }
} catch (error) {
  if (!(error instanceof OfframpError)) throw error;
  console.error(`${error.message} [${error.code}]\n  ${error.hint}`);
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** The demo's model, and pictures drawn into `folder` where yours has data. */
function optionsIn(folder: string): CompileOptions {
  const draw = (split: string, count: number, seed: number): string => {
    const path = join(folder, `${split}.npz`);
    writeNpz(path, drawSamples(count, seed));
    return path;
  };
  const labels = join(folder, 'labels.txt');
  writeFileSync(labels, CLASSES.join('\n'));
  return {
    model: fileURLToPath(new URL('../demo/base.onnx', import.meta.url)),
    train: draw('train', 400, 1),
    calibration: draw('calibration', 300, 2),
    test: draw('test', 60, 3),
    labels,
    preset: 'unit',
    exits: 2,
    epochs: 3,
    views: 1,
    batch: 64,
    budgets: [0.7],
    out,
    force: true,
    // The same inputs give the same bytes.
    timing: false,
    threads: 1,
    cache: join(folder, 'cache'),
  };
}
