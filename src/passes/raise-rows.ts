/** What a node of an old opset becomes: the rows of the table in `raise-opset.ts`. */
import { makeNode, toAttribute } from '../graph/builder.ts';
import { floatTensor, int64Tensor } from '../graph/tensor.ts';
import { type Attribute, DATA_TYPES, type Node } from '../graph/types.ts';
import type { Scope } from './raise-scope.ts';

/** The next form of a node; the very same node when it is in that form. */
export type Row = (node: Node, scope: Scope) => Node;

/** Attributes become the inputs 1, 2, …; the node stays the same when it has none of them, as in a later form. */
export const inputs =
  (...names: readonly string[]): Row =>
  (node, scope) =>
    asInputs(node, names, scope);

function asInputs(node: Node, names: readonly string[], scope: Scope): Node {
  if (!names.some((name) => node.attributes[name])) return node;
  const [data] = node.inputs as [string];
  const made = names.map((name) => {
    const attribute = node.attributes[name];
    return attribute ? scope.constant(`${node.outputs[0]}/${name}`, tensorOf(attribute), data) : '';
  });
  while (made.at(-1) === '') made.pop();
  return { ...without(node, names), inputs: [data, ...made] };
}

/** Lists and INTs as vectors, a FLOAT as a scalar. */
function tensorOf({ type, value }: Attribute) {
  const list = [value].flat() as number[];
  if (type === 'FLOAT') return floatTensor('', [], list);
  return type === 'FLOATS'
    ? floatTensor('', [list.length], list)
    : int64Tensor('', [list.length], list.map(held));
}

/** The end of an open slice is INT64_MAX, which no number holds; any end beyond the data means the same. */
const held = (value: number) => Math.max(-Number.MAX_SAFE_INTEGER, Math.min(value, Number.MAX_SAFE_INTEGER));

/** `node` without the attributes `names`; the same when it has none of them. */
function without(node: Node, names: readonly string[]): Node {
  const kept = Object.entries(node.attributes).filter(([name]) => !names.includes(name));
  const same = kept.length === Object.keys(node.attributes).length;
  return same ? node : { ...node, attributes: Object.fromEntries(kept) };
}

/** Adds attributes, or gives them other values. */
const withAttributes = (node: Node, attributes: Readonly<Record<string, number | string>>): Node => ({
  ...node,
  attributes: {
    ...node.attributes,
    ...Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, toAttribute(value)])),
  },
});

export const renamed =
  (opType: string): Row =>
  (node) => ({ ...node, opType });

/** Writes out what was the default and is another one now. */
export const explicit =
  (name: string, value: string): Row =>
  (node) =>
    withAttributes(node, { [name]: value });

/** An operator that was another one. */
export const refused =
  (why: string): Row =>
  (node, scope) => {
    throw scope.refusal(node, why);
  };

export const withoutSpatial: Row = (node, scope) => {
  if (node.attributes.spatial?.value === 0)
    throw scope.refusal(node, 'has statistics of every position (spatial = 0)');
  return without(node, ['spatial']);
};

/** Statistics, which only training makes, have no outputs any more unless `training_mode` is set. */
export const withoutStatistics: Row = (node, scope) => {
  const [output, ...statistics] = node.outputs as [string, ...string[]];
  if (statistics.length === 0) return node;
  if (statistics.some((value) => value && scope.isRead(value)))
    throw scope.refusal(node, 'has statistics that are read');
  return { ...node, outputs: [output] };
};

/** What Dropout is outside of training. Its mask, which has another type in later forms, must not be asked for. */
export const identity: Row = (node, scope) => {
  const [output, mask] = node.outputs as [string, string?];
  if (mask && scope.isRead(mask)) throw scope.refusal(node, 'has a mask that is read');
  return { ...node, opType: 'Identity', outputs: [output], attributes: {} };
};

/** Upsample and the first Resize are a Resize whose coordinates are divided by the scale and cut off; up where it shrinks. */
export const resized: Row = (node, scope) => {
  const [data, scales] = asInputs(node, ['scales'], scope).inputs as [string, string];
  const known = node.attributes.mode?.value === 'linear' ? [] : (scope.numbersOf(scales) ?? []);
  const shrinks = known.some((scale) => scale < 1);
  if (shrinks && known.some((scale) => scale > 1))
    throw scope.refusal(node, 'enlarges one axis and shrinks another');
  const roi = scope.constant(`${node.outputs[0]}/roi`, floatTensor('', [0], []), data);
  return withAttributes(
    { ...without(node, ['scales']), opType: 'Resize', inputs: [data, roi, scales] },
    { coordinate_transformation_mode: 'asymmetric', nearest_mode: shrinks ? 'ceil' : 'floor' },
  );
};

