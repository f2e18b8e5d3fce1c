/** What options fix about a model's inputs: a constant in place of an input, and sizes of dimensions. */
import {
  badInputValue,
  badOption,
  inputShapeUnknown,
  option,
  shown,
  unknownDim,
  unknownInput,
  unknownInputDims,
} from '../errors/index.ts';
import { elementCount, numberTensor } from '../graph/tensor.ts';
import type { Dim, Graph, Tensor, ValueInfo } from '../graph/types.ts';
import type { Pass } from './pass.ts';

export interface InputOptions {
  /** Sizes of symbolic dimensions, e.g. `{ sequence: 64 }`; of the batch only 1, which makes it fixed. */
  readonly dims?: Readonly<Record<string, number>>;
  /** Values of inputs that become constants: one number for all elements, or one an element. */
  readonly set?: Readonly<Record<string, number | readonly number[]>>;
}

/** What `dims` may call axis `axis` of `input`. */
export const dimNames = (input: ValueInfo, axis: number): string[] => {
  const dim = input.type?.dims?.[axis];
  return [...(typeof dim === 'string' ? [dim] : []), `${input.name}.${axis}`];
};

/** The size of axis `axis` of `input`, if the model or `dims` has it. */
export function sizeOf(
  input: ValueInfo,
  axis: number,
  dims: Readonly<Record<string, number>>,
): number | undefined {
  const dim = input.type?.dims?.[axis];
  if (typeof dim === 'number' && dim > 0) return dim;
  const known = dimNames(input, axis).find((name) => Object.hasOwn(dims, name));
  return known === undefined ? undefined : dims[known];
}

/**
 * Inputs that are `set` become initializers, and where `dims` gives the size of a first axis, inputs and outputs have it. Throws `unknown-dim`,
 * `bad-option`, `unknown-input`, `bad-input-value`.
 */
export const fixInputs = ({ dims = {}, set = {} }: InputOptions): Pass => ({
  name: 'fix-inputs',
  run(graph: Graph): Graph {
    const names = graph.inputs.flatMap((input) =>
      (input.type?.dims ?? []).flatMap((_, i) => dimNames(input, i)),
    );
    const strange = Object.keys(dims).find((name) => !names.includes(name));
    if (strange !== undefined) throw unknownDim(strange, [...new Set(names)]);
    for (const [name, size] of Object.entries(dims))
      if (!Number.isSafeInteger(size) || size < 1)
        throw badOption(option('dims'), `${name}=${size}`, 'NAME=SIZE, a whole number above 0');
    refuseFixed(graph, dims);
    const constants = Object.entries(set).map(([name, value]) => constantOf(graph, name, value, dims));
    const isSet = ({ name }: { readonly name: string }) => Object.hasOwn(set, name);

    const batches = new Map<Dim, number>();
    const withBatch = (value: ValueInfo): ValueInfo => {
      const [first, ...rest] = value.type?.dims ?? [];
      const size = batches.get(first);
      return size === undefined ? value : { ...value, type: { ...value.type!, dims: [size, ...rest] } };
    };
    const inputs = graph.inputs
      .filter((input) => !isSet(input))
      .map((input) => {
        const [first, ...rest] = input.type?.dims ?? [];
        if (!input.type?.dims?.length || typeof first === 'number') return input;
        const size = sizeOf(input, 0, dims);
        if (size === undefined) return input;
        if (first !== undefined) batches.set(first, size);
        return { ...input, type: { ...input.type, dims: [size, ...rest] } };
      });
    const outputs = graph.outputs.map(withBatch);
    const same = constants.length === 0 && inputs.every((input, i) => input === graph.inputs[i]);
    if (same) return graph;
    return {
      ...graph,
      inputs,
      outputs,
      initializers: [...graph.initializers.filter((t) => !isSet(t)), ...constants],
    };
  },
});

/** Throws `bad-option` where `dims` gives an axis another size than the model does. */
function refuseFixed({ inputs }: Graph, dims: Readonly<Record<string, number>>): void {
  for (const input of inputs)
    for (const [axis, size] of (input.type?.dims ?? []).entries())
      for (const name of dimNames(input, axis)) {
        const wanted = Object.hasOwn(dims, name) ? dims[name]! : size;
        if (typeof size === 'number' && size > 0 && wanted !== size)
          throw badOption(
            option('dims'),
            `${name}=${wanted}`,
            `sizes of axes that the model leaves open: axis ${axis} of ${input.name} is ${size} in the model`,
          );
      }
}

function constantOf(
  graph: Graph,
  name: string,
  value: number | readonly number[],
  dims: Readonly<Record<string, number>>,
): Tensor {
  const input = graph.inputs.find((v) => v.name === name);
  if (!input)
    throw unknownInput(
      name,
      graph.inputs.map((v) => v.name),
    );
  if (!input.type?.dims) throw inputShapeUnknown(name, input.type !== undefined);
  const { dataType } = input.type;
  const shape = input.type.dims.map((_, axis) => sizeOf(input, axis, dims));
  const unknown = shape.indexOf(undefined);
  if (unknown >= 0) throw unknownInputDims([placeOf(input, unknown)], [dimNames(input, unknown)[0]!]);
  const sizes = shape as number[];
  const count = elementCount(sizes);
  const type = `${dataType} ${shown(sizes)}`;
  const values = typeof value === 'number' ? Array.from({ length: count }, () => value) : value;
  const given = values.length === 1 ? Array.from({ length: count }, () => values[0]!) : values;
  if (given.length !== count)
    throw badInputValue(name, type, `${given.length} values, where ${count} are needed`);
  const tensor = numberTensor(name, dataType, sizes, given);
  if (!tensor) throw badInputValue(name, type, `${[value].flat().join(',')} is no ${dataType}`);
  return tensor;
}

/** An axis of unknown size, in words. */
export function placeOf(input: ValueInfo, axis: number): string {
  const dim = input.type?.dims?.[axis];
  return `axis ${axis} of ${input.name}${typeof dim === 'string' ? ` (${dim})` : ''}`;
}
