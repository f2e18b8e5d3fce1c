/**
 * One graph out of a backbone, its heads and a policy: nested Ifs that really skip computation, sample by sample (`lowerLevel`). A threshold
 * of 1 or more closes the exit: its head is not even run.
 */
import { nameTaken, opsetTooOld, otherOutputs } from '../errors/index.ts';
import { GraphBuilder } from '../graph/builder.ts';
import { prune } from '../graph/prune.ts';
import { nameNodesApart } from '../graph/rename.ts';
import type { Graph, Model, Node, Tensor, ValueInfo } from '../graph/types.ts';
import { opsetOf } from '../graph/types.ts';
import { allNames, indexGraph, nodeReads, valueNames } from '../graph/walk.ts';
import { withEnsemble } from '../policies/final-answer.ts';
import { type PolicyName, type PolicyParameters, policyOf } from '../policies/index.ts';
import { type Cut, cutSegments } from './cut-segments.ts';
import { enterBlockedLayout } from './enter-blocked-layout.ts';
import type { Head, TypedModel } from './exits.ts';
import { type Answer, lowerLevel } from './lower-levels.ts';
import { lowerNetworks } from './lower-networks.ts';
import { branchOf } from './lower-segments.ts';
import type { Lowering, ThresholdsInput } from './lowering.ts';
import {
  batchOf,
  featureInfo,
  type NetworkWithExits,
  networksOf,
  type PartNetwork,
  upTo,
} from './part-networks.ts';
import { runPasses } from './pass.ts';
import { placeWeights, type Runtime } from './place-weights.ts';
import { shareInitializers } from './share-initializers.ts';

export type { NetworkWithExits } from './part-networks.ts';

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

/** The early-exit model of `typed` alone, as `lowerChain`. */
export const lowerExits = (typed: TypedModel, heads: readonly Head[], options: LowerOptions): Model =>
  lowerChain([{ typed, heads }], options);

/**
 * The early-exit model of a chain, the original last. The original's nodes and weights are the same objects, unless a name they read had to
 * change. Names of values are unique over all networks, and their opsets are the same.
 */
export const lowerChain = (networks: readonly NetworkWithExits[], options: LowerOptions): Model =>
  lowerStretch(wholeChain(networks), options);

/** A chain, or a part of one. */
export interface Stretch {
  /** One or more. */
  readonly networks: readonly PartNetwork[];
  /** Of the chain, whole. */
  readonly original: TypedModel;
  /** All exits of the chain. */
  readonly exits: number;
  /** Undefined for a whole chain. */
  readonly ends?: PartEnds;
}

/** How a part differs from a whole chain. */
export interface PartEnds {
  /** What it reads, in order: inputs, features and the policy's state, of which more may be listed than it reads. */
  readonly inputs: readonly ValueInfo[];
  /** Names of the policy's state as an input and as an output; undefined where none comes, or none is needed behind this part. */
  readonly stateInput: string | undefined;
  readonly stateOutput: string | undefined;
}

function wholeChain(networks: readonly NetworkWithExits[]): Stretch {
  const original = networks.at(-1)!.typed;
  const exits = networks.reduce((sum, { heads }) => sum + heads.length, 0);
  return { networks: networksOf(networks, { from: 0 }), original, exits };
}

/** The early-exit model of `stretch`, as `lowerChain`. */
export function lowerStretch(stretch: Stretch, options: LowerOptions): Model {
  const { networks, original, ends } = stretch;
  const typed = [...networks.map((network) => network.typed), original];
  const names = new Set(typed.flatMap(({ model }) => [...allNames(model.graph)]));
  const main = new GraphBuilder('', names);
  const lowerings = loweringsOf(stretch, options, main);
  const end = endOf(stretch, lowerings, options);
  writeMain(stretch, lowerings, end, main);
  const originals = new Set([...lowerings.flatMap((lowering) => [...lowering.originals]), ...end.nodes]);
  const graph = mainGraph(lowerings, end, main, ends);
  const nested = nameNodesApart(ends ? pruneMain(graph) : graph, originals, names);
  const { runtime = 'native' } = options;
  const kept = new Set(original.model.graph.initializers.map(({ name }) => name));
  const merged = networks.length > 1 ? [shareInitializers(kept)] : [];
  const placed = runPasses(nested, [placeWeights(originals, runtime), ...merged]);
  return modelOf(
    typed.map(({ model }) => model),
    runtime === 'native' ? runPasses(placed, [enterBlockedLayout]) : placed,
    options.metadata,
  );
}

