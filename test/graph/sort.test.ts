/** Nodes that stand in any order, put into one that ONNX asks for. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GraphBuilder, makeNode, makeValue } from '../../src/graph/builder.ts';
import { checkGraph } from '../../src/graph/check.ts';
import { sortGraph } from '../../src/graph/sort.ts';
import type { Graph, Node } from '../../src/graph/types.ts';
import { hasCode } from '../expect.ts';

const test = suite('graph: sort');

const relu = (from: string, to: string) => makeNode('Relu', [from], [to]);
const graphOf = (nodes: Node[], output = 'y', inputs = ['x']): Graph => ({
  ...new GraphBuilder().build('g'),
  nodes,
  inputs: inputs.map((name) => makeValue(name, 'float', [1])),
  outputs: [makeValue(output, 'float', [1])],
});
const namesOf = ({ nodes }: Graph) => nodes.map(({ name }) => name).join(' ');

test('a graph in order is the same object', () => {
  const graph = graphOf([relu('x', 'a'), relu('x', 'b'), relu('a', 'y')]);
  assert.is(sortGraph(graph), graph);
});

test('a node moves up only to stand before its first reader, and stays the same object', () => {
  const [late, first, other, y] = [
    relu('x', 'late'),
    relu('x', 'first'),
    relu('x', 'other'),
    relu('late', 'y'),
  ];
  const sorted = sortGraph(graphOf([first, y, other, late]));
  assert.equal(namesOf(sorted), 'first late y other');
  for (const node of [late, first, other, y]) assert.ok(sorted.nodes.includes(node));
  checkGraph(sorted);
});

test('what a subgraph reads from outside counts, and the subgraph is sorted too', () => {
  const branch = graphOf([relu('b', 'z'), relu('a', 'b')], 'z', []);
  const sorted = sortGraph(graphOf([makeNode('If', ['x'], ['y'], { then_branch: branch }), relu('x', 'a')]));
  assert.equal(namesOf(sorted), 'a y');
  const inner = sorted.nodes[1]!.attributes.then_branch!.value as Graph;
  assert.equal(namesOf(inner), 'b z');
  checkGraph(sorted);
});

test('the graphs of a GRAPHS attribute are sorted too', () => {
  const branch = graphOf([relu('b', 'z'), relu('x', 'b')], 'z', []);
  const many: Node = {
    ...relu('x', 'y'),
    attributes: { bodies: { type: 'GRAPHS', value: [branch, branch] } },
  };
  const [a, b] = sortGraph(graphOf([many])).nodes[0]!.attributes.bodies!.value as Graph[];
  assert.equal([a!, b!].map(namesOf), ['b z', 'b z']);
});

test('a long chain the wrong way round', () => {
  const nodes = Array.from({ length: 20_000 }, (_, i) =>
    relu(i === 0 ? 'x' : `v${i - 1}`, `v${i}`),
  ).reverse();
  const sorted = sortGraph(graphOf(nodes, 'v19999'));
  assert.is(sorted.nodes[0]!.name, 'v0');
  checkGraph(sorted);
});

test('a cycle stays one', () => {
  const sorted = sortGraph(graphOf([relu('b', 'a'), relu('a', 'b'), relu('b', 'y')]));
  assert.throws(() => checkGraph(sorted), hasCode('invalid-graph'));
});

test.run();
