/** What `exitOutputs` names: outputs, values inside the model, and what a sequence, or a tensor joined of several, consists of. */
import { elementsUnknown, noSuchElement, tooFewExitOutputs, unknownExitOutput } from '../errors/index.ts';
import { GraphBuilder } from '../graph/builder.ts';
import type { Model, Node } from '../graph/types.ts';
import { allNames, indexGraph } from '../graph/walk.ts';
import { constantOf, type Values, valuesOf } from './score-values.ts';

export interface GivenExits {
  /** Each of `values` is an output. */
  readonly model: Model;
  /** The tensors that were named, in that order. */
  readonly values: readonly string[];
  /** A name for each of them: those of a sequence are `exit[0]`, `exit[1]`. */
  readonly names: readonly string[];
  /** Outputs that the last of `values` takes the place of. */
  readonly replaced: readonly string[];
}

/**
 * `model` with everything that `names` calls as an output. A name is that of an output or of a value inside; `exit[0]` is an element of the
 * sequence `exit`, or one of the tensors that Concat or ConcatFromSequence made `exit` of; the name of a sequence alone means all its elements
 * in order. Outputs that hold elements which were named go, and all others that were not named when the last name is a value inside the
 * model (as in `giveValue`). Throws `too-few-exit-outputs`, `unknown-output` and `exit-elements-unknown`.
 */
export function giveExits(model: Model, names: readonly string[]): GivenExits {
  if (new Set(names).size < names.length) throw tooFewExitOutputs(names);
  const { graph } = model;
  const b = new GraphBuilder('', allNames(graph));
  const found = names.map((name) => find(model, b, name));
  const values = found.flatMap((one) => one.values);
  const each = found.flatMap((one) => one.names);
  const last = found.at(-1);
  const isKept = (name: string) =>
    values.includes(name) ||
    (!found.some(({ holder }) => holder === name) &&
      (last?.holder !== undefined || isOutput(model, values.at(-1)!)));
  const kept = graph.outputs.filter(({ name }) => isKept(name));
  const added = [...new Set(values)].filter((name) => !isOutput(model, name));
  if (added.length === 0 && kept.length === graph.outputs.length)
    return { model, values, names: each, replaced: [] };
  const outputs = [
    ...kept,
    ...added.map((name) => graph.valueInfo.find((v) => v.name === name) ?? { name, type: undefined }),
  ];
  const nodes = [...graph.nodes, ...b.nodes];
  const initializers = [...graph.initializers, ...b.initializers];
  const replaced = graph.outputs.map((v) => v.name).filter((name) => !isKept(name));
  return {
    model: { ...model, graph: { ...graph, nodes, initializers, outputs } },
    values,
    names: each,
    replaced,
  };
}

const isOutput = ({ graph }: Model, name: string) => graph.outputs.some((v) => v.name === name);

interface Found {
  readonly values: readonly string[];
  readonly names: readonly string[];
  /** The value that they are elements of. */
  readonly holder?: string;
}

function find(model: Model, b: GraphBuilder, name: string): Found {
  const { producer } = indexGraph(model.graph);
  const maker = producer.get(name);
  if (maker) {
    const elements = elementsOf(model, b, name);
    if (elements?.count !== undefined) {
      const places = Array.from({ length: elements.count }, (_, i) => i);
      const names = places.map((i) => `${name}[${i}]`);
      return { values: places.map((i) => elements.at(i)), names, holder: name };
    }
    if (elements || isNoTensor(model, name))
      throw elementsUnknown(name, maker.opType, elements !== undefined);
    return { values: [name], names: [name] };
  }
  const [, holder = '', index = ''] = /^(.*)\[(\d+)\]$/s.exec(name) ?? [];
  const holderMaker = producer.get(holder);
  if (!holderMaker)
    throw unknownExitOutput(
      name,
      model.graph.outputs.map((v) => v.name),
    );
  const parts = elementsOf(model, b, holder) ?? joinedOf(model, b, holderMaker);
  if (!parts) throw elementsUnknown(holder, holderMaker.opType, false);
  if (parts.count !== undefined && Number(index) >= parts.count)
    throw noSuchElement(name, holder, parts.count);
  return { values: [parts.at(Number(index))], names: [name], holder };
}