/** Each network that runs, with its cut and its exits: one that is followed only runs for exits of its own, or for features. */
function loweringsOf(
  { networks, original, exits: all, ends }: Stretch,
  options: LowerOptions,
  main: GraphBuilder,
): Lowering[] {
  const found = networks.map(({ typed, heads, firstIndex, isFollowed, gives }) => {
    const exits = heads
      .map((head, i) => ({ head, index: firstIndex + i }))
      .map((exit) => ({ ...exit, threshold: options.baked?.[exit.index] }))
      .filter(({ threshold }) => threshold === undefined || threshold < 1);
    const taps = exits.map(({ head }) => head.exit.tap.value);
    const values = gives.map(({ value }) => value);
    const goals = [...taps, ...values];
    const end = heads.slice(-1).map(({ exit }) => exit.tap.value);
    return {
      typed: isFollowed ? upTo(typed, goals.length > 0 ? goals : end) : typed,
      exits,
      taps,
      isFollowed,
      gives,
    };
  });
  const isRun = found.filter(
    ({ exits, isFollowed, gives }) => !isFollowed || exits.length > 0 || gives.length > 0,
  );
  // Where none is to run, one stands for the answer of nobody.
  const running = isRun.length > 0 ? isRun : found.slice(-1);
  const cuts = running.map(({ typed, taps, isFollowed, gives }, r) => {
    const isFirstInBranch = isFollowed && options.baked === undefined && gives.length === 0;
    const isNested = r > 0 || isFirstInBranch;
    const goals = gives.map(({ value }) => value);
    return checkLowerable(typed, taps, { dropOutputs: options.dropOutputs, isNested, goals });
  });
  const input = options.baked ? undefined : thresholdsInput(main, all);
  const final = options.final || undefined;
  const policy = final ? withEnsemble(policyOf(options.policy)) : policyOf(options.policy);
  return running.map(
    ({ typed, exits, isFollowed, gives }, r): Lowering => ({
      typed,
      exits,
      isFollowed,
      gives,
      answer: original.facts.get(original.logits)!,
      opset: opsetOf(original.model),
      cut: cuts[r]!,
      fullIndex: all,
      input,
      policy,
      parameters: options.parameters ?? {},
      final,
      stateWidth: policy.state(all, original.classes),
      isStateKept:
        final !== undefined ||
        ends?.stateOutput !== undefined ||
        running.slice(r + 1).some(({ exits }) => exits.length > 0),
      originals: new Set(),
    }),
  );
}

function thresholdsInput(main: GraphBuilder, exits: number): ThresholdsInput {
  const thresholds = main.input(THRESHOLDS, 'float', [exits]);
  return { thresholds, areOpen: main.op('Less', [thresholds, main.float(1)]) };
}

/** What of the original runs once for all samples: before the networks, and behind the logits. */
interface End {
  readonly typed: TypedModel;
  readonly cut: Pick<Cut, 'prefix' | 'suffix' | 'lostOutputs'>;
  readonly nodes: readonly Node[];
  /** Those of `nodes` alone, where the original itself is lowered elsewhere. */
  readonly weights: readonly Tensor[];
}

function endOf({ original }: Stretch, lowerings: readonly Lowering[], { dropOutputs }: LowerOptions): End {
  const last = lowerings.at(-1)!;
  const isHere = !last.isFollowed;
  const typed = isHere ? last.typed : original;
  const cut = isHere ? last.cut : checkLowerable(original, [], { dropOutputs, isNested: true });
  const nodes = [...cut.prefix, ...cut.suffix];
  const read = new Set([...nodes.flatMap(nodeReads), typed.output]);
  const weights = typed.model.graph.initializers.filter(({ name }) => read.has(name));
  return { typed, cut, nodes, weights: isHere ? [] : weights };
}

