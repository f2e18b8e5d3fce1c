/** A compiled package as a network of a chain: the model that it was compiled from, without its file, and the heads of its exits. */
import { join } from 'node:path';
import type { Preprocessing } from '../data/index.ts';
import type { Manifest } from '../emit/manifest.ts';
import { checkEmitted, readPackage } from '../emit/read-package.ts';
import { packageDamaged, packageIsChain, packageWithoutHeads } from '../errors/index.ts';
import { sourceHashOf } from '../model/inspect.ts';
import type { SessionOptions } from '../ort/session.ts';
import { type LoadedModel, loadModel } from '../parser/index.ts';
import { closeExits } from '../passes/close-exits.ts';
import type { ExitPlan, Head } from '../passes/exits.ts';
import { readHeads } from './kept-heads.ts';
import { sizesOf } from './sizes.ts';

export interface OpenedPackage {
  readonly manifest: Manifest;
  /** `model` has no exits any more, and what the compile was asked to set, widen or raise is part of it; bytes and hash are those of the package's model.onnx. */
  readonly source: LoadedModel;
  /** What `inspectLoaded` must be told of `source`: the output of scores, sizes of symbolic dimensions, and the taps of the package's exits. */
  readonly reading: {
    readonly output: string;
    readonly dims: Readonly<Record<string, number>>;
    readonly taps: readonly string[];
  };
  /** Null where numbers are fed as they are stored. */
  readonly preprocessing: Preprocessing | null;
  /** [C]: class names, when known. */
  readonly labels: readonly string[] | undefined;
  /**
   * The trained heads, for the first exits of `plan`: those at `reading.taps`, in that order, whose names may have got a prefix, and
   * whose ids may be others. Throws `unusable-heads`.
   */
  readHeads(plan: ExitPlan): Promise<readonly Head[]>;
}

/**
 * Opens what `compile` wrote to `folder`. The original's file is not needed: the emitted model holds all of it. Throws `not-a-package`, `package-damaged`,
 * `package-is-chain`, `package-without-heads`, `exits-not-removable`, and what reading a model throws.
 */
export async function openPackage(folder: string, session: SessionOptions = {}): Promise<OpenedPackage> {
  const manifest = await readPackage(folder);
  const { source, outputs, inputs, exits, preprocessing, labels } = manifest;
  const { networks = [] } = manifest as { readonly networks?: readonly unknown[] };
  if (networks.length > 1) throw packageIsChain(folder, networks.length);
  if (source.exitOutputs) throw packageWithoutHeads(folder, source.file);
  await checkEmitted(folder, manifest, session);
  const loaded = await loadModel(join(folder, 'model.onnx'));
  if (sourceHashOf(loaded.model) !== source.sha256)
    throw packageDamaged(folder, 'model.onnx and manifest.json are of different originals');
  const model = closeExits(loaded.model);
  return {
    manifest,
    source: { ...loaded, model },
    reading: { output: outputs.scores, dims: sizesOf(model, inputs), taps: exits.map(({ tap }) => tap) },
    preprocessing,
    labels,
    readHeads: (plan) => readHeads(folder, manifest, plan.exits.slice(0, exits.length)),
  };
}
