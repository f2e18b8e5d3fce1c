/** A value inside a model in place of its outputs. */
import { makeValue } from '../graph/builder.ts';
import type { Model } from '../graph/types.ts';
import { indexGraph } from '../graph/walk.ts';
import type { TypedModel } from './exits.ts';

/** `model` with the inner value `name` as its only output; the same when an output has that name, or nothing has. */
export function giveValue(model: Model, name: string | undefined): Model {
  const { graph } = model;
  const isInner = name !== undefined && indexGraph(graph).producer.has(name);
  if (!isInner || graph.outputs.some((v) => v.name === name)) return model;
  const value = graph.valueInfo.find((v) => v.name === name) ?? { name, type: undefined };
  return { ...model, graph: { ...graph, outputs: [value] } };
}

/** `typed` whose outputs all have types, those too that were inner values without any. */
export function describeOutputs(typed: TypedModel): TypedModel {
  const { graph } = typed.model;
  if (graph.outputs.every((v) => v.type)) return typed;
  const batch = graph.inputs.find((v) => v.name === typed.sampleInputs[0])?.type?.dims?.[0];
  const outputs = graph.outputs.map((value) => {
    const fact = typed.facts.get(value.name);
    if (value.type || !fact) return value;
    return makeValue(
      value.name,
      fact.dataType,
      fact.dims.map((size, axis) => (axis === fact.batchAxis ? batch : size)),
    );
  });
  return { ...typed, model: { ...typed.model, graph: { ...graph, outputs } } };
}
