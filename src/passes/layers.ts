/** Layers that heads and students are made of, with their first weights. */
import { GraphBuilder } from '../graph/builder.ts';
import { uniforms } from '../graph/random.ts';
import { elementCount, floatTensor } from '../graph/tensor.ts';

/** Channels in a block of ONNX Runtime's blocked layout: other channel counts fall out of it. */
export const BLOCK = 16;

/** How a convolution slides: one number a spatial axis. The map is padded so that stride 1 keeps its size. */
export interface Sliding {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  /** Each channel by itself. */
  readonly isDepthwise?: boolean;
}

/**
 * Writes layers whose parameters are float initializers named `<layer>/weight`, `<layer>/bias`, `<layer>/scale`; running statistics are
 * `<layer>/mean` and `<layer>/var`. Same seed and names, same bytes.
 */
export class LayerBuilder extends GraphBuilder {
  /** Without a seed weights have no bytes: such a graph can be counted, not run. */
  constructor(
    private readonly seed: number | undefined,
    names?: Set<string>,
  ) {
    super('', names);
  }

  /** Conv without bias, [N, from, ...size] → [N, to, ...⌈size / stride⌉]; `from` = `to` where it is depthwise. */
  convolution(layer: string, map: string, from: number, to: number, sliding: Sliding): string {
    const { kernel, strides, isDepthwise } = sliding;
    const perGroup = isDepthwise ? 1 : from;
    const deviation = Math.sqrt(2 / (elementCount(kernel) * perGroup));
    const weight = this.normal(`${layer}/weight`, [to, perGroup, ...kernel], deviation);
    const pads = kernel.map((k) => (k - 1) / 2);
    const attributes = { kernel_shape: [...kernel], pads: [...pads, ...pads], strides: [...strides] };
    const group = isDepthwise ? { group: from } : {};
    return this.op('Conv', [map, weight], { ...attributes, ...group }, this.fresh(layer));
  }

  /** BatchNormalization of `channels` along axis 1; `value` keeps its shape. */
  normalisation(layer: string, value: string, channels: number): string {
    const constant = (part: string, value: number) =>
      this.initializer(floatTensor(`${layer}/${part}`, [channels], new Float32Array(channels).fill(value)));
    const statistics = [constant('scale', 1), constant('bias', 0), constant('mean', 0), constant('var', 1)];
    return this.op('BatchNormalization', [value, ...statistics], { epsilon: 1e-5 }, this.fresh(layer));
  }

  /** [N, C, …] → mean over all later axes [N, C]. */
  pool(map: string, as?: string): string {
    return this.op('Flatten', [this.op('GlobalAveragePool', [map])], { axis: 1 }, as);
  }

  /** [N, from] → [N, to]. `gain` below 1 starts the layer small, so that training starts at near-uniform scores. */
  linear(layer: string, vector: string, from: number, to: number, gain = 1, as = this.fresh(layer)): string {
    const weight = this.normal(`${layer}/weight`, [to, from], gain * Math.sqrt(2 / from));
    const bias = this.initializer(floatTensor(`${layer}/bias`, [to], new Float32Array(to)));
    return this.op('Gemm', [vector, weight, bias], { transB: 1 }, as);
  }

  /** Normal weights; `deviation` √(2 / fan-in) keeps variances through Relu (He et al. 2015, eq. 10). */
  normal(name: string, dims: readonly number[], deviation: number): string {
    if (this.seed === undefined)
      return this.initializer({ name, dataType: 'float', dims, bytes: new Uint8Array(0) });
    const values = new Float32Array(elementCount(dims));
    const gaussian = gaussians(this.seed, name);
    for (let i = 0; i < values.length; i++) values[i] = deviation * gaussian();
    return this.initializer(floatTensor(name, dims, values));
  }
}

/** Standard normals (Box and Muller 1958, eq. 1), one stream for each seed and name (FNV-1a, Fowler, Noll and Vo). */
function gaussians(seed: number, name: string): () => number {
  const mixed = [...name].reduce(
    (hash, c) => Math.imul(hash ^ c.charCodeAt(0), 0x01000193),
    seed ^ 0x811c9dc5,
  );
  const uniform = uniforms(mixed);
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}
