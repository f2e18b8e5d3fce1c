/** The shapes in a file's value_info may be wrong: they can be older than the graph. ONNX Runtime uses them, and folds a Shape by them. */
import type { DataType, Dim, Graph, TensorType, ValueInfo } from '../graph/types.ts';
import { dependents, mapSubgraphs, nodeReads } from '../graph/walk.ts';
import type { Fact } from './exits.ts';
import type { Pass } from './pass.ts';

/**
 * Leaves out every value_info that `facts` contradict, and gives outputs the observed type and shape where theirs differ; a batch axis is
 * called as that of `sampleInputs`. Nothing is known of values inside subgraphs, so what those of nodes that read samples claim of shapes is left out.
 */
export const keepObserved = (facts: ReadonlyMap<string, Fact>, sampleInputs: readonly string[]): Pass => ({
  name: 'keep-observed',
  run(graph: Graph): Graph {
    const batch = graph.inputs.find((v) => v.name === sampleInputs[0])?.type?.dims?.[0];
    const sampled = dependents(graph, sampleInputs);
    const meaning = new Map<string, number | 'batch'>();
    const isTrue = (dim: Dim, { dims, batchAxis, batchTrouble }: Fact, axis: number): boolean => {
      if (dim === undefined) return true;
      const observed = axis === batchAxis && typeof batch !== 'number' ? 'batch' : dims[axis]!;
      if (typeof dim === 'number') return dim === observed && batchTrouble === undefined;
      // One name for two sizes: ONNX Runtime would put both into one buffer.
      if (!meaning.has(dim)) meaning.set(dim, observed);
      return meaning.get(dim) === observed;
    };
    const seenType = (type: TensorType, fact: Fact): TensorType => {
      const { dataType, dims, batchAxis, batchTrouble } = fact;
      const observed = (axis: number) =>
        axis === batchAxis ? batch : batchTrouble === undefined ? dims[axis] : undefined;
      if (type.dims && type.dims.length !== dims.length)
        return { dataType, dims: dims.map((_, i) => observed(i)) };
      const corrected = type.dims?.map((dim, axis) => (isTrue(dim, fact, axis) ? dim : observed(axis)));
      const same =
        dataType === type.dataType && (corrected?.every((dim, i) => dim === type.dims![i]) ?? true);
      return same ? type : { dataType, dims: corrected };
    };
    const corrected = (value: ValueInfo): ValueInfo => {
      const fact = facts.get(value.name);
      if (!fact || !value.type) return value;
      const type = seenType(value.type, fact);
      return type === value.type ? value : { ...value, type };
    };
    for (const input of graph.inputs) corrected(input);
    const outputs = graph.outputs.map(corrected);
    const valueInfo = graph.valueInfo.filter((value) => corrected(value) === value);
    const nodes = graph.nodes.map((node) =>
      nodeReads(node).some((name) => sampled.has(name)) ? mapSubgraphs(node, withoutShapes) : node,
    );
    const isSame =
      valueInfo.length === graph.valueInfo.length &&
      outputs.every((value, i) => value === graph.outputs[i]) &&
      nodes.every((node, i) => node === graph.nodes[i]);
    return isSame ? graph : { ...graph, nodes, outputs, valueInfo };
  },
});

/** Leaves out the shapes that `graph` gives for inner values, so that running it shows what they are. */
export const dropClaims: Pass = {
  name: 'drop-claims',
  run(graph: Graph): Graph {
    const nodes = graph.nodes.map((node) => mapSubgraphs(node, withoutShapes));
    const isSame = graph.valueInfo.length === 0 && nodes.every((node, i) => node === graph.nodes[i]);
    return isSame ? graph : { ...graph, nodes, valueInfo: [] };
  },
};

function withoutShapes(graph: Graph): Graph {
  const shapeless = (value: ValueInfo): ValueInfo => {
    const { dataType, dims } = value.type ?? ({} as { dataType: DataType; dims?: undefined });
    return dims?.length ? { ...value, type: { dataType, dims: undefined } } : value;
  };
  const nodes = graph.nodes.map((node) => mapSubgraphs(node, withoutShapes));
  const [inputs, outputs] = [graph.inputs.map(shapeless), graph.outputs.map(shapeless)];
  const isSame =
    graph.valueInfo.length === 0 &&
    nodes.every((node, i) => node === graph.nodes[i]) &&
    inputs.every((value, i) => value === graph.inputs[i]) &&
    outputs.every((value, i) => value === graph.outputs[i]);
  return isSame ? graph : { ...graph, nodes, inputs, outputs, valueInfo: [] };
}
