/** A binary classifier with one score z a sample gets logits of both its classes, [0, z], for exits to merge at. */
import { GraphBuilder, makeNode } from '../graph/builder.ts';
import { allNames, indexGraph } from '../graph/walk.ts';
import type { Fact, TypedModel } from './exits.ts';

/**
 * `typed` with its `logits` z, one number a sample, made by way of `<z>/classes` [N, 2], which are the logits then: [0, z], and z is their
 * difference again, to the bit.
 */
export function enterTwoClasses(typed: TypedModel): TypedModel {
  const { model, logits: z } = typed;
  const { graph } = model;
  const b = new GraphBuilder(`${z}/`, allNames(graph));
  const fact = typed.facts.get(z)!;
  const own = b.fresh('score');
  const column = fact.dims.length === 2 ? own : b.op('Reshape', [own, b.int64([-1, 1])]);
  const classes = b.op('Pad', [column, b.int64([0, 1, 0, 0])], { mode: 'constant' }, b.fresh('classes'));
  const score = (index: number) => b.op('Gather', [classes, b.int64([index])], { axis: 1 });
  const difference = b.op('Sub', [score(1), score(0)]);
  const last =
    fact.dims.length === 2
      ? makeNode('Identity', [difference], [z])
      : makeNode('Reshape', [difference, b.int64([-1, ...fact.dims.slice(1)])], [z]);

  const maker = indexGraph(graph).producer.get(z)!;
  const renamed = { ...maker, outputs: maker.outputs.map((name) => (name === z ? own : name)) };
  // The node that made z may be named after it.
  const made = [renamed, ...b.nodes, { ...last, name: b.fresh('difference') }];
  const nodes = graph.nodes.flatMap((node) => (node === maker ? made : [node]));
  const pair: Fact = { dataType: fact.dataType, dims: [1, 2], batchAxis: 0 };
  const single: Fact = { ...pair, dims: [1, 1] };
  const facts = new Map(typed.facts).set(own, fact);
  for (const tensor of b.initializers)
    facts.set(tensor.name, { dataType: tensor.dataType, dims: tensor.dims, batchAxis: undefined });
  for (const value of b.nodes.flatMap((node) => node.outputs))
    facts.set(value, value === classes ? pair : single);
  return {
    ...typed,
    model: { ...model, graph: { ...graph, nodes, initializers: [...graph.initializers, ...b.initializers] } },
    facts,
    logits: classes,
  };
}
