/** Head families: small classifier graphs that an exit hangs on a tap. Every graph starts in training form. */

import { cannotHead } from '../errors/index.ts';
import { bindDims, countMacs } from '../graph/infer.ts';
import type { Graph } from '../graph/types.ts';
import type { HeadKind } from './exits.ts';
import { BLOCK, LayerBuilder } from './layers.ts';

export interface HeadOptions {
  readonly seed: number;
  /** Share of the pooled vector that the classifier does not see while training; 0.1 by default. */
  readonly dropout?: number;
  /** Scales the channels of the `strided` and `residual` families; 1 by default. */
  readonly width?: number;
  /** Which of the tap's dims counts channels or features; 0 of a map and the last of tokens by default. */
  readonly channelAxis?: number;
}

/** Name of the value [N, F] that classifier and confidence read. */
export const POOLED = 'pooled';

/** Largest side of a map that `residual` heads put blocks at. */
const LARGEST_BLOCK = 16;

/** `strided` and `residual`: channels double up to this with each halving of the map, which goes on until `SMALLEST`. */
const WIDEST = 64;
const SMALLEST = { strided: 4, residual: 8 };
/** Channels of the last convolution of `strided`, for up to 96 classes and for more. */
const LAST = { few: 96, many: 256 };
/** Hidden units in front of the classifier where there is no map to convolve. */
const HIDDEN = 128;

/**
 * Input `features` [N, ...tapDims], outputs `logits` [N, classes] and `confidence` [N]; the vector both read is the
 * value `pooled` [N, F]. Tap dims: [F], tokens [L, D] (`token` reads the first one and the mean; other kinds the mean), a signal [C, L],
 * a map [C, H, W], or one of three dimensions [C, D, H, W]; a signal is convolved as a map of one row. Channels may stand elsewhere
 * (`channelAxis`).
 * Parameters are float initializers named `conv1/weight`, `bn1/scale`, `classifier/weight`, …; same seed, same bytes.
 */
export function buildHead(
  kind: HeadKind,
  tapDims: readonly number[],
  classes: number,
  options: HeadOptions,
): Graph {
  const rank = tapDims.length;
  if (rank < 1 || rank > 4 || tapDims.some((d) => d < 1)) throw cannotHead(kind, tapDims);
  const axis = options.channelAxis ?? (rank > 2 ? 0 : rank - 1);
  const isSequence = rank === 2 && axis === 1;
  if (kind === 'token' && !isSequence) throw cannotHead(kind, tapDims);
  const b = new HeadBuilder(options.seed);
  const features = b.input('features', 'float', ['N', ...tapDims]);
  let size: number;
  if (rank === 1 || isSequence) {
    const vector = rank === 1 ? features : b.summary(features, kind === 'token');
    const width = tapDims.at(-1)! * (kind === 'token' ? 2 : 1);
    const hidden = kind !== 'pool';
    size = hidden ? HIDDEN : width;
    if (hidden) b.op('Relu', [b.linear('hidden', vector, width, HIDDEN)], {}, POOLED);
    else b.op('Flatten', [vector], { axis: 1 }, POOLED);
  } else {
    const [dims, first] = b.channelsFirst(features, tapDims, axis);
    const layers = LAYERS[kind](dims, classes, options.width ?? 1);
    let map = first;
    size = dims[0];
    for (const layer of layers) {
      map = layer === 'block' ? b.residual(map, size) : b.convolve(map, size, layer.to, layer.stride);
      if (layer !== 'block') size = layer.to;
    }
    b.pool(map, POOLED);
  }

  const pooled = options.dropout === 0 ? POOLED : b.dropout(POOLED, options.dropout ?? 0.1);
  b.linear('classifier', pooled, size, classes, 0.1, 'logits');
  const sure = b.op('Sigmoid', [b.linear('confidence', POOLED, size, 1, 0.1, b.fresh('sure'))]);
  b.op('Reshape', [sure, b.int64([-1])], {}, 'confidence');
  b.output('logits', 'float', ['N', classes]);
  b.output('confidence', 'float', ['N']);
  return b.build(`head_${kind}`);
}

/** MACs of `head` for one sample. */
export const headMacs = (head: Graph): number => countMacs(bindDims(head, { N: 1 }));

/** [C, ...size] of a map. */
type MapDims = readonly [number, ...number[]];

/** Conv (3 wide along every axis) → BatchNormalization → Relu to `to` channels, or two of them with a way around at the same size. */
type Layer = { readonly to: number; readonly stride: number } | 'block';

type Layers = (map: MapDims, classes: number, scale: number) => Layer[];

