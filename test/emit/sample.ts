/** Manifests for tests: one whole sample, and ways to vary it. */
import type { Manifest, ManifestExit, OperatingPoint } from '../../src/emit/manifest.ts';

const TOTAL = 1000;

/** Exits at equal distances, each head 2 % of the model. */
export function sampleExits(count: number): ManifestExit[] {
  return Array.from({ length: count }, (_, k) => {
    const prefixMacs = Math.round((TOTAL * (k + 1)) / (count + 1));
    const costMacs = prefixMacs + 20 * (k + 1);
    const id = `exit_${k + 1}`;
    return { id, tap: `relu_${k + 1}`, head: 'strided', prefixMacs, headMacs: 20, costMacs, relativeCost: costMacs / TOTAL };
  }); // biome-ignore format: one row
}

export function samplePoint(
  name: string,
  thresholds: readonly number[],
  relativeCost: number,
): OperatingPoint {
  const shares = [...thresholds, 1].map(() => 1 / (thresholds.length + 1));
  const closed = [...thresholds.map(() => 0), 1];
  return {
    name,
    policy: 'confidence',
    thresholds: thresholds.map(Math.fround),
    accuracy: name === 'exact' ? 0.93 : 0.925,
    agreement: name === 'exact' ? 1 : 0.97,
    relativeCost,
    latencyMsP50: null,
    exitShares: name === 'exact' ? closed : shares,
  };
}

/** An image classifier of three labelled classes with two exits, dynamic batch. */
export const SAMPLE: Manifest = {
  schemaVersion: 1,
  version: '0.1.0',
  source: { file: 'pets.onnx', sha256: '5e'.repeat(32), opset: 13, producer: 'pytorch 2.1' },
  seed: 1,
  recipe: 'distill',
  policy: 'confidence',
  calibration: { target: 'accuracy', budgets: [0.7], maxAccuracyDrops: [0.005], confidence: 0.95 },
  classes: 3,
  labels: ['cat', 'dog', "cow's calf"],
  inputs: [{ name: 'pixels', dataType: 'float', dims: ['N', 3, 2, 2] }],
  outputs: {
    scores: 'logits',
    exitIndex: 'exit_index',
    exitConfidence: 'exit_confidence',
    thresholds: 'thresholds',
  },
  activation: 'none',
  batch: 'dynamic',
  preprocessing: {
    scale: 255,
    mean: [0.485, 0.456, 0.406],
    std: [0.229, 0.224, 0.225],
    layout: 'NCHW',
    channels: 'rgb',
    resize: 'cover',
  },
  exits: sampleExits(2),
  baseline: { accuracy: 0.93, macs: TOTAL, latencyMsP50: 1.25 },
  operatingPoints: [
    samplePoint('fast', [0.3, 0.25], 0.5),
    samplePoint('balanced', [0.7, 0.65], 0.7),
    samplePoint('exact', [1, 1], 1),
  ],
  defaultPoint: 'balanced',
  measuredOn: 'test',
  latency: {
    batch: 1,
    threads: 2,
    warmup: 20,
    runs: 200,
    provider: 'cpu',
    p95s: { baseline: 1.5, fast: 0.9, balanced: 1.25, exact: 1.625 },
  },
  data: {
    train: { samples: 900, hash: 'aa11' },
    calibration: { samples: 100, hash: 'bb22', from: 'split of train' },
    test: { samples: 50, hash: 'cc33' },
  },
  sessionOptions: { provider: 'cpu', threads: null, spinning: false, optimization: 'all' },
  environment: { node: '20.20.2', onnxruntime: '1.30.0', platform: 'linux-x64' },
};

/** A chain: a small network, whose end is `exit_1`, then that of `SAMPLE` with a head at half of it, `exit_2`. */
export const CHAIN: Manifest = {
  ...SAMPLE,
  networks: [
    { id: 'first_1', file: 'kitten.onnx', sha256: '1c'.repeat(32), macs: 200, relativeCost: 0.2, adapter: ['NHWC'], accuracy: 0.875 },
    { id: 'original', file: 'pets.onnx', sha256: SAMPLE.source.sha256, macs: TOTAL, relativeCost: 1 },
  ],
  leftOut: [{ file: 'mouse.onnx', sha256: '2d'.repeat(32), relativeCost: 0.05 }],
  exits: [
    { id: 'exit_1', network: 0, tap: 'first_1/scores', head: 'end', prefixMacs: 200, headMacs: 0, costMacs: 200, relativeCost: 0.2 },
    { id: 'exit_2', network: 1, tap: 'relu_5', head: 'strided', prefixMacs: 500, headMacs: 20, costMacs: 720, relativeCost: 0.72 },
  ],
}; // biome-ignore format: one row

/** A manifest without labels. */
export function unlabelled({ labels: _, ...rest }: Manifest): Manifest {
  return rest;
}
