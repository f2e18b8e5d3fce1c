/** What makes a first network's inputs from the original's: users feed the latter alone. */
import { isEncoded } from '../data/tokenizer.ts';
import type { InputSpec, Preprocessing } from '../data/types.ts';
import { firstInputMissing, firstInputUnlike, shown } from '../errors/index.ts';
import { GraphBuilder } from '../graph/builder.ts';
import { renameValues } from '../graph/rename.ts';
import type { Graph } from '../graph/types.ts';
import { numberSteps, type Side } from './picture-steps.ts';
import type { Step } from './steps.ts';
import { textLinks } from './text-steps.ts';

/** What a network reads, and what its numbers mean. Of several inputs none is preprocessed. */
export interface Reader {
  readonly inputs: readonly InputSpec[];
  readonly preprocessing: Preprocessing;
}

/** How one input of a network is made. */
interface Link {
  readonly from: InputSpec;
  readonly to: InputSpec;
  readonly steps: readonly Step[];
}

/**
 * A graph whose inputs are those of `original` that are read, [N, ...dims] in their types, and whose outputs are `network`'s inputs in their
 * order, [N, ...dims] in their types. An output is called `prefix` and the name of the input; one that takes no node is the original's input
 * itself. No other value is called anything in `names`. Written with operators of opset 11 and more. Throws `first-input-missing`,
 * `first-input-unlike`.
 *
 * Normalisation agrees with that of `data/convert.ts` to 2e-6; a size that changes, to 1 of 255.
 */
export function adapterFor(
  original: Reader,
  network: Reader,
  prefix = 'adapted/',
  names: Iterable<string> = [],
): Graph {
  const b = new GraphBuilder(`${prefix}adapter/`, new Set(names));
  for (const { name, dataType, dims } of original.inputs) b.input(name, dataType, ['N', ...dims]);
  const named = new Map<string, string>();
  for (const { from, to, steps } of linksOf(original, network)) {
    const value = steps.reduce((last, step) => step.write(b, last), from.name);
    if (value !== from.name) named.set(value, prefix + to.name);
    b.output(value, to.dataType, ['N', ...to.dims]);
  }
  const graph = renameValues(b.build('adapter'), named);
  const read = new Set([...graph.nodes.flatMap((n) => n.inputs), ...graph.outputs.map((v) => v.name)]);
  return { ...graph, inputs: graph.inputs.filter((v) => read.has(v.name)) };
}

/** What `adapterFor` does to the original's inputs, in plain words: `mean and std`, `NHWC`, `32×32 → 24×24`, `uint8`. Empty when nothing. */
export function describeAdapter(original: Reader, network: Reader): readonly string[] {
  const told = linksOf(original, network).flatMap(({ steps }) => steps.map((step) => step.told));
  return [...new Set(told.filter((words) => words !== undefined))];
}

function linksOf(original: Reader, network: Reader): readonly Link[] {
  const asText = textLinks(original.inputs);
  const texts = new Map(network.inputs.map((to) => [to, asText(to)]));
  const others = network.inputs.filter((to) => !texts.get(to));
  const free = original.inputs.filter(({ name }) => !isEncoded(name));
  const isOnly = original.inputs.length === 1 && network.inputs.length === 1;
  const partnerOf = isOnly ? () => original.inputs[0]! : partners(free, others);
  return network.inputs.map((to) => {
    const text = texts.get(to);
    if (text) return { ...text, to };
    const from = partnerOf(to);
    if (!from) throw firstInputMissing(described(to), original.inputs.map(described));
    const steps = numberSteps(sideOf(original, from, network), sideOf(network, to, original));
    if (!steps) throw firstInputUnlike(described(to), described(from));
    return { from, to, steps };
  });
}

/** Several inputs are stored side by side, without a layout: one that is a picture lies as the picture of the other network does. */
function sideOf({ inputs, preprocessing }: Reader, input: InputSpec, other: Reader): Side {
  const layout = inputs.length > 1 && input.dims.length === 3 ? other.preprocessing.layout : undefined;
  return { input, preprocessing: layout ? { ...preprocessing, layout } : preprocessing };
}

/** For each of `inputs`, the one of `originals` that it is made from: that of its name, or else that of its place among those left. */
function partners(
  originals: readonly InputSpec[],
  inputs: readonly InputSpec[],
): (input: InputSpec) => InputSpec | undefined {
  const isAmong = (others: readonly InputSpec[]) => (a: InputSpec) => others.some((b) => b.name === a.name);
  const unnamed = inputs.filter((input) => !isAmong(originals)(input));
  const free = originals.filter((input) => !isAmong(inputs)(input));
  return (input) => {
    const named = originals.find(({ name }) => name === input.name);
    if (named) return named;
    const placed = free[unnamed.indexOf(input)];
    return placed && described({ ...placed, name: input.name }) === described(input) ? placed : undefined;
  };
}

const described = ({ name, dataType, dims }: InputSpec) => `${name} ${dataType} ${shown(dims)}`;
