/** Networks of different opsets go into one file, which has one: the lower ones are raised. */
import { domainVersionsDiffer, ofNetwork, opsetsDiffer } from '../errors/index.ts';
import {
  type Graph,
  isDefaultDomain,
  type Model,
  type Node,
  type OpsetImport,
  opsetOf,
} from '../graph/types.ts';
import { subgraphs } from '../graph/walk.ts';
import { NEWEST_RAISED, raiseOpset, usableOpset } from '../passes/raise-opset.ts';
import type { ObserveOptions } from './observe-facts.ts';
import { type RaiseBy, raiseProved } from './raise-model.ts';

export interface NamedModel {
  /** For messages: the file. */
  readonly name: string;
  readonly model: Model;
  /** What running it needs. */
  readonly options?: ObserveOptions | undefined;
}

export interface AlignedModels {
  /** In the order given; all import the same version of every domain that they share. */
  readonly models: readonly Model[];
  /** What a file imports that holds them all: the default domain first. */
  readonly opsetImports: readonly OpsetImport[];
  /** The newest of theirs, and at least that of the release of ONNX that brought the opset. */
  readonly irVersion: number;
}

/**
 * All `networks` in the highest default opset among them, at least 11, and in one version of every other domain. Each model that changes is
 * proved by running it; one that is in place stays the very same object. Functions must have been inlined in what is raised. IR versions stay, and so
 * do initializers among the inputs of a model of IR version 3. Throws `opsets-differ`, and what `raiseProved` and `raiseOpset` throw.
 */
export async function alignOpsets(networks: readonly NamedModel[]): Promise<AlignedModels> {
  const opset = commonOpset(networks);
  const others = commonVersions(networks);
  const models: Model[] = [];
  for (const { name, model, options } of networks) {
    const raise: RaiseBy = (known) => withVersions(raiseOpset(model, opset, known), others);
    try {
      models.push(await raiseProved(model, raise, options));
    } catch (error) {
      throw ofNetwork(name, error);
    }
  }
  const opsetImports = [
    { domain: '', version: opset },
    ...[...others].map(([domain, version]) => ({ domain, version })),
  ];
  const irVersion = Math.max(irVersionOf(opset), ...networks.map(({ model }) => model.irVersion));
  return { models, opsetImports, irVersion };
}

/** The opset of a file that holds all `networks`: the highest of theirs, at least 11. Throws `opsets-differ` where that would be beyond what can be raised to. */
export function commonOpset(networks: readonly NamedModel[]): number {
  const versions = networks
    .map(({ name, model }) => ({ name, version: opsetOf(model) }))
    .sort((a, b) => a.version - b.version);
  const [lowest, highest] = [versions[0]!, versions.at(-1)!];
  if (highest.version > NEWEST_RAISED && lowest.version < highest.version)
    throw opsetsDiffer(lowest, highest, NEWEST_RAISED);
  return usableOpset(highest.version);
}

/** The operators of ai.onnx.ml of which a form is none in a later version, and since when. Other versions add types and attributes. */
const CHANGED_ML: Readonly<Record<string, number>> = {
  LabelEncoder: 2, //            keys and values, in place of classes
  TreeEnsembleClassifier: 5, //  deprecated
  TreeEnsembleRegressor: 5, //   deprecated
}; // biome-ignore format: a table

/** Of every domain but the default one the highest version among the networks that use it; of one that none uses, the highest. */
function commonVersions(networks: readonly NamedModel[]): ReadonlyMap<string, number> {
  const imports = networks.flatMap(({ name, model }) =>
    model.opsetImports
      .filter((o) => !isDefaultDomain(o.domain))
      .map(({ domain, version }) => ({ name, domain, version, nodes: nodesOf(model.graph, domain) })),
  );
  const common = new Map<string, number>();
  for (const { domain } of imports) {
    if (common.has(domain)) continue;
    const all = imports.filter((o) => o.domain === domain).sort((a, b) => a.version - b.version);
    const used = all.filter((o) => o.nodes.length > 0);
    const highest = (used.length > 0 ? used : all).at(-1)!;
    for (const lower of used) {
      const why =
        lower.version < highest.version && whyNot(domain, lower.nodes, lower.version, highest.version);
      if (why) throw domainVersionsDiffer(domain, lower, highest, why);
    }
    common.set(domain, highest.version);
  }
  return common;
}

/** What keeps `nodes` from meaning the same in a later version of their domain; undefined when nothing does. */
function whyNot(domain: string, nodes: readonly Node[], from: number, to: number): string | undefined {
  if (domain !== 'ai.onnx.ml') return 'Offramp does not know what changed between them';
  const node = nodes.find(({ opType }) => {
    const since = CHANGED_ML[opType];
    return since !== undefined && from < since && since <= to;
  });
  return (
    node && `node "${node.name || node.outputs[0]}": ${node.opType} changed in ${CHANGED_ML[node.opType]}`
  );
}

const nodesOf = ({ nodes }: Graph, domain: string): Node[] =>
  nodes.flatMap((node) => [
    ...(node.domain === domain ? [node] : []),
    ...subgraphs(node).flatMap((graph) => nodesOf(graph, domain)),
  ]);

/** `model` that imports these `versions` of the domains that it imports; the very same when it does. */
function withVersions(model: Model, versions: ReadonlyMap<string, number>): Model {
  const isIn = ({ domain, version }: OpsetImport) => (versions.get(domain) ?? version) === version;
  if (model.opsetImports.every(isIn)) return model;
  const opsetImports = model.opsetImports.map((o) =>
    isIn(o) ? o : { domain: o.domain, version: versions.get(o.domain)! },
  );
  return { ...model, opsetImports };
}

/** The first opset that came with each IR version (VERSION_TABLE in ONNX's helper.py); before, it was 3. */
const IR_VERSIONS = [
  [25, 13], [24, 12], [23, 11], [21, 10], [19, 9], [15, 8], [12, 7], [11, 6], [10, 5], [9, 4],
] as const; // biome-ignore format: a table

const irVersionOf = (opset: number): number => IR_VERSIONS.find(([first]) => opset >= first)?.[1] ?? 3;
