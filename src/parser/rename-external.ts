/** New locations of external data, for a model whose files get other names. */
import { externalDataInFunction, externalDataMissing } from '../errors/index.ts';
import { mapTensors } from '../graph/map-tensors.ts';
import type { Model, Tensor } from '../graph/types.ts';
import { tensorsOf } from './external-data.ts';
import { readFunctions } from './functions.ts';

/**
 * `model` whose external data lie at `rename(location)`, in initializers and attributes, subgraphs included. The same object when no location
 * changes. Throws `external-data-missing` where `rename` knows none, and `external-data-in-function` where a local function, whose bytes stay as
 * they are, would keep an old location.
 */
export function renameExternal(model: Model, rename: (location: string) => string | undefined): Model {
  const renamed = (tensor: Tensor): Tensor => {
    if (!tensor.external) return tensor;
    const location = rename(tensor.external.location);
    if (location === undefined) throw externalDataMissing(tensor.name, tensor.external.location);
    return location === tensor.external.location
      ? tensor
      : { ...tensor, external: { ...tensor.external, location } };
  };
  const noGraph = { ...model.graph, nodes: [], initializers: [] };
  for (const tensor of tensorsOf(noGraph, readFunctions(model)))
    if (renamed(tensor) !== tensor) throw externalDataInFunction(tensor.name, tensor.external!.location);
  const graph = mapTensors(model.graph, renamed);
  return graph === model.graph ? model : { ...model, graph };
}
