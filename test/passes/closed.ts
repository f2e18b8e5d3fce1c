/** Whether `closeExits` gives the original back: the same nodes and weights under the same names, and the same outputs to the bit. */
import * as assert from 'uvu/assert';
import { prune } from '../../src/graph/prune.ts';
import type { Graph, Model, Node } from '../../src/graph/types.ts';
import { indexGraph, subgraphs } from '../../src/graph/walk.ts';
import { randomFeeds } from '../../src/model/random-inputs.ts';
import type { SessionOptions } from '../../src/ort/session.ts';
import { withSession } from '../../src/ort/session.ts';
import { parseModel, serializeModel } from '../../src/parser/index.ts';
import { closeExits } from '../../src/passes/close-exits.ts';

/**
 * Closes `lowered` as it comes back from a file. Fails unless that is `original` without the outputs that `lowered` lacks. Returns the closed
 * model.
 */
export async function expectOriginal(
  original: Model,
  lowered: Model,
  session: SessionOptions = {},
  dims: Readonly<Record<string, number>> = {},
): Promise<Model> {
  const closed = parseModel(serializeModel(closeExits(parseModel(serializeModel(lowered)))));
  const given = new Set(lowered.graph.outputs.map((v) => v.name));
  const outputs = original.graph.outputs.filter((v) => given.has(v.name));
  assert.equal(
    closed.graph.outputs.map((v) => v.name),
    outputs.map((v) => v.name),
  );
  const wanted = prune({ ...original.graph, outputs });
  assert.equal(namesOf(closed.graph), namesOf(wanted));
  assert.equal(countsOf(closed.graph), countsOf(wanted), 'nodes by operator');
  assert.equal(weightsOf(closed.graph), weightsOf(wanted), 'weights');
  const feeds = randomFeeds(original, dims, 3);
  const run = (model: Model) =>
    withSession(model, { ...session, optimization: 'disabled' }, (s) =>
      s.run(
        feeds,
        outputs.map((v) => v.name),
      ),
    );
  // Lowering takes weights off the inputs, and ONNX Runtime rounds otherwise where a weight is an input.
  const { realInputs } = indexGraph(original.graph);
  const inputs = original.graph.inputs.filter((v) => realInputs.has(v.name));
  assert.equal(
    closed.graph.inputs.map((v) => v.name),
    inputs.map((v) => v.name),
  );
  const { irVersion } = lowered;
  const expected = await run({ ...original, irVersion, graph: { ...original.graph, inputs } });
  const got = await run(closed);
  for (const { name } of outputs) {
    assert.equal(got[name]!.dims, expected[name]!.dims, name);
    assert.equal(got[name]!.data, expected[name]!.data, name);
  }
  return closed;
}

/** Every node by name, with what it reads and makes, sorted. */
const namesOf = (graph: Graph): string[] =>
  graph.nodes.map((node) => `${node.name}: ${node.opType}(${node.inputs}) = ${node.outputs}`).sort();

function countsOf(graph: Graph): Record<string, number> {
  const counts: Record<string, number> = Object.create(null);
  const count = (node: Node): void => {
    counts[node.opType] = (counts[node.opType] ?? 0) + 1;
    for (const inner of subgraphs(node)) inner.nodes.forEach(count);
  };
  graph.nodes.forEach(count);
  return Object.fromEntries(Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1)));
}

const weightsOf = (graph: Graph) =>
  graph.initializers
    .map(({ name, dataType, dims, bytes, external }) => ({
      name,
      dataType,
      dims: [...dims],
      bytes: Buffer.from(bytes).toString('base64'),
      external,
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
