/** A random chain of two to four networks with random exits under a random policy: what must hold of every one of them. */
import * as fc from 'fast-check';
import * as assert from 'uvu/assert';
import { type InputSpec, type PreprocessingOptions, resolvePreprocessing } from '../../src/data/index.ts';
import { GraphBuilder } from '../../src/graph/builder.ts';
import { checkGraph } from '../../src/graph/check.ts';
import { prune } from '../../src/graph/prune.ts';
import { Random, shuffled } from '../../src/graph/random.ts';
import { elementCount } from '../../src/graph/tensor.ts';
import type { Graph, Model } from '../../src/graph/types.ts';
import { subgraphs } from '../../src/graph/walk.ts';
import { observeFacts } from '../../src/model/observe-facts.ts';
import { raiseModel } from '../../src/model/raise-model.ts';
import { adaptNetwork } from '../../src/networks/adapt-network.ts';
import type { Reader } from '../../src/networks/adapter.ts';
import { chainOf, type Network } from '../../src/networks/chain.ts';
import { feedsOf } from '../../src/ort/tensors.ts';
import { endExit } from '../../src/passes/end-exit.ts';
import { type ExitPlan, HEAD_KINDS, type Head, type HeadKind } from '../../src/passes/exits.ts';
import type { PolicyName } from '../../src/policies/index.ts';
import { noise } from '../models.ts';
import { buildBackbone, recipes } from './backbone.ts';
import {
  checkDecisions,
  checkExactPath,
  checkParts,
  lowered,
  POOL,
  type Subject,
  type Trial,
} from './by-hand.ts';
import { policies } from './lowering.ts';
import {
  CONTEXT,
  CONTEXT_INPUT,
  INPUT,
  inputDims,
  ONE_SCORE_ENDS,
  type Reads,
  type Recipe,
  SCORES,
} from './net.ts';
import { exitsAt, ONE_THREAD, PARAMETERS } from './random-heads.ts';

/** A network of the chain as it is drawn; `recipeOf` makes it fit the others. */
interface Link {
  readonly recipe: Recipe;
  readonly end: Recipe['end'];
  /** Of two classes. */
  readonly twoClassEnd: Recipe['end'];
  readonly reads: Reads;
  readonly size: 'same' | 'small' | 'large' | 'other channels';
  /** Which of `NUMBERS` its input holds. */
  readonly numbers: number;
  readonly isHalf: boolean;
  readonly context: Recipe['context'];
  /** Whether it has the layers and weights of the network behind it. */
  readonly isTwin: boolean;
  readonly taps: readonly number[];
  readonly kinds: readonly HeadKind[];
  /** Whether its classes are in another order than the original's. */
  readonly isShuffled: boolean;
  /** Whether all of its exits are closed. */
  readonly isClosed: boolean;
}

export interface ChainCase extends Trial {
  /** The original last. */
  readonly links: readonly Link[];
  readonly isBinary: boolean;
  readonly hasContext: boolean;
  /** Which networks take one sample at a time: bits. */
  readonly fixed: number;
  /** Which exits may be open at all. */
  readonly opened: 'all' | 'ends' | 'taps';
}

const MOST_NETWORKS = 4;
const MOST_TAPS = 2;
const MOST_EXITS = MOST_NETWORKS * (MOST_TAPS + 1);

const links: fc.Arbitrary<Link> = fc.record({
  recipe: recipes,
  end: fc.constantFrom('logits', 'softmax', 'log-softmax', 'map', 'reshaped', 'both'),
  twoClassEnd: fc.constantFrom('logits', 'softmax', ...ONE_SCORE_ENDS),
  reads: fc.record({
    dataType: fc.constantFrom('float', 'float', 'float', 'float16', 'uint8'),
    isLast: fc.boolean(),
  }),
  size: fc.constantFrom('same', 'same', 'small', 'large', 'other channels'),
  numbers: fc.nat({ max: 3 }),
  isHalf: fc.constantFrom(false, false, false, false, true),
  context: fc.constantFrom(undefined, 'first', 'last'),
  isTwin: fc.constantFrom(false, false, false, true),
  taps: fc.array(fc.nat({ max: 40 }), { maxLength: 3 }),
  kinds: fc.array(fc.constantFrom(...HEAD_KINDS), { minLength: MOST_TAPS, maxLength: MOST_TAPS }),
  isShuffled: fc.boolean(),
  isClosed: fc.constantFrom(false, false, false, false, true),
}) as fc.Arbitrary<Link>;

