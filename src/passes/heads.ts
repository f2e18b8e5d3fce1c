/** Head families: small classifier graphs that an exit hangs on a tap. Every graph starts in training form. */
import { cannotHead } from '../errors.ts';
import { GraphBuilder } from '../graph/builder.ts';
import { bindDims, countMacs } from '../graph/infer.ts';
import { elementCount, floatTensor } from '../graph/tensor.ts';
import type { Graph } from '../graph/types.ts';
import type { HeadKind } from './exits.ts';

export interface HeadOptions {
  readonly seed: number;
  /** Share of the pooled vector that the classifier does not see while training; 0.1 by default. */
  readonly dropout?: number;
  /** Scales the channels of the `strided` family; 1 by default. */
  readonly width?: number;
}

/** Name of the value [N, F] that classifier and confidence read. */
export const POOLED = 'pooled';

/** Convolutions of the seed's family, stride 1, C → C (PTEENet, eenet.py:104-175). */
const SEED_DEPTH: Partial<Record<HeadKind, number>> = { conv: 1, conv2: 2, conv3: 3 };

/** `strided`: channels double up to this with each halving of the map, and end at `LAST`. */
const WIDEST = 64;
const LAST = { few: 96, many: 256 };
/** Channels in a block of ONNX Runtime's blocked layout: other channel counts fall out of it. */
const BLOCK = 16;
/** Hidden units in front of the classifier where there is no map to convolve. */
const HIDDEN = 128;

/**
 * Input `features` [N, ...tapDims], outputs `logits` [N, classes] and `confidence` [N]; the vector both read is the
 * value `pooled` [N, F]. Tap dims: [F], tokens [L, D] (their mean is taken), or a map [C, H, W].
 * Parameters are float initializers named `conv1/weight`, `bn1/scale`, `classifier/weight`, …; same seed, same bytes.
 */
export function buildHead(
  kind: HeadKind,
  tapDims: readonly number[],
  classes: number,
  options: HeadOptions,
): Graph {
  if (tapDims.length < 1 || tapDims.length > 3 || tapDims.some((d) => d < 1)) throw cannotHead(kind, tapDims);
  const b = new HeadBuilder(options.seed);
  const features = b.input('features', 'float', ['N', ...tapDims]);
  const [channels, height, width] = tapDims as [number, number, number];
  const depth = SEED_DEPTH[kind];

  let size: number;
  if (tapDims.length < 3) {
    const vector =
      tapDims.length === 1 ? features : b.pool(b.op('Transpose', [features], { perm: [0, 2, 1] }));
    const hidden = kind !== 'pool';
    size = hidden ? HIDDEN : tapDims.at(-1)!;
    if (hidden) b.op('Relu', [b.linear('hidden', vector, tapDims.at(-1)!, HIDDEN)], {}, POOLED);
    else b.op('Flatten', [vector], { axis: 1 }, POOLED);
  } else {
    const widths =
      depth === undefined ? [] : Array.from({ length: depth }, () => ({ to: channels, stride: 1 }));
    if (kind === 'strided') widths.push(...stridedPlan(channels, height, width, classes, options.width ?? 1));
    let map = features;
    size = channels;
    widths.forEach(({ to, stride }, i) => {
      map = b.convolve(i + 1, map, size, to, stride);
      size = to;
    });
    b.pool(map, POOLED);
  }

  const seen = options.dropout === 0 ? POOLED : b.dropout(POOLED, options.dropout ?? 0.1);
  b.linear('classifier', seen, size, classes, 0.1, 'logits');
  const sure = b.op('Sigmoid', [b.linear('confidence', POOLED, size, 1, 0.1, b.fresh('sure'))]);
  b.op('Reshape', [sure, b.int64([-1])], {}, 'confidence');
  b.output('logits', 'float', ['N', classes]);
  b.output('confidence', 'float', ['N']);
  return b.build(`head_${kind}`);
}

/** MACs of `head` for one sample. */
export const headMacs = (head: Graph): number => countMacs(bindDims(head, { N: 1 }));

/**
 * Halve the map until 4×4 is reached, doubling the channels up to 64, then one convolution to 96 (256 for more than 96
 * classes). Channels are whole blocks.
 */
function stridedPlan(channels: number, height: number, width: number, classes: number, scale: number) {
  const round = (c: number) => Math.max(BLOCK, Math.round((c * scale) / BLOCK) * BLOCK);
  const stages: { to: number; stride: number }[] = [];
  let wide = channels;
  for (let side = Math.max(height, width); side > 4; side = Math.ceil(side / 2)) {
    wide = Math.min(2 * wide, WIDEST);
    stages.push({ to: round(wide), stride: 2 });
  }
  stages.push({ to: round(classes > LAST.few ? LAST.many : LAST.few), stride: 1 });
  return stages;
}

class HeadBuilder extends GraphBuilder {
  constructor(private readonly seed: number) {
    super();
  }

  /** Conv3x3 without bias → BatchNormalization → Relu. */
  convolve(index: number, map: string, from: number, to: number, stride: number): string {
    const weight = this.normal(`conv${index}/weight`, [to, from, 3, 3], Math.sqrt(2 / (9 * from)));
    const attributes = { kernel_shape: [3, 3], pads: [1, 1, 1, 1], strides: [stride, stride] };
    const conv = this.op('Conv', [map, weight], attributes, this.fresh(`conv${index}`));
    const constant = (part: string, value: number) =>
      this.initializer(floatTensor(`bn${index}/${part}`, [to], new Float32Array(to).fill(value)));
    const statistics = [constant('scale', 1), constant('bias', 0), constant('mean', 0), constant('var', 1)];
    const norm = this.op(
      'BatchNormalization',
      [conv, ...statistics],
      { epsilon: 1e-5 },
      this.fresh(`bn${index}`),
    );
    return this.op('Relu', [norm], {}, this.fresh(`relu${index}`));
  }

  /** [N, C, …] → mean over all later axes [N, C]. */
  pool(map: string, as?: string): string {
    return this.op('Flatten', [this.op('GlobalAveragePool', [map])], { axis: 1 }, as);
  }

  /** [N, from] → [N, to]. `gain` below 1 starts the layer small, so that training starts at near-uniform scores. */
  linear(name: string, vector: string, from: number, to: number, gain = 1, as = this.fresh(name)): string {
    const weight = this.normal(`${name}/weight`, [to, from], gain * Math.sqrt(2 / from));
    const bias = this.initializer(floatTensor(`${name}/bias`, [to], new Float32Array(to)));
    return this.op('Gemm', [vector, weight, bias], { transB: 1 }, as);
  }

  dropout(vector: string, ratio: number): string {
    return this.op('Dropout', [vector, this.float(ratio)]);
  }

  /** Normal weights; `deviation` √(2 / fan-in) keeps variances through Relu (He et al. 2015, eq. 10). */
  private normal(name: string, dims: readonly number[], deviation: number): string {
    const gaussian = gaussians(this.seed, name);
    const values = Float32Array.from({ length: elementCount(dims) }, () => deviation * gaussian());
    return this.initializer(floatTensor(name, dims, values));
  }
}

/** Standard normals (Box and Muller 1958, eq. 1) from Mulberry32 (T. Ettinger), one stream for each seed and name. */
function gaussians(seed: number, name: string): () => number {
  let state = [...name].reduce((hash, c) => Math.imul(hash ^ c.charCodeAt(0), 0x01000193), seed ^ 0x811c9dc5);
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}
