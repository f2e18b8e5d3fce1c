/**
 * One graph out of a backbone, its heads and a policy: nested Ifs that really skip computation, sample by sample (`lowerLevel`). A threshold
 * of 1 or more closes the exit: its head is not even run.
 */
import { nameTaken, opsetTooOld, otherOutputs } from '../errors/index.ts';
import { GraphBuilder } from '../graph/builder.ts';
import { prune } from '../graph/prune.ts';
import { nameNodesApart } from '../graph/rename.ts';
import type { Graph, Model, Tensor } from '../graph/types.ts';
import { opsetOf } from '../graph/types.ts';
import { allNames, indexGraph, nodeReads, valueNames } from '../graph/walk.ts';
import { withEnsemble } from '../policies/final-answer.ts';
import { type PolicyName, type PolicyParameters, policyOf } from '../policies/index.ts';
import { type Cut, cutSegments } from './cut-segments.ts';
import { enterBlockedLayout } from './enter-blocked-layout.ts';
import type { Head, TypedModel } from './exits.ts';
import { lowerLevel } from './lower-levels.ts';
import { lowerNetworks } from './lower-networks.ts';
import { branchOf } from './lower-segments.ts';
import type { LoweredExit, Lowering, ThresholdsInput } from './lowering.ts';
import { runPasses } from './pass.ts';
import { placeWeights, type Runtime } from './place-weights.ts';
import { shareInitializers } from './share-initializers.ts';

export const THRESHOLDS = 'thresholds';
export const EXIT_INDEX = 'exit_index';
export const EXIT_CONFIDENCE = 'exit_confidence';

/** What a model must have no other values of. */
export const OWN_NAMES = [THRESHOLDS, EXIT_INDEX, EXIT_CONFIDENCE];

