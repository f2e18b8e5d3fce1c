/** The two forms of a head: with BatchNormalization and Dropout in training mode, and with both folded away. */

import { numberOf } from '../graph/attributes.ts';
import { makeNode, makeValue, toAttribute } from '../graph/builder.ts';
import { checkKeptTypes, TypedBuilder } from '../graph/infer.ts';
import { elementCount, floatTensor, toFloat32Array } from '../graph/tensor.ts';
import type { Graph, Node, Tensor } from '../graph/types.ts';
import { allNames, type GraphIndex, indexGraph } from '../graph/walk.ts';
import type { Pass } from '../passes/pass.ts';

/** Weight of a batch's statistics in the running ones; PyTorch's default. */
const RUNNING_SHARE = 0.1;

/**
 * BatchNormalization uses the batch's statistics, here `<output>/batch_mean` and `<output>/batch_var` [C]; the running ones
 * become graph inputs of their own names, with outputs `next/<name>` = 0.9·old + 0.1·batch (its variance unbiased).
 * Dropout drops, from `seed` on. Shapes must be static (`bindDims`).
 */
export function trainingForm(options: { readonly seed: number }): Pass {
  return {
    name: 'enter-training-form',
    run: (graph) => (graph.nodes.some(isAtRest) ? toTraining(graph, options.seed) : graph),
    ensures: checkKeptTypes,
  };
}

/** A BatchNormalization or Dropout node in inference form. */
const isAtRest = (node: Node) =>
  (node.opType === 'BatchNormalization' && numberOf(node, 'training_mode', 0) === 0) ||
  (node.opType === 'Dropout' && !node.inputs[2]);

function toTraining(graph: Graph, seed: number): Graph {
  const b = new TypedBuilder('training/', graph);
  const state = new Set<string>();
  const nodes = graph.nodes.flatMap((node, i) => {
    if (!isAtRest(node)) return [node];
    const [x, ...rest] = node.inputs as [string, ...string[]];
    const y = node.outputs[0]!;
    if (node.opType === 'Dropout') {
      const attributes = { ...node.attributes, seed: toAttribute(seed + i) };
      const mask = node.outputs[1] || `${y}/mask`;
      return [{ ...node, inputs: [x, rest[0] ?? '', b.bool(true)], outputs: [y, mask], attributes }];
    }
    const count = elementCount(b.dims(x)) / b.dims(x)[1]!;
    const statistics = [`${y}/batch_mean`, `${y}/batch_var`] as const;
    const update = (running: string, batch: string, factor: number) => {
      const kept = b.op('Mul', [running, b.float(1 - RUNNING_SHARE)]);
      b.op('Add', [kept, b.op('Mul', [batch, b.float(RUNNING_SHARE * factor)])], {}, `next/${running}`);
      state.add(running);
    };
    for (const name of statistics) b.types.set(name, b.typeOf(rest[2]!));
    update(rest[2]!, statistics[0], 1);
    update(rest[3]!, statistics[1], count / Math.max(1, count - 1));
    // With momentum 0 the "running" outputs are the batch's own statistics. ONNX Runtime writes them over its inputs, whose other readers
    // would then see them: it gets copies, made in a way that no optimizer takes out.
    const before = b.nodes.length;
    const unread = rest.slice(2).map((running) => b.op('Mul', [running, b.float(0)]));
    const copies = b.nodes.splice(before);
    const attributes = {
      ...node.attributes,
      training_mode: toAttribute(1),
      momentum: { type: 'FLOAT', value: 0 } as const,
    };
    const inputs = [x, ...rest.slice(0, 2), ...unread];
    return [...copies, { ...node, inputs, outputs: [y, ...statistics], attributes }];
  });
  const values = (prefix: string) => [...state].map((s) => makeValue(prefix + s, 'float', b.dims(s)));
  const isInput = new Set(graph.inputs.map((v) => v.name));
  return {
    ...graph,
    nodes: [...nodes, ...b.nodes],
    initializers: [...graph.initializers.filter((t) => !state.has(t.name)), ...b.initializers],
    inputs: [...graph.inputs, ...values('').filter((v) => !isInput.has(v.name))],
    outputs: [...graph.outputs, ...values('next/')],
  };
}

/**
 * Dropout goes. BatchNormalization with constant parameters goes into the Conv or Gemm whose output it alone reads, if that
 * has constant weights (Jacob et al. 2018, section 3.2); otherwise it stays.
 */
export const inferenceForm: Pass = {
  name: 'fold-into-inference-form',
  run: (graph) => foldNorms(dropDropout(graph)),
};

