/** A model that takes one sample at a time made to take any number: the batch size stands in its inputs' shapes and in constants of Reshapes. */
import { int64Tensor, toNumbers } from '../graph/tensor.ts';
import type { Dim, Graph, Node, Tensor, ValueInfo } from '../graph/types.ts';
import { allNames, dependents, indexGraph, nodeReads } from '../graph/walk.ts';
import type { Pass } from './pass.ts';

/** Name of the batch dimension. */
const BATCH = 'N';

/**
 * Inputs and outputs [1, ...] become [N, ...], and Reshapes of what depends on the inputs to a constant [1, ...] keep the batch as it is.
 * Whether that was all is known only when both models have run (see `widen-model.ts`). The same graph when no input
 * is [1, ...], or one has a dynamic batch already.
 */
export const widenBatch: Pass = {
  name: 'widen-batch',
  run(graph: Graph): Graph {
    const { realInputs } = indexGraph(graph);
    const real = graph.inputs.filter((v) => realInputs.has(v.name));
    const widened = real.filter((v) => v.type?.dims?.[0] === 1);
    const isDynamic = real.some(
      (v) => typeof v.type?.dims?.[0] === 'string' || v.type?.dims?.[0] === undefined,
    );
    if (widened.length === 0 || isDynamic) return graph;
    const sampled = dependents(
      graph,
      widened.map((v) => v.name),
    );
    const names = allNames(graph);
    const added: Tensor[] = [];
    /** Constants that Reshapes no longer read. */
    const shapes = new Set<string>();
    const nodes = graph.nodes.map((node) => {
      const shape = sampled.has(node.inputs[0] ?? '') ? batchOfOne(graph, node) : undefined;
      if (!shape) return node;
      shapes.add(node.inputs[1]!);
      const dims = shape.slice(1).includes(-1) ? [0, ...shape.slice(1)] : [-1, ...shape.slice(1)];
      let name = `${node.outputs[0]}/shape`;
      while (names.has(name)) name += '_';
      names.add(name);
      added.push(int64Tensor(name, [dims.length], dims));
      return { ...node, inputs: [node.inputs[0]!, name] };
    });
    const read = new Set([...nodes.flatMap(nodeReads), ...graph.outputs.map(({ name }) => name)]);
    const isListed = new Set(graph.inputs.map(({ name }) => name));
    // ONNX Runtime warns of constants that nothing reads; those that are inputs too would become inputs alone.
    const kept = graph.initializers.filter(
      ({ name }) => read.has(name) || isListed.has(name) || !shapes.has(name),
    );
    return {
      ...graph,
      nodes,
      initializers: [...kept, ...added],
      inputs: graph.inputs.map((v) => (widened.includes(v) ? withBatch(v) : v)),
      outputs: graph.outputs.map((v) => (v.type?.dims?.[0] === 1 ? withBatch(v) : v)),
      valueInfo: graph.valueInfo.filter((v) => !sampled.has(v.name)),
    };
  },
};

/** The constant [1, ...] that `node`, a Reshape, reshapes to. */
function batchOfOne(graph: Graph, node: Node): readonly number[] | undefined {
  const name = node.opType === 'Reshape' ? node.inputs[1] : undefined;
  if (name === undefined) return undefined;
  const { initializer, producer } = indexGraph(graph);
  const value = producer.get(name)?.attributes.value;
  const tensor = initializer.get(name) ?? (value?.type === 'TENSOR' ? value.value : undefined);
  if (!tensor || tensor.external) return undefined;
  const shape = toNumbers(tensor);
  return shape[0] === 1 && shape.length > 1 ? shape : undefined;
}

const withBatch = (value: ValueInfo): ValueInfo => ({
  ...value,
  type: { ...value.type!, dims: [BATCH, ...value.type!.dims!.slice(1)] as Dim[] },
});
