/** The networks of a project: those that stand in front, each opened by itself, and the original. */
import { readClassNames } from '../data/class-names.ts';
import { isFolder } from '../data/files.ts';
import type { Events } from '../errors/events.ts';
import { ofFirst } from '../errors/index.ts';
import type { Note } from '../errors/notes.ts';
import { info } from '../errors/notes.ts';
import { opsetOf } from '../graph/types.ts';
import { isModelFolder } from '../hub/folder.ts';
import { alignOpsets } from '../model/align-opsets.ts';
import type { Inspected } from '../model/inspect.ts';
import { type Chain, chainOf, type Network } from '../networks/chain.ts';
import { classNamesIn } from '../networks/class-names.ts';
import { type ExternalFiles, nameExternalFiles } from '../networks/external-files.ts';
import { filesApart } from '../networks/files-apart.ts';
import {
  type FirstOptions,
  type OpenedFirst,
  type OriginalReader,
  openFirst,
} from '../networks/open-first.ts';
import type { SessionOptions } from '../ort/session.ts';
import { type LoadedModel, loadModel, renameExternal } from '../parser/index.ts';
import { endExit } from '../passes/end-exit.ts';
import type { Head } from '../passes/exits.ts';
import type { Growth } from './growth.ts';
import { dimsOf, withHub } from './hub-model.ts';
import { type OpenedPackage, openPackage } from './open-package.ts';
import { openStudent } from './open-student.ts';

/** A network in front, as options name it, with its file read. */
export interface FirstSource {
  readonly options: FirstOptions;
  readonly source: LoadedModel;
  /** Of its classes, where config files say them. */
  readonly classNames?: readonly string[];
  /** On its config files. */
  readonly notes?: readonly Note[];
  /** Where it is a compiled package. */
  readonly package?: OpenedPackage;
}

/** Reads the files of networks in front, in order. What a package says of its network holds unless options say otherwise. */
export async function loadFirsts(first: readonly (string | FirstOptions)[] = []): Promise<FirstSource[]> {
  const loaded: FirstSource[] = [];
  for (const one of first) {
    const options = typeof one === 'string' ? { model: one } : one;
    try {
      loaded.push(await loadFirst(options));
    } catch (error) {
      throw ofFirst(options.model, error);
    }
  }
  return loaded;
}

async function loadFirst(options: FirstOptions): Promise<FirstSource> {
  const { model, externalDataFolder } = options;
  if (!isFolder(model)) return { options, source: await loadModel(model, externalDataFolder) };
  if (isModelFolder(model)) return await loadHubFirst(options);
  const opened = await openPackage(model);
  const { output, dims } = opened.reading;
  const { channels, ...numbers } = opened.preprocessing ?? {};
  const known = { output, dims, ...numbers, ...(channels && channels !== 'any' && { channels }) };
  return { options: { ...known, ...options }, source: opened.source, package: opened };
}

/** One whose folder holds config files, which say what options do not. */
async function loadHubFirst(options: FirstOptions): Promise<FirstSource> {
  const { hub, ...known } = await withHub(options);
  const source = await loadModel(known.model, options.externalDataFolder);
  const [height, width = height] = [options.size].flat();
  // Texts are as long as the original's, which come through it.
  const { tokens: _, ...usual } = hub!.sizes;
  const sizes = { ...usual, ...(height !== undefined && { height, width: width! }) };
  const dims = dimsOf(source, options, { ...hub!, sizes });
  const classNames = hub!.classes?.names;
  return { options: { ...known, dims }, source, notes: hub!.notes, ...(classNames && { classNames }) };
}

/** The original of a chain, with its own exits. */
export interface ChainEnd extends Pick<OriginalReader, 'file' | 'inputs' | 'preprocessing' | 'options'> {
  /** Path of its file. */
  readonly path: string;
  readonly inspection: Inspected;
  readonly heads: readonly Head[];
  /** Of its classes, where config files say them. */
  readonly classNames?: readonly string[] | undefined;
}

