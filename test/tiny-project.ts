/** What tests compile: a small network, labelled samples of it, and a temporary folder for what comes out. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { CompileOptions } from '../src/commands/compile.ts';
import type { Model } from '../src/graph/types.ts';
import { serializeModel } from '../src/parser/index.ts';
import { tinyResidual } from './models.ts';
import { writeTinySamples } from './tiny-samples.ts';

const WEIGHTS = 'weights.bin';

/** `common`: options of every compile. */
export function tinyProject(name: string, common: Partial<CompileOptions> = {}) {
  const folder = mkdtempSync(join(tmpdir(), `offramp-${name}-`));
  const at = (path: string) => join(folder, path);
  const model = at('tiny-net.onnx');
  writeFileSync(model, serializeModel(tinyResidual({ seed: 4 })));
  return {
    folder,
    at,
    model,
    /** `<split>.npz` for every split, of so many samples. */
    async writeSamples(splits: Readonly<Record<string, number>>): Promise<void> {
      for (const [split, count] of Object.entries(splits))
        await writeTinySamples(model, at(`${split}.npz`), count, count + split.length);
    },
    /**
     * On one thread: with more, heads train on worker threads, each of which takes seconds to load the sources. And without a report, which
     * takes longer than all else of so small a model, as timing does.
     */
    compileOptions: (out: string, more: Partial<CompileOptions> = {}): CompileOptions => ({
      model,
      train: at('train.npz'),
      calibration: at('calibration.npz'),
      test: at('test.npz'),
      preset: 'unit',
      out: at(out),
      cache: at('cache'),
      taps: ['stem', 'block1', 'block2'],
      batch: 64,
      threads: 1,
      report: false,
      timing: false,
      ...common,
      ...more,
    }),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** On as many threads as there are cores, as when nothing is said. */
export const onAllThreads = ({ threads: _, ...options }: CompileOptions): CompileOptions => options;

/** For a model with exits of its own: none is placed, nothing is trained. */
export function withoutTraining(options: CompileOptions): CompileOptions {
  const { train: _, taps: __, batch: ___, epochs: ____, views: _____, ...rest } = options;
  return rest;
}

/** Writes `model` to `path` and its weights beside it, as weights.bin; shapes, which have to be known on loading, stay. */
export function writeWithExternalData(model: Model, path: string): void {
  const { graph } = model;
  let offset = 0;
  const weights = graph.initializers.filter(({ dataType }) => dataType !== 'int64');
  const initializers = graph.initializers.map((tensor) => {
    if (!weights.includes(tensor)) return tensor;
    const length = tensor.bytes.byteLength;
    const external = { location: WEIGHTS, offset, length };
    offset += length;
    return { ...tensor, bytes: new Uint8Array(), external };
  });
  writeFileSync(join(dirname(path), WEIGHTS), Buffer.concat(weights.map(({ bytes }) => bytes)));
  writeFileSync(path, serializeModel({ ...model, graph: { ...graph, initializers } }));
}
