/** The invariants of a graph, one broken at a time. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GraphBuilder, makeNode, makeValue } from '../../src/graph/builder.ts';
import { checkGraph } from '../../src/graph/check.ts';
import { floatTensor } from '../../src/graph/tensor.ts';
import type { Graph } from '../../src/graph/types.ts';

const test = suite('graph: check');

function graph(parts: Partial<Graph> = {}): Graph {
  const base = new GraphBuilder().build('g');
  return {
    ...base,
    inputs: [makeValue('x', 'float', [1])],
    outputs: [makeValue('y', 'float', [1])],
    ...parts,
  };
}

const relu = (from: string, to: string) => makeNode('Relu', [from], [to]);
const nested = (sub: Graph) => makeNode('If', ['x'], ['y'], { then_branch: sub });
const branch = (parts: Partial<Graph>) => graph({ inputs: [], outputs: [], ...parts });
const w = floatTensor('w', [1], [0]);

const sound: readonly [what: string, graph: Graph][] = [
  ['a chain', graph({ nodes: [relu('x', 'a'), relu('a', 'y')] })],
  ['an omitted input and output', graph({ nodes: [makeNode('Op', ['x', ''], ['y', ''])] })],
  ['an initializer that is an input', graph({ nodes: [relu('x', 'y')], inputs: [makeValue('x', 'float', [1])], initializers: [{ ...w, name: 'x' }] })],
  ['a subgraph that reads from outside', graph({ nodes: [nested(branch({ nodes: [relu('x', 'z')], outputs: [makeValue('z', 'float', [1])] }))] })],
  ['two branches that use one name', graph({ nodes: [makeNode('If', ['x'], ['y'], { then_branch: branch({ nodes: [relu('x', 'z')] }), else_branch: branch({ nodes: [relu('x', 'z')] }) })] })],
]; // biome-ignore format: a table

for (const [what, sample] of sound) test(`${what}: sound`, () => checkGraph(sample));

const broken: readonly [what: string, graph: Graph, says: string][] = [
  ['a value made by nobody', graph({ nodes: [relu('z', 'y')] }), 'value z is not made by any node (node 0 Relu "y")'],
  ['a cycle', graph({ nodes: [relu('b', 'a'), relu('a', 'b'), relu('b', 'y')] }), 'value b is read before it is made, or lies on a cycle (node 0 Relu "a")'],
  ['a value made twice', graph({ nodes: [relu('x', 'y'), relu('x', 'y')] }), 'value y is defined twice (node 1 Relu "y")'],
  ['an initializer given twice', graph({ initializers: [w, w] }), 'value w is defined twice (initializer of graph g)'],
  ['an input given twice', graph({ inputs: [makeValue('x', 'float', [1]), makeValue('x', 'float', [1])] }), 'value x is defined twice (input of graph g)'],
  ['an initializer given twice that is an input', graph({ inputs: [makeValue('w', 'float', [1])], initializers: [w, w] }), 'value w is defined twice (initializer of graph g)'],
  ['an output made by nobody', graph(), 'output y is not made by any node (graph g)'],
  ['a subgraph that shadows', graph({ nodes: [nested(branch({ nodes: [relu('x', 'x')] }))] }), 'value x is defined twice (node 0 Relu "x")'],
  ['a subgraph that reads what comes later', graph({ nodes: [nested(branch({ nodes: [relu('y', 'z')] }))] }), 'value y is not made by any node (node 0 Relu "z")'],
]; // biome-ignore format: a table

for (const [what, sample, says] of broken) {
  test(`${what}: invalid-graph`, () => {
    assert.throws(
      () => checkGraph(sample),
      (e: { code?: string; message: string }) => e.code === 'invalid-graph' && e.message === says,
    );
  });
}

test.run();