/** The networks, the added outputs, and what of the original runs once for all samples. */
function writeMain(
  { ends, original }: Stretch,
  lowerings: readonly Lowering[],
  { typed, cut }: End,
  main: GraphBuilder,
): void {
  const last = lowerings.at(-1)!;
  main.nodes.push(...cut.prefix);
  const as: Answer = {
    logits: typed.logits,
    index: EXIT_INDEX,
    confidence: EXIT_CONFIDENCE,
    ...(last.isFollowed && ends?.stateOutput && { state: ends.stateOutput }),
    ...(last.gives.length > 0 && { features: last.gives.map(({ name }) => name) }),
  };
  const place = { b: main, names: new Map<string, string>(), state: ends?.stateInput };
  const isAlone = lowerings.length === 1 && !last.isFollowed;
  nameAnswer(
    main,
    isAlone ? lowerLevel(last, 0, place, as) : lowerNetworks(lowerings, main, as, ends?.stateInput),
    as,
  );
  main.nodes.push(...cut.suffix);
  const batch = batchOf(original);
  main.output(EXIT_INDEX, 'int64', [batch]);
  main.output(EXIT_CONFIDENCE, 'float', [batch]);
  if (as.state) main.output(as.state, 'float', [batch, last.stateWidth]);
  const inPlay = last.typed.batch === 'fixed' ? undefined : 'in_play';
  main.outputs.push(...last.gives.map((feature) => featureInfo(feature, inPlay)));
}

/** Gives the values of `answer` the names in `as`, where they have others. */
function nameAnswer(main: GraphBuilder, answer: Answer, as: Answer): void {
  const names = ({ logits, index, confidence, state, features = [] }: Answer) => [
    logits,
    index,
    confidence,
    state,
    ...features,
  ];
  const found = names(answer);
  names(as).forEach((name, i) => {
    if (name !== undefined && found[i] !== name) main.op('Identity', [found[i]!], {}, name);
  });
}

/** The original's graph with the nodes of `main`, and without what only dropped nodes read. */
function mainGraph(
  lowerings: readonly Lowering[],
  { typed, cut, weights }: End,
  main: GraphBuilder,
  ends: PartEnds | undefined,
): Graph {
  const { graph } = typed.model;
  const { initializer } = indexGraph(graph);
  const inMain = new Set(main.nodes.flatMap((n) => n.outputs));
  const before = lowerings.slice(0, -1).flatMap(weightsInMain);
  const features = new Set(lowerings.at(-1)!.gives.map(({ name }) => name));
  const inputs = ends?.inputs ?? graph.inputs.filter((v) => !initializer.has(v.name));
  return {
    ...graph,
    nodes: main.nodes,
    initializers: [...weights, ...weightsInMain(lowerings.at(-1)!), ...before, ...main.initializers],
    inputs: [...inputs, ...main.inputs],
    outputs: [...graph.outputs.filter((v) => !cut.lostOutputs.includes(v.name)), ...main.outputs],
    valueInfo: graph.valueInfo.filter((v) => inMain.has(v.name) && !features.has(v.name)),
  };
}

/** Without what only the other parts need; but with all its inputs. */
const pruneMain = (graph: Graph): Graph => ({ ...prune(graph), inputs: graph.inputs });

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
 * trained in vain. Returns the cut. `isNested`: there are networks in front. `goals`: what it leads to, when not to the logits.
 */
export function checkLowerable(
  typed: TypedModel,
  taps: readonly string[],
  {
    dropOutputs = false,
    isNested = false,
    goals = [],
  }: {
    readonly dropOutputs?: boolean | undefined;
    readonly isNested?: boolean;
    readonly goals?: readonly string[];
  } = {},
): Cut {
  const opset = opsetOf(typed.model);
  if (typed.batch === 'dynamic' && opset < 11) throw opsetTooOld(opset);
  const names = valueNames(typed.model.graph);
  for (const name of OWN_NAMES) if (names.has(name)) throw nameTaken(name);
  const cut = cutSegments(typed, taps, isNested, goals);
  if (cut.lostOutputs.length > 0 && !dropOutputs) throw otherOutputs(cut.lostOutputs, typed.output);
  return cut;
}
