/** Small models that are the two parts of a split, and the manifest of its client. */
import { createHash } from 'node:crypto';
import type { Manifest, ManifestSent } from '../../src/emit/manifest.ts';
import { GraphBuilder, makeModel } from '../../src/graph/builder.ts';
import { floatTensor } from '../../src/graph/tensor.ts';
import { DATA_TYPES, type DataType } from '../../src/graph/types.ts';
import { serializeModel } from '../../src/parser/index.ts';
import { normalised } from '../../src/runtime/pictures.ts';
import { noise } from '../models.ts';
import { CHAIN } from './sample.ts';

/** Values of a sample: [3, 2, 2]. */
export const SIZE = 12;
const FRONT_WEIGHTS = noise(SIZE * 3, 7);
const REST_WEIGHTS = noise(SIZE * 3, 8);

export interface Kind {
  readonly batch?: 'N' | 1;
  /** What of the input travels; the tensor itself, `floats`, or nothing. */
  readonly input?: 'pixels' | 'floats' | 'none';
  /** Type of the features that travel, [rows in play, 4]; none otherwise. */
  readonly feature?: 'float' | 'float16' | 'int8';
  /** A policy state [N, 2] travels. */
  readonly state?: boolean;
  /** Type of the scores. */
  readonly scores?: 'float' | 'float16';
}

/** Answers to a sample with mean `m` under thresholds [a, b]: here where m > a; there at exit 1 where m > b. */
export interface Parts {
  readonly manifest: Manifest;
  readonly front: Uint8Array;
  /** By served name. */
  readonly rests: Readonly<Record<string, Uint8Array>>;
}

const code = (type: DataType) => DATA_TYPES.indexOf(type);

/** The client's model: exit 0 where the mean is above the first threshold; of the others exit 2 and what travels. */
function front({ batch = 'N', feature, state, scores = 'float' }: Kind): Uint8Array {
  const b = new GraphBuilder();
  const pixels = b.input('pixels', 'float', [batch, 3, 2, 2]);
  const thresholds = b.input('thresholds', 'float', [2]);
  const flat = b.op('Flatten', [pixels], { axis: 1 });
  const mean = b.op('ReduceMean', [flat], { axes: [1], keepdims: 0 }, 'exit_confidence');
  const logits = b.op('MatMul', [flat, b.initializer(floatTensor('front', [SIZE, 3], FRONT_WEIGHTS))]);
  b.op('Cast', [logits], { to: code(scores) }, 'logits');
  const leaves = b.op('Greater', [mean, b.op('Gather', [thresholds, b.int64([0])])]);
  b.op('Where', [leaves, b.int64([0]), b.int64([2])], {}, 'exit_index');
  b.output('logits', scores, [batch, 3]);
  b.output('exit_index', 'int64', [batch]);
  b.output('exit_confidence', 'float', [batch]);
  if (feature) {
    const kept = b.op('Compress', [flat, b.op('Not', [leaves])], { axis: 0 });
    const some = b.op('Slice', [kept, b.int64([0]), b.int64([4]), b.int64([1])]);
    const scaled = feature === 'int8' ? b.op('Round', [b.op('Mul', [some, b.float(40)])]) : some;
    b.op('Cast', [scaled], { to: code(feature) }, 'relu_5');
    b.output('relu_5', feature, ['S', 4]);
  }
  if (state) {
    const column = b.op('Unsqueeze', [mean, b.int64([1])]);
    b.op('Concat', [column, b.op('Neg', [column])], { axis: 1 }, 'policy_state_out');
    b.output('policy_state_out', 'float', [batch, 2]);
  }
  return serializeModel(makeModel(b.build('front')));
}

