/** Students of maps: a stem that makes the map small soon, stages of residual blocks with ever more channels, an average. */
import { BLOCK } from '../passes/layers.ts';
import type { MapPart } from './input-parts.ts';
import type { MAP_FAMILIES, StudentForm } from './student.ts';
import type { Place, StudentBuilder } from './student-builder.ts';

type MapFamily = (typeof MAP_FAMILIES)[number];

interface Shrinking {
  /** Longest side that the first stage may have. */
  readonly first: number;
  /** Maps from this side on are halved at least once before the first stage. */
  readonly halvedFrom: number;
  /** From stage to stage, sides are halved down to this or less. */
  readonly last: number;
  /** How many halvings a convolution of the stem makes. */
  readonly atOnce?: number;
}

/** Of maps, and of signals, which have one side. */
const SHRINKING: Readonly<Record<MapFamily, readonly [map: Shrinking, signal: Shrinking]>> = {
  wide: [{ first: 28, halvedFrom: 16, last: 7 }, { first: 128, halvedFrom: 64, last: 16 }],
  separable: [{ first: 28, halvedFrom: 16, last: 7 }, { first: 128, halvedFrom: 64, last: 16 }],
  patches: [{ first: 8, halvedFrom: 16, last: 4, atOnce: 2 }, { first: 32, halvedFrom: 64, last: 8, atOnce: 2 }],
  narrow: [{ first: 32, halvedFrom: Number.POSITIVE_INFINITY, last: 8 }, { first: 256, halvedFrom: Number.POSITIVE_INFINITY, last: 32 }],
}; // biome-ignore format: a table

/** A map [N, channels, ...size]. */
interface Sized {
  readonly value: string;
  readonly channels: number;
  readonly size: readonly number[];
}

/** [N, F]: `part` convolved by a student of `form`. Names of layers begin with `layer`. */
export function convolveMap(
  b: StudentBuilder,
  layer: string,
  part: MapPart,
  { family, width, depth }: StudentForm & { readonly family: MapFamily },
): Place {
  const isSignal = part.size.filter((side) => side > 1).length < 2;
  const { first, halvedFrom, last, atOnce = 1 } = SHRINKING[family][isSignal ? 1 : 0];
  const longest = Math.max(...part.size);
  const needed = Math.ceil(Math.log2(longest / first));
  const layers = new MapLayers(b, last, family === 'separable' || family === 'patches');

  let map: Sized = { value: b.readMap(layer, part), channels: part.channels, size: part.size };
  let left = Math.max(needed, longest >= halvedFrom ? 1 : 0);
  for (let i = 1; i === 1 || left > 0; i++) {
    const halvings = Math.min(left, atOnce);
    left -= halvings;
    const to = BLOCK * Math.max(1, Math.floor(width / 2 ** left));
    map = layers.relu(`${layer}stem${i}`, layers.full(`${layer}stem${i}`, map, to, halvings));
  }
  for (let stage = 1; ; stage++) {
    for (let block = 1; block <= depth; block++) {
      const isEntry = stage > 1 && block === 1;
      const channels = isEntry ? 2 * map.channels : map.channels;
      map = layers.residual(`${layer}stage${stage}/block${block}`, map, channels, isEntry ? 1 : 0);
    }
    if (Math.max(...map.size) <= last) break;
    b.places.push({ value: map.value, dims: [map.channels, ...map.size] });
  }
  return { value: b.pool(map.value), dims: [map.channels] };
}

class MapLayers {
  constructor(
    private readonly b: StudentBuilder,
    private readonly last: number,
    private readonly isSeparable: boolean,
  ) {}

  /** Two convolutions, 3 wide, and a way around them: itself, or one of 1 × 1 where the shape changes (He et al. 2016, figure 2, option B). */
  residual(layer: string, map: Sized, to: number, halvings: number): Sized {
    const inner = this.relu(`${layer}/conv1`, this.convolved(`${layer}/conv1`, map, to, halvings));
    const outer = this.convolved(`${layer}/conv2`, inner, to, 0);
    const around =
      map.channels === to && halvings === 0 ? map : this.pointwise(`${layer}/around`, map, to, halvings);
    const value = this.b.op('Add', [outer.value, around.value]);
    return this.relu(layer, { ...outer, value });
  }

  relu(layer: string, map: Sized): Sized {
    return { ...map, value: this.b.op('Relu', [map.value], {}, this.b.fresh(`${layer}/relu`)) };
  }

  /** A convolution, 3 wide, normalised; separable: of each channel by itself, then across channels (Howard et al. 2017, figure 3). */
  private convolved(layer: string, map: Sized, to: number, halvings: number): Sized {
    if (!this.isSeparable) return this.full(layer, map, to, halvings);
    const inner = this.normalised(`${layer}/depthwise`, map, map.channels, 3, halvings, true);
    return this.pointwise(`${layer}/pointwise`, this.relu(`${layer}/depthwise`, inner), to, 0);
  }

  /** As wide as it takes to see every number: 3, and 5 where it halves twice. */
  full(layer: string, map: Sized, to: number, halvings: number): Sized {
    return this.normalised(layer, map, to, 2 * Math.max(1, halvings) + 1, halvings);
  }

  private pointwise(layer: string, map: Sized, to: number, halvings: number): Sized {
    return this.normalised(layer, map, to, 1, halvings);
  }

  /** Conv → BatchNormalization. Sides longer than `last` are halved so often; along sides of 1 a kernel is 1 wide. */
  private normalised(
    layer: string,
    { value, channels, size }: Sized,
    to: number,
    wide: number,
    halvings: number,
    isDepthwise = false,
  ): Sized {
    const kernel = size.map((side) => (side > 1 ? wide : 1));
    const strides = size.map((side) => (side > this.last ? 2 ** halvings : 1));
    const conv = this.b.convolution(layer, value, channels, to, { kernel, strides, isDepthwise });
    return {
      value: this.b.normalisation(`${layer}/norm`, conv, to),
      channels: to,
      size: size.map((side, i) => Math.ceil(side / strides[i]!)),
    };
  }
}