function dropDropout(graph: Graph): Graph {
  const { consumers } = indexGraph(graph);
  const outputs = new Set(graph.outputs.map((v) => v.name));
  const isUsed = (name: string | undefined) => !!name && (consumers.has(name) || outputs.has(name));
  const gone = (node: Node) => node.opType === 'Dropout' && !isUsed(node.outputs[1]);
  if (!graph.nodes.some(gone)) return graph;
  const alias = new Map<string, string>();
  const real = (name: string) => alias.get(name) ?? name;
  const nodes = graph.nodes.flatMap((node) => {
    const inputs = node.inputs.map(real);
    const y = node.outputs[0]!;
    if (!gone(node)) return inputs.every((n, i) => n === node.inputs[i]) ? [node] : [{ ...node, inputs }];
    if (outputs.has(y)) return [makeNode('Identity', [inputs[0]!], [y])];
    alias.set(y, inputs[0]!);
    return [];
  });
  return withoutUnread({ ...graph, nodes }, graph);
}

function foldNorms(graph: Graph): Graph {
  const index = indexGraph(graph);
  const names = allNames(graph);
  const outputs = new Set(graph.outputs.map((v) => v.name));
  const replaced = new Map<Node, Node | undefined>();
  const tensors = new Map<string, Tensor>();
  const constant = (name: string | undefined) => {
    const tensor = index.initializer.get(name ?? '');
    return tensor?.dataType === 'float' ? tensor : undefined;
  };

  for (const norm of graph.nodes) {
    if (norm.opType !== 'BatchNormalization' || numberOf(norm, 'training_mode', 0)) continue;
    const made = index.producer.get(norm.inputs[0]!);
    const parameters = norm.inputs.slice(1).map(constant);
    const weight = constant(made?.inputs[1]);
    const oldBias = made?.inputs[2] ? constant(made.inputs[2]) : null;
    if (!made || !weight || oldBias === undefined || parameters.some((p) => !p)) continue;
    if (made.opType !== 'Conv' && made.opType !== 'Gemm') continue;
    if (outputs.has(norm.inputs[0]!) || index.consumers.get(norm.inputs[0]!)!.length > 1) continue;

    const [scale, shift, mean, variance] = parameters.map((p) => toFloat32Array(p!));
    const channels = scale!.length;
    const bias = oldBias && toFloat32Array(oldBias);
    if (bias && bias.length !== channels && bias.length !== 1) continue;
    const beta = made.opType === 'Gemm' ? numberOf(made, 'beta', 1) : 1;
    const epsilon = numberOf(norm, 'epsilon', 1e-5);
    const gain = Array.from(scale!, (s, c) => s / Math.sqrt(variance![c]! + epsilon));
    const offset = gain.map((g, c) => {
      const before = bias ? beta * bias[bias.length === 1 ? 0 : c]! : 0;
      return g * (before - mean![c]!) + shift![c]!;
    });
    const isLast = made.opType === 'Gemm' && !numberOf(made, 'transB', 0);
    const perChannel = isLast ? 1 : elementCount(weight.dims) / channels;
    const scaled = toFloat32Array(weight).map((w, i) => w * gain[Math.floor(i / perChannel) % channels]!);

    const nameOf = (old: string, index: GraphIndex) =>
      index.consumers.get(old)?.length === 1 ? old : unique(`${norm.outputs[0]}/${old}`, names);
    const weightName = nameOf(weight.name, index);
    const biasName = oldBias ? nameOf(oldBias.name, index) : unique(`${made.outputs[0]}/bias`, names);
    tensors.set(weightName, floatTensor(weightName, weight.dims, scaled));
    tensors.set(biasName, floatTensor(biasName, [channels], offset));
    const { beta: _, ...attributes } = made.attributes;
    replaced.set(made, undefined);
    replaced.set(norm, {
      ...made,
      inputs: [made.inputs[0]!, weightName, biasName],
      outputs: [norm.outputs[0]!],
      attributes,
    });
  }
  if (replaced.size === 0) return graph;
  const nodes = graph.nodes.flatMap((n) => (replaced.has(n) ? (replaced.get(n) ?? []) : [n]));
  const kept = graph.initializers.filter((t) => !tensors.has(t.name));
  return withoutUnread({ ...graph, nodes, initializers: [...kept, ...tensors.values()] }, graph);
}

function unique(stem: string, names: Set<string>): string {
  let name = stem;
  for (let i = 1; names.has(name); i++) name = `${stem}_${i}`;
  names.add(name);
  return name;
}

/** `after` without the initializers that were read in `before` and no longer are. */
function withoutUnread(after: Graph, before: Graph): Graph {
  const { consumers } = indexGraph(after);
  const was = indexGraph(before).consumers;
  const outputs = new Set(after.outputs.map((v) => v.name));
  const keep = (t: Tensor) => consumers.has(t.name) || outputs.has(t.name) || !was.has(t.name);
  return { ...after, initializers: after.initializers.filter(keep) };
}