/** Between a map [C, ...size] and the average over it, by head family. */
const LAYERS: Readonly<Record<HeadKind, Layers>> = {
  strided: ([channels, ...size], classes, scale) => {
    const last = { to: inBlocks(classes > LAST.few ? LAST.many : LAST.few, scale), stride: 1 };
    return [...halvings(channels, Math.max(...size), SMALLEST.strided, scale), last];
  },
  residual: residual(1),
  residual2: residual(2),
  residual3: residual(3),
  conv: conv(1),
  conv2: conv(2),
  conv3: conv(3),
  pool: () => [],
  token: () => [],
};

/** `depth` convolutions of PTEENet's family, stride 1, C → C (Lahiany and Aperstein 2022; eenet.py of their code). */
function conv(depth: number): Layers {
  return ([channels]) => Array.from({ length: depth }, () => ({ to: channels, stride: 1 }));
}

/** `depth` blocks of two convolutions (He et al. 2016, figure 2) at each size up to `LARGEST_BLOCK`. */
function residual(depth: number): Layers {
  return ([channels, ...size], _, scale) => {
    const blocks = Array.from({ length: depth }, () => 'block' as const);
    const halved = halvings(channels, Math.max(...size), SMALLEST.residual, scale);
    if (halved.length === 0) return blocks;
    return halved.flatMap((layer) => (layer.side <= LARGEST_BLOCK ? [layer, ...blocks] : [layer]));
  };
}

/** Convolutions of stride 2 down to `smallest`, each with twice the channels, up to 64. `side`: of the map behind each. */
function halvings(channels: number, side: number, smallest: number, scale: number) {
  const found: { to: number; stride: number; side: number }[] = [];
  let wide = channels;
  for (let now = side; now > smallest; now = Math.ceil(now / 2)) {
    wide = Math.min(2 * wide, WIDEST);
    found.push({ to: inBlocks(wide, scale), stride: 2, side: Math.ceil(now / 2) });
  }
  return found;
}

/** Channels in whole blocks. */
const inBlocks = (channels: number, scale: number) =>
  Math.max(BLOCK, Math.round((channels * scale) / BLOCK) * BLOCK);

class HeadBuilder extends LayerBuilder {
  private convolutions = 0;
  /** Of convolutions: 3, or 1 along an axis that the map does not have. */
  private kernel: readonly number[] = [];

  /** A map or signal of `dims` with its channels at `axis` as a map [C, ...size]: its dims, its name. */
  channelsFirst(features: string, dims: readonly number[], axis: number): readonly [MapDims, string] {
    if (dims.length === 2) {
      this.kernel = [1, 3];
      const [channels, length] = dims as readonly [number, number];
      return [[channels, 1, length], this.op('Reshape', [features, this.int64([-1, channels, 1, length])])];
    }
    const others = [...dims.keys()].filter((i) => i !== axis);
    const size = others.map((i) => dims[i]!);
    this.kernel = size.map((d) => (d > 1 ? 3 : 1));
    const map: MapDims = [dims[axis]!, ...size];
    if (axis === 0) return [map, features];
    const perm = [0, axis + 1, ...others.map((i) => i + 1)];
    return [map, this.op('Transpose', [features], { perm })];
  }

  /** Tokens [N, L, D] → [N, D, 1], their mean, or [N, D, 2], the first one and the mean. */
  summary(tokens: string, withFirst: boolean): string {
    const mean = this.op('GlobalAveragePool', [this.op('Transpose', [tokens], { perm: [0, 2, 1] })]);
    if (!withFirst) return this.op('Flatten', [mean], { axis: 1 });
    const first = this.op('Gather', [tokens, this.int64([0])], { axis: 1 });
    const column = this.op('Transpose', [first], { perm: [0, 2, 1] });
    return this.op('Flatten', [this.op('Concat', [column, mean], { axis: 2 })], { axis: 1 });
  }

  /** Conv without bias → BatchNormalization → Relu. */
  convolve(map: string, from: number, to: number, stride: number): string {
    return this.op(
      'Relu',
      [this.normalised(map, from, to, stride)],
      {},
      this.fresh(`relu${this.convolutions}`),
    );
  }

  /** A residual block of two convolutions, [N, C, ...size] → the same shape. */
  residual(map: string, channels: number): string {
    const inner = this.normalised(this.convolve(map, channels, channels, 1), channels, channels, 1);
    return this.op('Relu', [this.op('Add', [map, inner])], {}, this.fresh(`relu${this.convolutions}`));
  }

  private normalised(map: string, from: number, to: number, stride: number): string {
    const index = ++this.convolutions;
    const { kernel } = this;
    const strides = kernel.map((k) => (k === 1 ? 1 : stride));
    const conv = this.convolution(`conv${index}`, map, from, to, { kernel, strides });
    return this.normalisation(`bn${index}`, conv, to);
  }

  dropout(vector: string, ratio: number): string {
    return this.op('Dropout', [vector, this.float(ratio)]);
  }
}