/** The server's model with `threshold` built in: all that travels counts for the scores. */
function rest(
  { batch = 'N', input = 'pixels', feature, state, scores = 'float' }: Kind,
  threshold: number,
): Uint8Array {
  const b = new GraphBuilder();
  const parts: string[] = [];
  const means: string[] = [];
  const weigh = (values: string, width: number, name: string) => {
    const weights = b.initializer(floatTensor(name, [width, 3], REST_WEIGHTS.slice(0, 3 * width)));
    parts.push(b.op('MatMul', [values, weights]));
    means.push(b.op('ReduceMean', [values], { axes: [1], keepdims: 0 }));
  };
  if (input !== 'none') {
    const given = b.input('pixels', input === 'pixels' ? 'uint8' : 'float', [batch, 3, 2, 2]);
    const floats = input === 'pixels' ? lookedUp(b, given) : given;
    weigh(b.op('Flatten', [floats], { axis: 1 }), SIZE, 'of_pixels');
  }
  if (feature)
    weigh(b.op('Cast', [b.input('relu_5', feature, [batch, 4])], { to: code('float') }), 4, 'of_feature');
  if (state) weigh(b.input('policy_state', 'float', [batch, 2]), 2, 'of_state');
  const mean = b.op('Identity', [means[0]!], {}, 'exit_confidence');
  const sum = parts.reduce((all, part) => b.op('Add', [all, part]));
  b.op('Cast', [sum], { to: code(scores) }, 'logits');
  const leaves = b.op('Greater', [mean, b.float(threshold)]);
  b.op('Where', [leaves, b.int64([1]), b.int64([2])], {}, 'exit_index');
  b.output('logits', scores, [batch, 3]);
  b.output('exit_index', 'int64', [batch]);
  b.output('exit_confidence', 'float', [batch]);
  return serializeModel(makeModel(b.build('rest')));
}

/** Bytes as the numbers that preprocessing makes of them, bit for bit. */
function lookedUp(b: GraphBuilder, pixels: string): string {
  const channels = [0, 1, 2].map((c) => {
    const table = Array.from({ length: 256 }, (_, pixel) => normalised(pixel, c, CHAIN.preprocessing!));
    const own = b.op('Slice', [pixels, b.int64([c]), b.int64([c + 1]), b.int64([1])]);
    return b.op('Gather', [b.float(table), b.op('Cast', [own], { to: code('int64') })]);
  });
  return b.op('Concat', channels, { axis: 1 });
}

const BITS = { int8: 8, float16: 16 } as const;

/** Both parts, and the manifest of the client: exit_1 is here, exit_2 and the end are there. */
export function parts(kind: Kind = {}): Parts {
  const { batch = 'N', input = 'pixels', feature, state, scores = 'float' } = kind;
  const rests = CHAIN.operatingPoints.map((point) => {
    const model = rest(kind, point.thresholds[1]!);
    const hash = createHash('sha256').update(model).digest('hex').slice(0, 12);
    return { point: point.name, served: `pets_rest_${hash}`, model };
  });
  const dims = [batch, 3, 2, 2] as const;
  const sends: ManifestSent[] = [
    ...(input === 'pixels' ? [{ name: 'pixels', dataType: 'uint8', dims, role: 'pixels' } as const] : []),
    ...(input === 'floats' ? [{ name: 'pixels', dataType: 'float', dims, role: 'input' } as const] : []),
    ...(state ? [{ name: 'policy_state', dataType: 'float', dims: [batch, 2], role: 'state' } as const] : []),
    ...(feature
      ? [
          {
            ...({ name: 'relu_5', dataType: feature, dims: [batch, 4], role: 'feature' } as const),
            ...(feature !== 'float' && { bits: BITS[feature] }),
          },
        ]
      : []),
  ];
  return {
    front: front(kind),
    rests: Object.fromEntries(rests.map(({ served, model }) => [served, model])),
    manifest: {
      ...CHAIN,
      inputs: [{ ...CHAIN.inputs[0]!, dims }],
      batch: batch === 'N' ? 'dynamic' : 'fixed',
      outputs: { ...CHAIN.outputs, ...(scores === 'float16' && { dataType: 'float16' as const }) },
      split: {
        after: 'exit_1',
        served: 'pets_rest',
        models: Object.fromEntries(rests.map(({ point, served }) => [point, served])),
        sends,
        bytes: 12,
      },
    },
  };
}
