import { unsupportedInputType } from '../errors/index.ts';
import { Random } from '../graph/random.ts';
import { elementCount } from '../graph/tensor.ts';
import type { DataType } from '../graph/types.ts';
import { combinedInput, imageShape } from './preprocessing.ts';
import type { Source, SourceOptions } from './records.ts';

const DEFAULT_COUNT = 256;
const BLOCK_SAMPLES = 64;
const SEED = 1;

const even = (random: Random) => random.uniform() * 2 - 1;
const bit = (random: Random) => random.integer(0, 2);

/** A number for an input of each type; integers may be indices, so they stay small. */
const DRAW: Partial<Record<DataType, (random: Random) => number>> = {
  float: even,
  double: even,
  float16: even,
  int64: bit,
  int32: bit,
  bool: bit,
  uint8: (random) => random.integer(0, 256),
  int8: (random) => random.integer(-128, 128),
};

const RANDOM = /^random(?::(\d+))?$/;

/** Whether `path` stands for random samples. */
export const isRandom = (path: string): boolean => RANDOM.test(path);

/**
 * What `random` or `random:512` stand for: samples without labels, drawn so that floats are uniform in [-1, 1] after
 * preprocessing. Undefined for every other path.
 */
export function randomSource(path: string, options: SourceOptions): Source | undefined {
  const { inputs, preprocessing, split = '' } = options;
  const [match, size] = RANDOM.exec(path) ?? [];
  if (match === undefined) return undefined;
  const count = size === undefined ? DEFAULT_COUNT : Number(size);
  const { dims } = combinedInput(inputs);
  const draws = inputs.flatMap(({ name, dims, dataType }) => {
    const draw = DRAW[dataType];
    if (!draw) throw unsupportedInputType(name, dataType);
    return Array.from({ length: elementCount(dims) }, () => draw);
  });
  const { scale, mean, std, layout, channels } = preprocessing;
  const shape = imageShape(dims, layout);
  const plane = shape && layout === 'NCHW' ? shape.height * shape.width : 1;
  const channelOf = (element: number) => {
    const channel = Math.floor(element / plane) % mean.length;
    return channels === 'bgr' ? mean.length - 1 - channel : channel;
  };
  return {
    format: 'random',
    path,
    files: [],
    decode: [SEED, split, inputs, preprocessing],
    count: async () => count,
    dims,
    dtype: 'float',
    classNames: undefined,
    async *blocks() {
      const random = new Random(SEED, 'random samples', split);
      for (let at = 0; at < count; at += BLOCK_SAMPLES) {
        const n = Math.min(BLOCK_SAMPLES, count - at);
        const rows = Float32Array.from({ length: n * draws.length }, (_, i) => {
          const element = i % draws.length;
          const c = channelOf(element);
          return (draws[element]!(random) * std[c]! + mean[c]!) * scale;
        });
        yield { records: new Uint8Array(rows.buffer), labels: new Int32Array(n), skipped: [] };
      }
    },
  };
}