/** An output that is no tensor has no type in our terms, but fields that are not read. */
const isNoTensor = ({ graph }: Model, name: string) =>
  graph.outputs.some((v) => v.name === name && !v.type && v.unknownFields);

/** What something consists of. */
interface Parts {
  /** Undefined where only a run would show it. */
  readonly count: number | undefined;
  at(index: number): string;
}

const listed = (values: readonly string[]): Parts => ({ count: values.length, at: (i) => values[i]! });

/** The elements of the sequence `value`; undefined for a tensor, and where nodes inside a Loop or an If make it. */
export function elementsOf(model: Model, b: GraphBuilder, value: string): Parts | undefined {
  const values = valuesOf(model, new Map());
  const node = values.producer.get(value);
  const [first = '', second = '', third = ''] = node?.inputs ?? [];
  switch (node?.opType) {
    case 'Identity':
      return elementsOf(model, b, first);
    case 'SequenceEmpty':
      return listed([]);
    case 'SequenceConstruct':
      return listed(node.inputs);
    case 'SequenceInsert':
    case 'SequenceErase': {
      const before = elementsOf(model, b, first);
      const isInsert = node.opType === 'SequenceInsert';
      const place = isInsert ? third : second;
      const index = place === '' ? (isInsert ? before?.count : -1) : constantOf(values, place)?.[0];
      if (before?.count === undefined || index === undefined) return undefined;
      const all = Array.from({ length: before.count }, (_, i) => before.at(i));
      all.splice(index, isInsert ? 0 : 1, ...(isInsert ? [second] : []));
      return listed(all);
    }
    case 'SplitToSequence':
      return splitOf(model, b, values, node);
    default:
      return undefined;
  }
}

/** The tensors that Concat, ConcatFromSequence, or a stack, which is a Concat of Unsqueezes, made one tensor of. */
function joinedOf(model: Model, b: GraphBuilder, { opType, inputs }: Node): Parts | undefined {
  if (opType === 'ConcatFromSequence') return elementsOf(model, b, inputs[0]!);
  const { producer } = indexGraph(model.graph);
  const before = opType === 'Identity' ? producer.get(inputs[0]!) : undefined;
  if (before) return joinedOf(model, b, before);
  if (opType !== 'Concat') return undefined;
  const makers = inputs.map((name) => producer.get(name));
  const isStack = makers.every((maker) => maker?.opType === 'Unsqueeze');
  return listed(isStack ? makers.map((maker) => maker!.inputs[0]!) : inputs);
}

/** What SplitToSequence cuts out of a tensor: what a stack put into it, or else Gathers and Slices of it. */
function splitOf(model: Model, b: GraphBuilder, values: Values, node: Node): Parts | undefined {
  const [whole = '', split = ''] = node.inputs;
  const { axis: along, keepdims } = node.attributes;
  const axis = along?.type === 'INT' ? along.value : 0;
  const isFlat = split === '' && keepdims?.type === 'INT' && keepdims.value === 0;
  const maker = values.producer.get(whole);
  const stacked = isFlat && maker?.attributes.axis?.value === axis ? joinedOf(model, b, maker) : undefined;
  if (stacked && stackMade(values, maker!)) return stacked;
  const sizes = split === '' ? undefined : constantOf(values, split);
  if (split !== '' && (!sizes || sizes.length === 1)) return undefined;
  const slice = (from: number, to: number) =>
    b.op(
      'Slice',
      [whole, b.int64([from]), b.int64([to]), b.int64([axis])],
      {},
      b.fresh(`${node.outputs[0]}/element`),
    );
  const sum = (count: number) => sizes!.slice(0, count).reduce((total, size) => total + size, 0);
  return {
    count: sizes?.length,
    at: (i) => {
      if (sizes) return slice(sum(i), sum(i + 1));
      return isFlat
        ? b.op('Gather', [whole, b.int64(i)], { axis }, b.fresh(`${node.outputs[0]}/element`))
        : slice(i, i + 1);
    },
  };
}

/** Whether a Concat or ConcatFromSequence gives each of its tensors one place on an axis of its own. */
const stackMade = ({ producer }: Values, { opType, inputs, attributes }: Node) =>
  opType === 'ConcatFromSequence'
    ? attributes.new_axis?.value === 1
    : inputs.every((name) => producer.get(name)?.opType === 'Unsqueeze');