/** The chain of `firsts`, the students of `growth` and the original; a student stands before what costs more. Notes go to `events`. */
export async function openChain(
  firsts: readonly FirstSource[],
  original: ChainEnd,
  session: SessionOptions,
  events: Events,
  growth?: Growth,
): Promise<OpenedChain> {
  const { inspection, heads } = original;
  const files = filesApart([...firsts.map(({ options }) => options.model), original.path]);
  const { source, hash, typed, plan } = inspection;
  const opset = opsetOf(typed.model);
  const networks: Network[] = [];
  for (const [n, first] of firsts.entries()) {
    const about = {
      id: `first_${n + 1}`,
      file: files[n]!,
      original: { ...original, typed, source },
      opset,
      session,
    };
    const taps = first.package?.reading.taps ?? [];
    const opened = await openFirst(first.options, { ...about, source: first.source, taps });
    for (const note of [...(first.notes ?? []), ...notesOn(opened, inspection)]) events.onNote?.(note);
    const own = first.package ? await first.package.readHeads(opened.plan) : [];
    networks.push({
      ...opened,
      reading: { ...opened.reading, ...(first.package && { package: true }) },
      classNames: await namesOf(first, opened.typed.classes),
      heads: [...own, endExit(opened.plan, { id: '', network: n })],
    });
  }
  for (const [id, { student, share }] of growth?.students ?? []) {
    const dearer = networks.findIndex(({ plan }) => plan.totalMacs > student.macs);
    const opened = await openStudent(student, id, original, session, { share });
    networks.splice(dearer < 0 ? networks.length : dearer, 0, opened);
  }
  const classNames =
    original.classNames ??
    (firsts.length > 0 ? await classNamesIn(source, original.path, typed.classes) : undefined);
  const last = { id: 'original', file: files.at(-1)!, source, hash, typed, plan, classNames, heads };
  return await mergeable([...networks, last], session);
}

/** A chain, and where the external data of its networks lie under the names that they have in one file. */
export interface OpenedChain {
  readonly chain: Chain;
  readonly external: ExternalFiles;
}

/** `networks`, the original last, so that they can be written into one file: one version of every operator set, external data apart. */
export async function mergeable(networks: readonly Network[], session: SessionOptions): Promise<OpenedChain> {
  const external = await nameExternalFiles(networks);
  const apart = (await aligned(networks, session)).map((network, n) =>
    n === networks.length - 1 ? network : renamed(network, external),
  );
  return { chain: chainOf(apart), external };
}

const renamed = (network: Network, { renames }: ExternalFiles): Network => ({
  ...network,
  typed: { ...network.typed, model: renameExternal(network.typed.model, renames.get(network.id)!) },
});

/** Names of its classes in its own order, as options, its package, or its file say; undefined where nothing does. */
async function namesOf(
  { options, source, package: compiled, classNames }: FirstSource,
  classes: number,
): Promise<readonly string[] | undefined> {
  const { labels, model } = options;
  if (labels !== undefined) return await readClassNames(labels, classes);
  if (classNames?.length === classes) return classNames;
  return compiled ? compiled.labels : await classNamesIn(source, model, classes);
}

/** `networks` with the same version of every operator set; the very same where there is one. */
async function aligned(networks: readonly Network[], session: SessionOptions): Promise<readonly Network[]> {
  if (networks.length === 1) return networks;
  const { models } = await alignOpsets(
    networks.map(({ file, typed, source }) => ({
      name: file,
      model: typed.model,
      options: { session: { ...session, externalDataFolder: source.folder } },
    })),
  );
  return networks.map((network, n) => ({ ...network, typed: { ...network.typed, model: models[n]! } }));
}

function notesOn({ file, plan, inspection }: OpenedFirst, { plan: { totalMacs } }: Inspected) {
  const share = plan.totalMacs / totalMacs;
  return [
    ...inspection.notes.map((note) => ({ ...note, message: `${file}: ${note.message}` })),
    ...(share < 1
      ? []
      : [
          info(
            'first-costs-more',
            `First network ${file} costs ${share.toFixed(2)} of the original: samples that leave there save nothing.`,
          ),
        ]),
  ];
}
