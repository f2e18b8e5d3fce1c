import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GraphBuilder, makeNode } from '../../src/graph/builder.ts';
import { mapTensors } from '../../src/graph/map-tensors.ts';
import { floatTensor } from '../../src/graph/tensor.ts';
import type { Graph } from '../../src/graph/types.ts';

const test = suite('graph: map-tensors');

const scalar = (name: string) => floatTensor(name, [], [1]);

/** Six tensors: an initializer, a Constant, a list in an attribute, and two in a branch, one of which is deeper still. */
function nested(): Graph {
  const deep = new GraphBuilder();
  deep.nodes.push(makeNode('Constant', [], ['deep'], { value: scalar('in a deeper branch') }));
  const inner = new GraphBuilder();
  inner.initializer(scalar('in a branch'));
  inner.nodes.push(makeNode('If', ['c'], ['inner'], { then_branch: deep.build('deep') }));
  const b = new GraphBuilder();
  b.initializer(scalar('initializer'));
  b.nodes.push(
    makeNode('Constant', [], ['k'], { value: scalar('constant') }),
    makeNode('Foreign', [], ['f'], {
      list: { type: 'TENSORS', value: [scalar('first'), scalar('second')] },
      graphs: { type: 'GRAPHS', value: [inner.build('inner')] },
      plain: 3,
    }),
  );
  return b.build('nested');
}

test('every tensor is met once, with the node that owns it', () => {
  const met: string[] = [];
  mapTensors(nested(), (tensor, owner) => {
    met.push(`${tensor.name}: ${owner?.opType}`);
    return tensor;
  });
  assert.equal(met.sort(), [
    'constant: Constant',
    'first: Foreign',
    'in a branch: undefined',
    'in a deeper branch: Constant',
    'initializer: undefined',
    'second: Foreign',
  ]);
});

test('what is not changed is the same object, and what is around a change is not', () => {
  const graph = nested();
  assert.is(
    mapTensors(graph, (t) => t),
    graph,
  );
  const changed = mapTensors(graph, (t) => (t.name === 'in a deeper branch' ? scalar('other') : t));
  assert.is.not(changed, graph);
  assert.is(changed.nodes[0], graph.nodes[0]);
  assert.is(changed.initializers, graph.initializers);
  assert.is(changed.nodes[1]!.attributes.list, graph.nodes[1]!.attributes.list);
  const names: string[] = [];
  mapTensors(changed, (t) => {
    names.push(t.name);
    return t;
  });
  assert.ok(names.includes('other') && !names.includes('in a deeper branch'));
});

test.run();
