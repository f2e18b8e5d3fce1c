/** Features that travel in fewer bits: the part that gives them ends with the rounding, the part that takes them begins with its inverse. */
import { opsetTooOld } from '../errors/index.ts';
import { GraphBuilder, makeNode } from '../graph/builder.ts';
import { renameValues } from '../graph/rename.ts';
import { floatTensor } from '../graph/tensor.ts';
import { DATA_TYPES, type DataType, type Graph, opsetOf } from '../graph/types.ts';
import { allNames } from '../graph/walk.ts';
import type { LoweredPart, PartTensor } from './lower-part.ts';
import { cast } from './lowering.ts';

/**
 * How a feature travels: as float16; or as int8, x of channel c as the whole number nearest to x / scales[c], at most 127 from 0. Halves go to the even
 * one. NaN has no int8.
 */
export type FeatureForm = { readonly bits: 16 } | { readonly bits: 8; readonly scales: Float32Array };

/** The largest number of an int8 whose negative is one too. */
const LARGEST = 127;

/**
 * `part` with those of its features that `forms` names in fewer bits, as inputs and as outputs, so that parts with the same `forms` fit together. Features
 * that are not floats, or have no more bits than that, stay as they are. Throws `opset-too-old` for int8 before opset 11.
 */
export function quantiseFeatures(part: LoweredPart, forms: ReadonlyMap<string, FeatureForm>): LoweredPart {
  const formOf = (tensor: PartTensor) => {
    const form = tensor.role === 'feature' ? forms.get(tensor.name) : undefined;
    return form && isReduced(tensor.dataType, form) ? form : undefined;
  };
  const chosen = [...part.takes, ...part.gives].filter(formOf);
  if (chosen.length === 0) return part;
  const opset = opsetOf(part.model);
  if (opset < 11 && chosen.some((tensor) => formOf(tensor)!.bits === 8))
    throw opsetTooOld(opset, 'features of 8 bits need 11 or more (Round)');

  const { graph } = part.model;
  const b = new GraphBuilder('', allNames(graph));
  const inside = new Map(chosen.map(({ name }) => [name, b.fresh(`${name}/numbers`)]));
  const write = (tensors: readonly PartTensor[], one: Write) => {
    for (const tensor of tensors.filter(formOf)) one(b, tensor, formOf(tensor)!, inside.get(tensor.name)!);
    return b.nodes.splice(0);
  };
  const [before, behind] = [write(part.takes, writeTaken), write(part.gives, writeGiven)];
  const renamed = renameValues(graph, inside);
  const retyped = <T extends Graph['inputs'][number]>(values: readonly T[]) =>
    values.map((value) => {
      const tensor = chosen.find(({ name }) => name === value.name);
      return tensor ? { ...value, type: { ...value.type!, dataType: typeOf(formOf(tensor)!) } } : value;
    });
  const asSent = (tensor: PartTensor): PartTensor => {
    const form = formOf(tensor);
    return form ? { ...tensor, dataType: typeOf(form) } : tensor;
  };
  return {
    model: {
      ...part.model,
      graph: {
        ...renamed,
        nodes: [...before, ...renamed.nodes, ...behind],
        initializers: [...renamed.initializers, ...b.initializers],
        inputs: retyped(graph.inputs),
        outputs: retyped(graph.outputs),
      },
    },
    takes: part.takes.map(asSent),
    gives: part.gives.map(asSent),
  };
}

const typeOf = ({ bits }: FeatureForm): DataType => (bits === 16 ? 'float16' : 'int8');

const isReduced = (dataType: DataType, { bits }: FeatureForm): boolean =>
  dataType === 'float' || dataType === 'double' || (dataType === 'float16' && bits === 8);

/** `inside`: what the feature's numbers are called in the graph. */
type Write = (b: GraphBuilder, tensor: PartTensor, form: FeatureForm, inside: string) => void;

/** The node that made the feature may be named after it. */
function castAs(b: GraphBuilder, value: string, as: string, to: number): void {
  b.nodes.push({ ...makeNode('Cast', [value], [as], { to }), name: b.fresh('travel') });
}

const writeGiven: Write = (b, tensor, form, inside) => {
  const { name, dataType } = tensor;
  const to = DATA_TYPES.indexOf(typeOf(form));
  if (form.bits === 16) return castAs(b, inside, name, to);
  const numbers = dataType === 'float' ? inside : cast(b, inside, 'float');
  const steps = b.op('Round', [b.op('Div', [numbers, scalesOf(b, tensor, form.scales)])]);
  const clipped = b.op('Clip', [steps, b.float(-LARGEST), b.float(LARGEST)]);
  castAs(b, clipped, name, to);
};

const writeTaken: Write = (b, tensor, form, inside) => {
  const { name, dataType } = tensor;
  const to = DATA_TYPES.indexOf(dataType);
  if (form.bits === 16) return castAs(b, name, inside, to);
  const scales = scalesOf(b, tensor, form.scales);
  const numbers = [cast(b, name, 'float'), scales];
  if (dataType === 'float') return void b.op('Mul', numbers, {}, inside);
  castAs(b, b.op('Mul', numbers), inside, to);
};

/** A constant along the axis of the channels. */
function scalesOf(
  b: GraphBuilder,
  { name, dims, channelAxis = 0 }: PartTensor,
  scales: Float32Array,
): string {
  const shape = dims.slice(channelAxis).map((_, i) => (i === 0 ? scales.length : 1));
  const tensor = floatTensor(b.fresh(`${name}/scales`), shape, scales);
  b.initializers.push(tensor);
  return tensor.name;
}

/**
 * The scales of int8 for a feature whose `values` are of `dims`, one a channel: such that `kept` of a channel's numbers, the smallest ones, are not
 * clipped; all by default. 1 for a channel of zeros. Numbers that are not finite do not count.
 */
export function channelScales(
  values: Float32Array,
  dims: readonly number[],
  channelAxis: number,
  kept = 1,
): Float32Array {
  const channels = dims[channelAxis]!;
  const inner = dims.slice(channelAxis + 1).reduce((n, d) => n * d, 1);
  const perChannel = values.length / channels;
  return Float32Array.from({ length: channels }, (_, c) => {
    const sizes = new Float32Array(perChannel);
    for (let i = 0; i < perChannel; i++) {
      const at = (Math.floor(i / inner) * channels + c) * inner + (i % inner);
      sizes[i] = Number.isFinite(values[at]!) ? Math.abs(values[at]!) : 0;
    }
    const last = Math.max(0, Math.ceil(kept * perChannel) - 1);
    const largest = kept === 1 ? sizes.reduce((a, v) => Math.max(a, v), 0) : sizes.sort()[last]!;
    return Math.fround(largest / LARGEST) || 1;
  });
}
