/** What a compiled package was made from, opened again: the original, its exits and their heads. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Manifest, ManifestInput } from '../emit/manifest.ts';
import { HEADS_FILE } from '../emit/package-files.ts';
import { messageOf, otherModel, unusableHeads } from '../errors/index.ts';
import type { Model } from '../graph/types.ts';
import { indexGraph } from '../graph/walk.ts';
import { type Inspected, inspectLoaded } from '../model/inspect.ts';
import type { SessionOptions } from '../ort/session.ts';
import { loadModel, parseModel } from '../parser/index.ts';
import { unbundleHeads } from '../passes/bundle-heads.ts';
import type { ExitPlan, Head, HeadKind } from '../passes/exits.ts';

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
  const heads = inspection.existing?.heads ?? (await readHeads(folder, inspection.plan, manifest));
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

/** The heads that compile kept in `folder`. */
async function readHeads(
  folder: string,
  plan: ExitPlan,
  { exits, heads: kept }: Manifest,
): Promise<readonly Head[]> {
  const file = join(folder, HEADS_FILE);
  const bytes = await readFile(file).catch((error) => {
    throw unusableHeads(file, `cannot be read: ${messageOf(error)}`);
  });
  if (kept && createHash('sha256').update(bytes).digest('hex') !== kept.sha256)
    throw unusableHeads(file, `is not the one that manifest.json is of (sha256 ${kept.sha256})`);
  const planned = plan.exits.map((exit, k) => ({ exit, kind: exits[k]!.head as HeadKind }));
  let heads: readonly Head[] | undefined;
  try {
    heads = unbundleHeads(parseModel(bytes).graph, planned);
  } catch (error) {
    throw unusableHeads(file, `is damaged: ${messageOf(error)}`);
  }
  if (!heads) throw unusableHeads(file, 'is not of the exits in manifest.json');
  return heads;
}
