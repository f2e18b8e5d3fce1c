/** Sizes that a compile gave to symbolic dimensions. */
import type { ManifestInput } from '../emit/manifest.ts';
import type { Model } from '../graph/types.ts';
import { indexGraph } from '../graph/walk.ts';

/** Sizes of the symbolic dimensions of `model`, as `observeFacts` takes them, from the shapes they turned into. */
export function sizesOf({ graph }: Model, inputs: readonly ManifestInput[]): Record<string, number> {
  const { realInputs } = indexGraph(graph);
  const entries = inputs.flatMap(({ name, dims }) => {
    const declared = graph.inputs.find((value) => value.name === name && realInputs.has(name))?.type?.dims;
    return dims.flatMap((size, axis) => {
      const dim = declared?.[axis];
      return size === 'N' ? [] : [[typeof dim === 'string' ? dim : `${name}.${axis}`, size] as const];
    });
  });
  return Object.fromEntries(entries);
}
