/** What a compiled package was made from, opened again: its networks, their exits and heads. */
import { join } from 'node:path';
import { isFolder } from '../data/files.ts';
import type { Preprocessing } from '../data/index.ts';
import { inputsOf } from '../data/splits.ts';
import type { Manifest, ManifestNetwork } from '../emit/manifest.ts';
import { networkMissing, ofFirst, otherModel } from '../errors/index.ts';
import { opsetOf } from '../graph/types.ts';
import { findFiles, isModelFolder } from '../hub/folder.ts';
import { type Inspected, inspectLoaded } from '../model/inspect.ts';
import type { Chain, Network } from '../networks/chain.ts';
import type { ExternalFiles } from '../networks/external-files.ts';
import { type FirstOptions, type OpenedFirst, openFirst } from '../networks/open-first.ts';
import type { SessionOptions } from '../ort/session.ts';
import { type LoadedModel, loadModel } from '../parser/index.ts';
import { endExit } from '../passes/end-exit.ts';
import { isTrained, readHeads } from './kept-heads.ts';
import { mergeable } from './open-chain.ts';
import { openPackage } from './open-package.ts';
import { sizesOf } from './sizes.ts';

export interface Reopened {
  /** Of the original. */
  readonly inspection: Inspected;
  readonly chain: Chain;
  readonly external: ExternalFiles;
}

export interface ReopenOptions {
  /** Path of the original. */
  readonly model: string;
  /** Folder that its external data lie in; its own by default. */
  readonly externalDataFolder?: string | undefined;
  /** The networks in front, in any order; those that lie beside `model` are found. Of each, only where its file lies counts. */
  readonly first?: readonly (string | FirstOptions)[] | undefined;
  readonly session: SessionOptions;
}

/**
 * Opens the networks of `folder`, whose manifest is `manifest`, as its compile did. Throws `other-model`, `network-missing`, `unusable-heads`,
 * and what reading a model or a package throws.
 */
export async function reopen(folder: string, manifest: Manifest, options: ReopenOptions): Promise<Reopened> {
  const inspection = await reopenOriginal(folder, manifest, options);
  const { source, typed, hash, plan, existing } = inspection;
  const firsts = await reopenFirsts(folder, manifest, inspection, options);
  const opened: Omit<Network, 'heads'>[] = [
    ...firsts,
    { id: 'original', file: originalIn(manifest), source, hash, typed, plan },
  ];
  const exitsIn = (n: number) => manifest.exits.filter(({ network = 0 }) => network === n);
  const trained = opened.flatMap((network, n) =>
    exitsIn(n)
      .filter(({ head }) => isTrained(head))
      .map(({ id }, i) => ({ ...network.plan.exits[i]!, id, network: n })),
  );
  const heads = trained.length > 0 ? await readHeads(folder, manifest, trained) : [];
  const networks = opened.map((network, n): Network => {
    const end = exitsIn(n).find(({ head }) => head === 'end');
    const own = heads.filter(({ exit }) => exit.network === n);
    const given = n === firsts.length ? (existing?.heads ?? []) : [];
    const ends = end ? [endExit(network.plan, { id: end.id, network: n }, network.reading?.classOrder)] : [];
    return { ...network, heads: [...own, ...given, ...ends] };
  });
  const { chain, external } = await mergeable(networks, options.session);
  return { inspection: { ...inspection, typed: chain.networks.at(-1)!.typed }, chain, external };
}

/** Its file as the networks of a chain are told apart. */
const originalIn = ({ networks, source }: Manifest): string => networks?.at(-1)?.file ?? source.file;

/** Names of the values that the exits of network `n` are at, but for its end. */
const tapsOf = ({ exits }: Manifest, n: number): string[] =>
  exits.filter(({ network = 0, head }) => network === n && head !== 'end').map(({ tap }) => tap);

async function reopenOriginal(
  folder: string,
  manifest: Manifest,
  { model, externalDataFolder, session }: ReopenOptions,
): Promise<Inspected> {
  const { sha256, exitOutputs, set } = manifest.source;
  const { networks = [], outputs, inputs, batch } = manifest;
  const source = await loadModel(model, externalDataFolder);
  if (source.sha256 !== sha256) throw otherModel(model, folder, sha256);
  return await inspectLoaded(source, {
    output: outputs.scores,
    dims: sizesOf(source.model, inputs),
    taps: tapsOf(manifest, Math.max(0, networks.length - 1)),
    exitOutputs,
    ...(set && { set }),
    widenBatch: batch === 'dynamic',
    isNested: networks.length > 1,
    opset: manifest.model?.opset,
    session,
  });
}

async function reopenFirsts(
  folder: string,
  manifest: Manifest,
  { typed, source }: Inspected,
  { model, first = [], session }: ReopenOptions,
): Promise<OpenedFirst[]> {
  const networks = (manifest.networks ?? []).slice(0, -1);
  if (networks.length === 0) return [];
  const given: LoadedModel[] = [];
  for (const one of first) {
    const { model, externalDataFolder }: FirstOptions = typeof one === 'string' ? { model: one } : one;
    try {
      given.push(await load(model, externalDataFolder));
    } catch (error) {
      throw ofFirst(model, error);
    }
  }
  const original = {
    file: originalIn(manifest),
    inputs: inputsOf(typed),
    preprocessing: manifest.preprocessing as Preprocessing,
    options: {},
    typed,
    source,
  };
  const opset = opsetOf(typed.model);
  const beside = join(
    model,
    ...originalIn(manifest)
      .split('/')
      .map(() => '..'),
  );
  const opened: OpenedFirst[] = [];
  for (const [n, network] of networks.entries()) {
    const { id, file, preprocessing, output, dims, set } = network;
    const { channels, ...numbers } = preprocessing!;
    const options = {
      ...numbers,
      ...(channels !== 'any' && { channels }),
      ...(output && { output }),
      ...(dims && { dims }),
      ...(set && { set }),
    };
    const taps = tapsOf(manifest, n).map((tap) => tap.slice(`${id}/`.length));
    const found = await findNetwork(network, given, [beside, folder]);
    const about = { id, file, source: found, original, opset, session, taps };
    const one = await openFirst({ model: file, ...options }, about);
    opened.push({ ...one, reading: { ...one.reading, ...saidOf(network) } });
  }
  return opened;
}

/** What a manifest says of a network that its file does not. */
const saidOf = ({ classOrder, externalDataFolder, package: compiled, grown }: ManifestNetwork) => ({
  ...(classOrder && { classOrder }),
  ...(externalDataFolder && { externalDataFolder }),
  ...(compiled && { package: compiled }),
  ...(grown && { grown }),
});

/** The file at `path`, or of the folder that it is; of a compiled package its network. */
async function load(path: string, dataFolder?: string): Promise<LoadedModel> {
  if (isFolder(path) && !isModelFolder(path)) return (await openPackage(path)).source;
  return await loadModel((await findFiles({ model: path })).model, dataFolder);
}

/** The one of `given` that `network` is of, or else the file of its name in one of `folders`, the package's own last. Throws `network-missing`. */
async function findNetwork(
  { file, sha256 }: ManifestNetwork,
  given: readonly LoadedModel[],
  folders: readonly string[],
): Promise<LoadedModel> {
  const found = given.find((source) => source.sha256 === sha256);
  if (found) return found;
  for (const folder of folders) {
    const guess = await load(join(folder, file)).catch(() => undefined);
    if (guess?.sha256 === sha256) return guess;
  }
  throw networkMissing(file, folders.at(-1)!, sha256);
}
