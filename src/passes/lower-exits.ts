/**
 * One graph out of a backbone, its heads and a policy: nested Ifs that really skip computation, sample by sample (`lowerLevel`). A threshold
 * of 1 or more closes the exit: its head is not even run.
 */
import { nameTaken, opsetTooOld, otherOutputs } from '../errors/index.ts';
import { GraphBuilder } from '../graph/builder.ts';
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
import { branchOf } from './lower-segments.ts';
import type { Lowering, ThresholdsInput } from './lowering.ts';
import { runPasses } from './pass.ts';
import { placeWeights, type Runtime } from './place-weights.ts';

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

/** The early-exit model. The original's nodes and weights are the same objects, unless a name they read had to change. */
export function lowerExits(typed: TypedModel, heads: readonly Head[], options: LowerOptions): Model {
  const { graph } = typed.model;
  const exits = heads
    .map((head, index) => ({ head, index, threshold: options.baked?.[index] }))
    .filter(({ threshold }) => threshold === undefined || threshold < 1);
  const taps = exits.map(({ head }) => head.exit.tap.value);
  const cut = checkLowerable(typed, taps, options.dropOutputs);
  const names = allNames(graph);
  const main = new GraphBuilder('', names);
  const input = options.baked ? undefined : thresholdsInput(main, exits.length);
  const final = options.final || undefined;
  const policy = final ? withEnsemble(policyOf(options.policy)) : policyOf(options.policy);
  const lowering: Lowering = {
    typed,
    opset: opsetOf(typed.model),
    cut,
    exits,
    fullIndex: heads.length,
    input,
    policy,
    parameters: options.parameters ?? {},
    final,
    stateWidth: policy.state(heads.length, typed.classes),
    originals: new Set(),
  };
  writeMain(lowering, main);
  const nested = nameNodesApart(mainGraph(lowering, main), lowering.originals, names);
  const { runtime = 'native' } = options;
  const placed = runPasses(nested, [placeWeights(lowering.originals, runtime)]);
  const laidOut = runtime === 'native' ? runPasses(placed, [enterBlockedLayout]) : placed;
  return modelOf(typed.model, laidOut, options.metadata);
}

function thresholdsInput(main: GraphBuilder, exits: number): ThresholdsInput {
  const thresholds = main.input(THRESHOLDS, 'float', [exits]);
  return { thresholds, areOpen: main.op('Less', [thresholds, main.float(1)]) };
}

/** The levels, the added outputs, and what of the original runs once for all samples. */
function writeMain(lowering: Lowering, main: GraphBuilder): void {
  const { typed, exits, cut } = lowering;
  // The levels count from the first exit, and those before it may have been closed.
  const first = exits[0]?.index ?? 0;
  const index = first > 0 ? main.fresh('answer/index') : EXIT_INDEX;
  lowerLevel(
    lowering,
    0,
    { b: main, names: new Map(), state: undefined },
    {
      logits: exits.length > 0 ? typed.logits : main.fresh(`${typed.logits}/unused`),
      index,
      confidence: EXIT_CONFIDENCE,
    },
  );
  if (first > 0) main.op('Add', [index, main.int64([first])], {}, EXIT_INDEX);
  main.nodes.push(...cut.suffix);
  for (const node of cut.suffix) lowering.originals.add(node);
  const batch = typed.model.graph.inputs.find((v) => v.name === typed.sampleInputs[0])?.type?.dims?.[0];
  main.output(EXIT_INDEX, 'int64', [batch]);
  main.output(EXIT_CONFIDENCE, 'float', [batch]);
}

/** The original's graph with the nodes of `main`, and without what only dropped nodes read. */
function mainGraph({ typed: { model }, cut }: Lowering, main: GraphBuilder): Graph {
  const { graph } = model;
  const { initializer } = indexGraph(graph);
  const inMain = new Set(main.nodes.flatMap((n) => n.outputs));
  const placed = new Set([...cut.segments.flat(), ...cut.suffix]);
  const dropped = graph.nodes.filter((n) => !placed.has(n)).flatMap(nodeReads);
  const read = new Set([...[...placed].flatMap(nodeReads), ...graph.outputs.map((v) => v.name)]);
  const gone = new Set(dropped.filter((name) => !read.has(name)));
  const stays = (tensor: Tensor) => branchOf(cut, tensor) === undefined && !gone.has(tensor.name);
  return {
    ...graph,
    nodes: main.nodes,
    initializers: [...graph.initializers.filter(stays), ...main.initializers],
    inputs: [...graph.inputs.filter((v) => !initializer.has(v.name)), ...main.inputs],
    outputs: [...graph.outputs.filter((v) => !cut.lostOutputs.includes(v.name)), ...main.outputs],
    valueInfo: graph.valueInfo.filter((v) => inMain.has(v.name)),
  };
}

function modelOf(original: Model, graph: Graph, metadata: LowerOptions['metadata'] = {}): Model {
  const added = Object.entries(metadata).map(([key, value]) => ({ key, value }));
  return {
    ...original,
    irVersion: Math.max(original.irVersion, original.functionCount > 0 ? 8 : 4),
    graph,
    metadataProps: [...original.metadataProps, ...added],
  };
}

/**
 * Throws what `lowerExits` would for exits at `taps` (`opset-too-old`, `name-taken`, `other-outputs`), so that no heads are
 * trained in vain. Returns the cut.
 */
export function checkLowerable(typed: TypedModel, taps: readonly string[], dropOutputs = false): Cut {
  const opset = opsetOf(typed.model);
  if (typed.batch === 'dynamic' && opset < 11) throw opsetTooOld(opset);
  const names = valueNames(typed.model.graph);
  for (const name of OWN_NAMES) if (names.has(name)) throw nameTaken(name);
  const cut = cutSegments(typed, taps);
  if (cut.lostOutputs.length > 0 && !dropOutputs) throw otherOutputs(cut.lostOutputs, typed.output);
  return cut;
}