export interface LowerOptions {
  readonly policy: PolicyName;
  /** Of a policy that is fitted. */
  readonly parameters?: PolicyParameters;
  /** Weight of the open exits in the final answer; the original alone when 0 or left out. */
  readonly final?: number | undefined;
  /** Thresholds built into the model instead of the `thresholds` input; a closed exit then vanishes. */
  readonly baked?: readonly number[] | undefined;
  /** Which ONNX Runtime it is for; `native` by default. What `native` is written with serves nothing in a browser, and takes memory there. */
  readonly runtime?: Runtime;
  /** Drop outputs that an early exit does not compute, instead of refusing. */
  readonly dropOutputs?: boolean;
  /** Added to the model's metadata_props. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** A network as lowering takes it: its graph reads the original's inputs. The heads of all but the original end with its `endExit`. */
export interface NetworkWithExits {
  readonly typed: TypedModel;
  readonly heads: readonly Head[];
}

/** The early-exit model of `typed` alone, as `lowerChain`. */
export const lowerExits = (typed: TypedModel, heads: readonly Head[], options: LowerOptions): Model =>
  lowerChain([{ typed, heads }], options);

/**
 * The early-exit model of a chain, the original last. The original's nodes and weights are the same objects, unless a name they read had to
 * change. Names of values are unique over all networks, and their opsets are the same.
 */
export function lowerChain(networks: readonly NetworkWithExits[], options: LowerOptions): Model {
  const names = new Set(networks.flatMap(({ typed }) => [...allNames(typed.model.graph)]));
  const main = new GraphBuilder('', names);
  const lowerings = loweringsOf(networks, options, main);
  writeMain(lowerings, main);
  const originals = new Set(lowerings.flatMap((lowering) => [...lowering.originals]));
  const nested = nameNodesApart(mainGraph(lowerings, main), originals, names);
  const { runtime = 'native' } = options;
  const kept = new Set(networks.at(-1)!.typed.model.graph.initializers.map(({ name }) => name));
  const merged = networks.length > 1 ? [shareInitializers(kept)] : [];
  const placed = runPasses(nested, [placeWeights(originals, runtime), ...merged]);
  return modelOf(
    networks.map(({ typed }) => typed.model),
    runtime === 'native' ? runPasses(placed, [enterBlockedLayout]) : placed,
    options.metadata,
  );
}

/** Each network that runs, with its cut and its exits: one in front of others only runs for exits of its own. */
function loweringsOf(
  networks: readonly NetworkWithExits[],
  options: LowerOptions,
  main: GraphBuilder,
): Lowering[] {
  const original = networks.at(-1)!.typed;
  const heads = networks.flatMap((network) => network.heads);
  const running = networks
    .map(({ typed, heads: own }, n) => {
      const isFollowed = n < networks.length - 1;
      const exits = own
        .map((head) => ({ head, index: heads.indexOf(head) }))
        .map((exit) => ({ ...exit, threshold: options.baked?.[exit.index] }))
        .filter(({ threshold }) => threshold === undefined || threshold < 1);
      return {
        typed: isFollowed && exits.length > 0 ? upTo(typed, exits) : typed,
        exits,
        isFollowed,
      };
    })
    .filter(({ exits, isFollowed }) => !isFollowed || exits.length > 0);
  const cuts = running.map(({ typed, exits }, r) => {
    const taps = exits.map(({ head }) => head.exit.tap.value);
    const isNested = running.length > 1 && (options.baked === undefined || r > 0);
    return checkLowerable(typed, taps, { dropOutputs: options.dropOutputs, isNested });
  });
  const input = options.baked ? undefined : thresholdsInput(main, heads.length);
  const final = options.final || undefined;
  const policy = final ? withEnsemble(policyOf(options.policy)) : policyOf(options.policy);
  return running.map(
    (network, r): Lowering => ({
      ...network,
      answer: original.facts.get(original.logits)!,
      opset: opsetOf(original.model),
      cut: cuts[r]!,
      fullIndex: heads.length,
      input,
      policy,
      parameters: options.parameters ?? {},
      final,
      stateWidth: policy.state(heads.length, original.classes),
      isStateKept: final !== undefined || running.slice(r + 1).some(({ exits }) => exits.length > 0),
      originals: new Set(),
    }),
  );
}

/** `typed` without what leads to none of its `exits`: nobody goes there. The last one's tap need not depend on those of the others. */
function upTo(typed: TypedModel, exits: readonly LoweredExit[]): TypedModel {
  const taps = exits.map(({ head }) => ({ name: head.exit.tap.value, type: undefined }));
  const last = taps.at(-1)!;
  const graph = { ...prune({ ...typed.model.graph, outputs: taps }), outputs: [last] };
  return { ...typed, model: { ...typed.model, graph }, logits: last.name };
}

function thresholdsInput(main: GraphBuilder, exits: number): ThresholdsInput {
  const thresholds = main.input(THRESHOLDS, 'float', [exits]);
  return { thresholds, areOpen: main.op('Less', [thresholds, main.float(1)]) };
}

/** The networks, the added outputs, and what of the original runs once for all samples. */
function writeMain(lowerings: readonly Lowering[], main: GraphBuilder): void {
  const last = lowerings.at(-1)!;
  const { typed, cut, originals } = last;
  main.nodes.push(...cut.prefix);
  if (lowerings.length === 1) lowerAlone(last, main);
  else
    lowerNetworks(lowerings, main, {
      logits: typed.logits,
      index: EXIT_INDEX,
      confidence: EXIT_CONFIDENCE,
    });
  main.nodes.push(...cut.suffix);
  for (const node of [...cut.prefix, ...cut.suffix]) originals.add(node);
  const batch = typed.model.graph.inputs.find((v) => v.name === typed.sampleInputs[0])?.type?.dims?.[0];
  main.output(EXIT_INDEX, 'int64', [batch]);
  main.output(EXIT_CONFIDENCE, 'float', [batch]);
}

/** A model on its own: its first segment is in the main graph. */
function lowerAlone(lowering: Lowering, main: GraphBuilder): void {
  const as = { logits: lowering.typed.logits, index: EXIT_INDEX, confidence: EXIT_CONFIDENCE };
  lowerLevel(lowering, 0, { b: main, names: new Map(), state: undefined }, as);
}

/** The original's graph with the nodes of `main`, and without what only dropped nodes read. */
function mainGraph(lowerings: readonly Lowering[], main: GraphBuilder): Graph {
  const { typed, cut } = lowerings.at(-1)!;
  const { graph } = typed.model;
  const { initializer } = indexGraph(graph);
  const inMain = new Set(main.nodes.flatMap((n) => n.outputs));
  const before = lowerings.slice(0, -1).flatMap(weightsInMain);
  return {
    ...graph,
    nodes: main.nodes,
    initializers: [...weightsInMain(lowerings.at(-1)!), ...before, ...main.initializers],
    inputs: [...graph.inputs.filter((v) => !initializer.has(v.name)), ...main.inputs],
    outputs: [...graph.outputs.filter((v) => !cut.lostOutputs.includes(v.name)), ...main.outputs],
    valueInfo: graph.valueInfo.filter((v) => inMain.has(v.name)),
  };
}

/** The initializers of a network that stay in the main graph, without those that only dropped nodes read. */
function weightsInMain({ typed, cut }: Lowering): Tensor[] {
  const { graph } = typed.model;
  const placed = new Set([...cut.prefix, ...cut.segments.flat(), ...cut.suffix]);
  const dropped = graph.nodes.filter((n) => !placed.has(n)).flatMap(nodeReads);
  const read = new Set([...[...placed].flatMap(nodeReads), ...graph.outputs.map((v) => v.name)]);
  const gone = new Set(dropped.filter((name) => !read.has(name)));
  return graph.initializers.filter((tensor) => branchOf(cut, tensor) === undefined && !gone.has(tensor.name));
}

function modelOf(models: readonly Model[], graph: Graph, metadata: LowerOptions['metadata'] = {}): Model {
  const original = models.at(-1)!;
  const added = Object.entries(metadata).map(([key, value]) => ({ key, value }));
  const imports = new Map(
    models.flatMap((model) => model.opsetImports).map((o) => [o.domain || 'ai.onnx', o]),
  );
  for (const own of original.opsetImports) imports.set(own.domain || 'ai.onnx', own);
  return {
    ...original,
    irVersion: Math.max(...models.map((m) => m.irVersion), original.functionCount > 0 ? 8 : 4),
    opsetImports: models.length > 1 ? [...imports.values()] : original.opsetImports,
    graph,
    metadataProps: [...original.metadataProps, ...added],
  };
}

/**
 * Throws what `lowerExits` would for exits at `taps` (`opset-too-old`, `name-taken`, `other-outputs`), so that no heads are
 * trained in vain. Returns the cut. `isNested`: there are networks in front.
 */
export function checkLowerable(
  typed: TypedModel,
  taps: readonly string[],
  {
    dropOutputs = false,
    isNested = false,
  }: { readonly dropOutputs?: boolean | undefined; readonly isNested?: boolean } = {},
): Cut {
  const opset = opsetOf(typed.model);
  if (typed.batch === 'dynamic' && opset < 11) throw opsetTooOld(opset);
  const names = valueNames(typed.model.graph);
  for (const name of OWN_NAMES) if (names.has(name)) throw nameTaken(name);
  const cut = cutSegments(typed, taps, isNested);
  if (cut.lostOutputs.length > 0 && !dropOutputs) throw otherOutputs(cut.lostOutputs, typed.output);
  return cut;
}