/**
 * Scales next to sizes are left out. `tf_half_pixel_for_nn`, which is gone, cut off (x + 0.5) / scale: x as `half_pixel` finds it,
 * rounded half up.
 */
export const withoutTwoSizes: Row = (node, scope) => {
  const [data = '', roi = '', scales = '', sizes] = node.inputs;
  const single = sizes && scales ? { ...node, inputs: [data, roi, '', sizes] } : node;
  const { coordinate_transformation_mode: coordinates, nearest_mode: rounding } = node.attributes;
  if (coordinates?.value !== 'tf_half_pixel_for_nn') return single;
  if (rounding?.value !== 'floor') throw scope.refusal(node, 'has tf_half_pixel_for_nn without floor');
  return withAttributes(single, {
    coordinate_transformation_mode: 'half_pixel',
    nearest_mode: 'round_prefer_ceil',
  });
};

/** Axes become an input. An empty list always meant all of them, as no list does. */
export const axesInput: Row = (node, scope) => {
  const { axes } = node.attributes;
  return axes?.type === 'INTS' && axes.value.length === 0
    ? without(node, ['axes'])
    : asInputs(node, ['axes'], scope);
};

/** The parts that were equal because nothing else was said are counted. */
export const countedParts: Row = (node) => {
  if (node.inputs[1]) return node;
  return withAttributes({ ...node, inputs: node.inputs.slice(0, 1) }, { num_outputs: node.outputs.length });
};

/** Softmax and its kin went over all axes from `axis` on, and go over that one alone: where there are more, they are flattened into one. */
export const overFlattened: Row = (node, scope) => {
  const [data] = node.inputs as [string];
  const [output] = node.outputs as [string];
  const given = node.attributes.axis;
  const axis = given?.type === 'INT' ? given.value : 1;
  const dims = scope.dimsOf(data) ?? scope.dimsOf(output);
  const behind = axis < 0 ? -1 - axis : dims && dims.length - 1 - axis;
  if (behind === 0) return withAttributes(node, { axis: -1 });
  if (behind && dims?.slice(-behind).every((dim) => dim === 1)) return withAttributes(node, { axis });
  const shape = scope.op('Shape', [data], {}, `${output}/shape`);
  const flat = scope.op('Flatten', [data], { axis }, `${output}/flat`);
  const result = scope.op(node.opType, [flat], { axis: -1 }, `${output}/${node.opType}`);
  return { ...makeNode('Reshape', [result, shape], [output]), name: node.name };
};

const MODES: Readonly<Record<string, string>> = { bilinear: 'linear', bicubic: 'cubic' };

export const otherModes: Row = (node) => {
  const { mode } = node.attributes;
  const name = mode?.type === 'STRING' ? MODES[mode.value] : undefined;
  return name ? withAttributes(node, { mode: name }) : node;
};

/** The axis becomes input 2, behind the length; its default was 1. */
export const axisInput: Row = (node, scope) => {
  const [data = '', length = ''] = node.inputs;
  const given = node.attributes.axis;
  const axis = int64Tensor('', [], [given?.type === 'INT' ? given.value : 1]);
  const name = scope.constant(`${node.outputs[0]}/axis`, axis, data);
  return { ...without(node, ['axis']), inputs: [data, length, name] };
};

/** Scale and bias were one number a group [G], and are one a channel [C]. Statistics were computed in the type of the input. */
export const perChannel: Row = (node, scope) => {
  const [data, ...affine] = node.inputs as [string, ...string[]];
  const [output] = node.outputs as [string];
  const { num_groups: groups } = node.attributes;
  const vector = (stem: string, values: readonly number[]) =>
    scope.constant(`${output}/${stem}`, int64Tensor('', [values.length], values), data);
  const channels = scope.op('Shape', [data], { start: 1, end: 2 }, `${output}/channels`);
  const count = vector('groups', [groups?.type === 'INT' ? groups.value : 1]);
  const each = scope.op('Div', [channels, count], {}, `${output}/each`);
  const row = scope.op('Concat', [vector('one', [1]), each], { axis: 0 }, `${output}/row`);
  const [column, all] = [vector('column', [-1, 1]), vector('all', [-1])];
  const repeated = affine.map((value, i) => {
    const stem = `${output}/${['scale', 'bias'][i]}`;
    const standing = scope.op('Reshape', [value, column], {}, `${stem}/column`);
    const wide = scope.op('Expand', [standing, row], {}, `${stem}/wide`);
    return scope.op('Reshape', [wide, all], {}, stem);
  });
  const type = scope.typeOf(data) ?? 'float';
  const form = { ...node, inputs: [data, ...repeated] };
  return type === 'float' ? form : withAttributes(form, { stash_type: DATA_TYPES.indexOf(type) });
};