const exits = <T>(of: fc.Arbitrary<T>) => fc.array(of, { minLength: MOST_EXITS, maxLength: MOST_EXITS });

export const chains: fc.Arbitrary<ChainCase> = fc.record({
  links: fc.array(links, { minLength: 2, maxLength: MOST_NETWORKS }),
  isBinary: fc.constantFrom(false, false, false, true),
  hasContext: fc.constantFrom(false, false, false, true),
  fixed: fc.constantFrom(0, 0, 0, 1, 2, 4, 8, 15),
  opened: fc.constantFrom('all', 'all', 'ends', 'taps'),
  open: exits(fc.constantFrom(true, true, true, false)),
  shares: exits(fc.integer({ min: 0, max: 7 })),
  policy: policies,
  final: fc.option(fc.integer({ min: 1, max: 9 }), { nil: undefined, freq: 2 }),
  batch: fc.constantFrom(1, 2, 5, 7, 7, 9, 64),
  sick: fc.option(fc.nat({ max: 63 }), { nil: undefined, freq: 2 }),
  baked: fc.boolean(),
  seed: fc.nat({ max: 1e6 }),
});

/** What pixels of 0 to 255 are made to, all about -1 to 1. */
const NUMBERS: readonly PreprocessingOptions[] = [
  { scale: 127.5, mean: [1], std: [1] },
  { scale: 255, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
  { scale: 255, mean: [0.5, 0.4, 0.3], std: [0.25], channels: 'bgr' },
  { scale: 100, mean: [1.2], std: [1.5] },
];

/** What happened, so that one can tell whether the cases were worth anything. */
export interface SeenChain {
  readonly networks: number;
  readonly exits: number;
  /** Different exits (the end included) that the batch left at. */
  readonly ways: number;
  readonly isFixed: boolean;
  readonly policy: PolicyName;
}

/** Builds the chain and checks it; throws what uvu's assertions throw. */
export async function checkChain(drawn: ChainCase): Promise<SeenChain> {
  const { subject, trial } = await prepare(drawn);
  const model = lowered(trial, subject);
  checkGraph(model.graph);
  expectUniqueNames(model.graph);
  await checkExactPath(trial, subject, model);
  const ways = await checkDecisions(trial, subject, model);
  await checkParts(trial, subject);
  const { networks } = subject;
  const exits = networks.reduce((sum, { heads }) => sum + heads.length, 0);
  const isFixed = networks.at(-1)!.typed.batch === 'fixed';
  return { networks: networks.length, exits, ways, isFixed, policy: trial.policy };
}

/** The recipe of each network, the original's last, so that all fit one another. */
export function recipesOf({ links, isBinary, hasContext, fixed }: ChainCase): Recipe[] {
  const last = links.at(-1)!;
  const opset = Math.max(...links.map(({ recipe }) => recipe.opset));
  return links.map((link, n) => {
    const { recipe, reads, context, isHalf } = link;
    const end = isBinary ? link.twoClassEnd : link.end;
    const { steps, seed } = link.isTwin ? (links[n + 1] ?? link).recipe : recipe;
    const read = hasContext ? last.reads : reads;
    const input = hasContext || link === last ? last.recipe.input : resized(last.recipe.input, link.size);
    const from = last.context ?? 'first';
    return {
      ...recipe,
      steps,
      seed,
      input,
      end,
      reads: { ...read, isLast: read.isLast && input.length === 3 },
      context: !hasContext ? undefined : link === last ? from : context,
      classes: isBinary ? 2 : last.recipe.classes,
      half: isHalf && end !== 'map',
      batch: fixed & (1 << n) ? 1 : 'N',
      // Raising runs for some outputs only, and then ONNX Runtime's binding for Node takes one called `constructor` for asked for.
      oddNames: recipe.oddNames && recipe.opset === opset,
    } as const;
  });
}

/** What else a network in front can make of the original's input. */
function resized(input: readonly number[], size: Link['size']): readonly number[] {
  if (input.length !== 3) return input;
  const [c, h, w] = input as [number, number, number];
  if (size === 'small') return [c, h - 2, w - 1];
  if (size === 'large') return [c, h + 3, w + 2];
  return size === 'other channels' && c < 4 ? [4 - c, h, w] : input;
}

/** How a network's input is to be read; `numbers`: the numbers it holds. */
function readerOf(recipe: Recipe, numbers: number): Reader {
  const { input, reads, context } = recipe;
  const dataType = reads!.dataType;
  const own: InputSpec = { name: INPUT, dims: inputDims(recipe), dataType };
  const second: InputSpec = { name: CONTEXT_INPUT, dims: [CONTEXT], dataType: 'float' };
  const inputs = context === undefined ? [own] : [own, second];
  if (context !== undefined) return { inputs, preprocessing: resolvePreprocessing({}, inputs) };
  const asked = dataType === 'uint8' ? {} : NUMBERS[numbers]!;
  const { channels, mean, std, ...rest } = asked;
  const isColour = input.length === 3 && input[0] === 3;
  const options = isColour
    ? { ...rest, mean, std, channels }
    : { ...rest, mean: mean?.slice(0, 1), std: std?.slice(0, 1) };
  const layout = input.length === 3 ? { layout: reads!.isLast ? ('NHWC' as const) : ('NCHW' as const) } : {};
  const given = Object.entries({ ...options, ...layout }).filter(([, value]) => value !== undefined);
  return { inputs, preprocessing: resolvePreprocessing(Object.fromEntries(given), inputs) };
}

/** What is checked, how, and the original before anything was done to it but for its opset. */
interface Prepared {
  readonly subject: Subject;
  readonly trial: Trial;
  readonly original: Model;
}

async function prepare(drawn: ChainCase): Promise<Prepared> {
  const { links, seed } = drawn;
  const all = recipesOf(drawn);
  const readers = all.map((recipe, n) => readerOf(recipe, links[n]!.numbers));
  const reader = readers.at(-1)!;
  const opset = Math.max(...all.map((recipe) => recipe.opset));
  const samples = Array.from({ length: POOL }, (_, i) => sampleOf(reader, seed + i, 0.25 + i / 20));
  const feed = (rows: readonly Float32Array[]) =>
    feedsOf(reader.inputs, Float32Array.from(rows.flatMap((row) => [...row])), rows.length);
  const single = samples.map((sample) => feed([sample]));
  const isHalf = all.some(({ half }) => half);
  const policy = isHalf && isJumpy(drawn.policy) ? 'max-prob' : drawn.policy;

  const networks: Network[] = [];
  const logits: Float32Array[] = [];
  const confidence: Float32Array[] = [];
  let answers: Float32Array = new Float32Array();
  let original: Model | undefined;
  for (const [n, recipe] of all.entries()) {
    const isLast = n === all.length - 1;
    const id = isLast ? 'original' : `first_${n + 1}`;
    const raised = await raiseModel(buildBackbone(recipe), {
      output: SCORES,
      session: ONE_THREAD,
      to: opset,
    });
    const model = isLast ? raised : adaptNetwork(justScores(raised), reader, readers[n]!, id);
    original = raised;
    const output = isLast ? SCORES : `${id}/${SCORES}`;
    const typed = await observeFacts(model, { output, session: ONE_THREAD });
    const { isShuffled } = links[n]!;
    const order = isShuffled ? [...shuffled(typed.classes, seed, 'classes')] : undefined;
    let plan: ExitPlan | undefined;
    const ends = (planned: ExitPlan) => {
      plan = planned;
      const end = isLast ? [] : [endExit(planned, { id: 'end', network: n }, order)];
      return policy === 'confidence' ? end.map(withConfidence) : end;
    };
    const said = await exitsAt(typed, { ...links[n]!, seed }, single, ends);
    logits.push(...said.logits);
    confidence.push(...said.confidence);
    answers = said.original;
    networks.push({ id, typed, plan: plan!, heads: said.heads } as Network);
  }
  const chain = chainOf(networks);
  const parameters = PARAMETERS[policy](
    chain.heads.length,
    chain.networks[0]!.typed.classes,
    new Random(seed, 'parameters'),
  );
  const hand = { logits, confidence, original: answers };
  const hasPixels = all.some(({ reads }) => reads!.dataType === 'uint8');
  const isOpen = ({ kind, exit }: Head, k: number) =>
    drawn.open[k]! &&
    !links[exit.network]!.isClosed &&
    (drawn.opened === 'all' || (kind === 'end') === (drawn.opened === 'ends'));
  const trial: Trial = {
    ...drawn,
    policy,
    open: chain.heads.map(isOpen),
    // There is no whole number for NaN; what becomes of it in float16 is not known yet.
    sick: hasPixels ? undefined : drawn.sick,
  };
  const subject = { networks: chain.networks, parameters, samples, feed, hand, isHalf };
  return { subject, trial, original: original! };
}

/** Whether a little more or less in logits can make another score altogether. */
const isJumpy = (policy: PolicyName) => ['patience', 'class-margin', 'gain', 'correctness'].includes(policy);

/** The numbers of all inputs: of a picture whose contrast is `contrast`, and of the second input. */
function sampleOf({ inputs, preprocessing }: Reader, seed: number, contrast: number): Float32Array {
  const { dims, dataType } = inputs[0]!;
  const { scale, mean, std, layout } = preprocessing;
  const [count, size] = [mean.length, elementCount(dims)];
  const isRaw = inputs.length > 1 && dataType !== 'uint8';
  const numbers = noise(size, seed).map((v, i) => {
    if (isRaw) return v * contrast;
    const c = layout === 'NHWC' ? i % count : Math.floor((i * count) / size);
    return (Math.round(127.5 + 127 * contrast * v) / scale - mean[c]!) / std[c]!;
  });
  return inputs.length > 1 ? Float32Array.from([...numbers, ...noise(CONTEXT, seed + 7)]) : numbers;
}

/** The network with its scores as the only output. */
function justScores(model: Model): Model {
  const outputs = model.graph.outputs.filter(({ name }) => name === SCORES);
  return { ...model, graph: prune({ ...model.graph, outputs }) };
}

/** The end of a network with a confidence: the sigmoid of its last logit. The first of two classes is 0 even where the score is NaN. */
function withConfidence(head: Head): Head {
  const b = new GraphBuilder('confidence/');
  const last = b.op('Gather', ['logits', b.int64([-1])], { axis: 1 });
  b.op('Sigmoid', [b.op('Reshape', [last, b.int64([-1])])], {}, 'confidence');
  b.output('confidence', 'float', ['N']);
  const { graph } = head;
  return {
    ...head,
    graph: {
      ...graph,
      nodes: [...graph.nodes, ...b.nodes],
      initializers: [...graph.initializers, ...b.initializers],
      outputs: [...graph.outputs, ...b.outputs],
    },
  };
}

/** No value and no node has the name of another, in whatever scope. */
function expectUniqueNames(graph: Graph): void {
  const values: string[] = [];
  const nodes: string[] = [];
  const visit = (inner: Graph): void => {
    const inputs = new Set(inner.inputs.map(({ name }) => name));
    values.push(...inputs, ...inner.initializers.map(({ name }) => name).filter((name) => !inputs.has(name)));
    for (const node of inner.nodes) {
      values.push(...node.outputs.filter((name) => name !== ''));
      if (node.name !== '') nodes.push(node.name);
      subgraphs(node).forEach(visit);
    }
  };
  visit(graph);
  for (const names of [values, nodes]) {
    const twice = names.filter((name, at) => names.indexOf(name) !== at);
    assert.equal(twice, [], 'names that stand twice');
  }
}
/** The original of the chain as it was given, and the chain in one, closed exits and networks among it where thresholds are built in. */
export async function loweredChain(drawn: ChainCase): Promise<{ original: Model; lowered: Model }> {
  const { subject, trial, original } = await prepare(drawn);
  const baked = trial.baked ? trial.open.map((isOpen) => (isOpen ? 0.5 : 1)) : undefined;
  return { original, lowered: lowered(trial, subject, baked) };
}
