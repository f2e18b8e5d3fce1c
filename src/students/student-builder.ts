/** Fronts of students: the original's inputs as numbers of about mean 0 and deviation 1; and what all their parts end with. */
import type { InputSpec, Preprocessing } from '../data/index.ts';
import { elementCount } from '../graph/tensor.ts';
import { DATA_TYPES } from '../graph/types.ts';
import { LayerBuilder } from '../passes/layers.ts';
import type { MapPart, VectorPart } from './input-parts.ts';
import { widthOf } from './input-parts.ts';

/** A value [N, ...dims] inside a student. */
export interface Place {
  readonly value: string;
  readonly dims: readonly number[];
}

/** What usual pictures have, of 255. */
const PIXELS = { mean: 115, deviation: 64 };

/** Normalised numbers beyond this are cut: a feature that never moved in training has no deviation to speak of. */
const MOST_DEVIATIONS = 10;

export class StudentBuilder extends LayerBuilder {
  /** Where inner exits can go, in order: what lies behind the last one is more than a classifier. */
  readonly places: Place[] = [];

  /** `input` as float32. */
  asFloat({ name, dataType }: Pick<InputSpec, 'name' | 'dataType'>): string {
    return dataType === 'float' ? name : this.op('Cast', [name], { to: DATA_TYPES.indexOf('float') });
  }

  /**
   * [N, C, ...size] of a map. Pixels are brought to mean 0 and deviation 1 by a Mul and an Add, unless they are nearly there; these are never made part of a
   * convolution, whose padding is 0 after them. Numbers of unknown range go through a BatchNormalization that learns it.
   */
  readMap(layer: string, { input, channelAxis, channels, size, pixels }: MapPart): string {
    let value = this.asFloat(input);
    const { dims } = input;
    if (channelAxis !== undefined && channelAxis > 0) {
      const others = [...dims.keys()].filter((axis) => axis !== channelAxis);
      value = this.op('Transpose', [value], {
        perm: [0, channelAxis + 1, ...others.map((axis) => axis + 1)],
      });
    }
    const isWhole = channelAxis !== undefined && dims.length === size.length + 1;
    if (!isWhole) value = this.op('Reshape', [value, this.int64([-1, channels, ...size])]);
    if (!pixels) return this.normalisation(`${layer}input`, value, channels);
    const normalising = towardsNormal(pixels, channels);
    if (!normalising) return value;
    const column = [channels, ...size.map(() => 1)];
    const scaled = this.op('Mul', [value, this.float(normalising.gain, column)]);
    return this.op('Add', [scaled, this.float(normalising.offset, column)]);
  }

  /** [N, F] of inputs side by side, each number normalised by what training sees of it. */
  readVector(layer: string, part: VectorPart): Place {
    const rows = part.inputs.map((input) =>
      input.dims.length === 1
        ? this.asFloat(input)
        : this.op('Reshape', [this.asFloat(input), this.int64([-1, elementCount(input.dims)])]),
    );
    const all = rows.length === 1 ? rows[0]! : this.op('Concat', rows, { axis: 1 });
    const width = widthOf(part);
    const normal = this.normalisation(`${layer}input`, all, width);
    const value = this.op('Clip', [normal, this.float(-MOST_DEVIATIONS), this.float(MOST_DEVIATIONS)]);
    return { value, dims: [width] };
  }

  /** `depth` hidden layers of `units`, [N, from] → [N, units]. */
  hidden(layer: string, vector: string, from: number, units: number, depth: number): Place {
    let value = vector;
    for (let i = 1; i <= depth; i++) {
      const name = `${layer}hidden${i}`;
      const product = this.linear(name, value, i === 1 ? from : units, units);
      const normal = this.normalisation(`${layer}norm${i}`, product, units);
      value = this.op('Relu', [normal], {}, this.fresh(`${name}/relu`));
      if (i < depth) this.places.push({ value, dims: [units] });
    }
    return { value, dims: [units] };
  }
}

/** y = gain · x + offset, by channel, that brings pictures of `pixels` to about mean 0 and deviation 1; undefined when they are nearly there. */
function towardsNormal({ scale, mean, std }: Preprocessing, channels: number) {
  const of = Array.from({ length: channels }, (_, c) => ({ m: mean[c] ?? mean[0]!, s: std[c] ?? std[0]! }));
  const isNear = of.every(({ m, s }) => {
    const [middle, deviation] = [(PIXELS.mean / scale - m) / s, PIXELS.deviation / Math.abs(scale * s)];
    return Math.abs(middle) <= 1.5 && deviation >= 0.5 && deviation <= 2;
  });
  if (isNear) return undefined;
  return {
    gain: of.map(({ s }) => (s * scale) / PIXELS.deviation),
    offset: of.map(({ m }) => (m * scale - PIXELS.mean) / PIXELS.deviation),
  };
}
