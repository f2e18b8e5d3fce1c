/** What a compiled package was made from, opened again: the original, its exits and their heads. */
import type { Manifest, ManifestInput } from '../emit/manifest.ts';
import { otherModel } from '../errors/index.ts';
import type { Model } from '../graph/types.ts';
import { indexGraph } from '../graph/walk.ts';
import { type Inspected, inspectLoaded } from '../model/inspect.ts';
import type { SessionOptions } from '../ort/session.ts';
import { loadModel } from '../parser/index.ts';
import type { Head } from '../passes/exits.ts';
import { readHeads } from './kept-heads.ts';

export interface Reopened {
  readonly inspection: Inspected;
  readonly heads: readonly Head[];
}

/**
 * Inspects `model`, whose external data lie in `dataFolder`, as the compile of `folder` did. Throws `other-model` and `unusable-heads`, and what reading a model
 * throws.
 */
export async function reopen(
  folder: string,
  manifest: Manifest,
  model: string,
  session: SessionOptions,
  dataFolder?: string,
): Promise<Reopened> {
  const { sha256, exitOutputs, set } = manifest.source;
  const source = await loadModel(model, dataFolder);
  if (source.sha256 !== sha256) throw otherModel(model, folder, sha256);
  const inspection = await inspectLoaded(source, {
    output: manifest.outputs.scores,
    dims: sizesOf(source.model, manifest.inputs),
    taps: manifest.exits.map((exit) => exit.tap),
    exitOutputs,
    ...(set && { set }),
    widenBatch: manifest.batch === 'dynamic',
    session,
  });
  const heads = inspection.existing?.heads ?? (await readHeads(folder, manifest, inspection.plan.exits));
  return { inspection, heads };
}

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
