/** A network in front of the original: read from its file, and made to read what the original reads. */
import { createHash } from 'node:crypto';
import {
  type InputSpec,
  type Preprocessing,
  type PreprocessingOptions,
  resolvePreprocessing,
} from '../data/index.ts';
import { imageShape } from '../data/preprocessing.ts';
import { inputsOf } from '../data/splits.ts';
import { firstClassCount, firstIsOriginal, firstSizeFixed, OfframpError, ofFirst } from '../errors/index.ts';
import { prune } from '../graph/prune.ts';
import type { Model } from '../graph/types.ts';
import { indexGraph } from '../graph/walk.ts';
import { type Inspected, inspectLoaded, refuseLooseInputs } from '../model/inspect.ts';
import { observeFacts } from '../model/observe-facts.ts';
import type { SessionOptions } from '../ort/session.ts';
import type { LoadedModel } from '../parser/index.ts';
import type { TypedModel } from '../passes/exits.ts';
import type { InputOptions } from '../passes/fix-inputs.ts';
import { planExits } from '../passes/plan-exits.ts';
import { adaptNetwork } from './adapt-network.ts';
import { describeAdapter, type Reader } from './adapter.ts';
import type { FirstReading, Network } from './chain.ts';
import { refuseOtherTokenizer } from './same-tokenizer.ts';

/** A network that is given: how its file is read, and what its input is. Preprocessing that is left out is the original's. */
export interface FirstOptions extends PreprocessingOptions, InputOptions {
  /** Path of an ONNX file, of a folder with one and its config files, or of one that `compile` wrote. */
  readonly model: string;
  /** Folder that its external data lie in; its own by default. */
  readonly externalDataFolder?: string;
  /** Its output of class scores, when there are several. */
  readonly output?: string;
  /** Height and width of the pictures that it is given, where it takes any; one number for both. */
  readonly size?: number | readonly number[];
  /** Text file with one class name a line, in the order of its outputs. */
  readonly labels?: string;
}

/** The original, as a first network needs to know it. */
export interface OriginalReader extends Reader {
  readonly file: string;
  readonly typed: TypedModel;
  readonly source: LoadedModel;
  readonly options: PreprocessingOptions;
}

export interface OpenFirst {
  readonly id: string;
  /** What its file is called (`filesApart`). */
  readonly file: string;
  readonly source: LoadedModel;
  readonly original: OriginalReader;
  /** That all networks of the chain have. */
  readonly opset: number;
  readonly session: SessionOptions;
  /** Exits of its own, by the values that they are at. */
  readonly taps?: readonly string[];
}

/** A network that reads the original's inputs, and what makes its own of them. Its heads are still to come. */
export interface OpenedFirst extends Omit<Network, 'heads'> {
  readonly reading: FirstReading;
  readonly inspection: Inspected;
}

/**
 * Inspects the network by itself, puts its adapter in front, and plans its exits. One that takes one sample at a time is made to take any
 * number, if that proves right. Errors say which file they are about. Throws `first-class-count`, `first-is-original`, and what reading a
 * model throws.
 */
export async function openFirst(options: FirstOptions, about: OpenFirst): Promise<OpenedFirst> {
  try {
    return await open(options, about);
  } catch (error) {
    throw ofFirst(about.file, error);
  }
}

async function open(options: FirstOptions, about: OpenFirst): Promise<OpenedFirst> {
  const { id, file, source, original, opset, taps = [] } = about;
  const session = { ...about.session, externalDataFolder: source.folder };
  const asked = readingOf(options, source, original);
  const inspection = await inspectAlone(asked, about);
  const { typed: alone } = inspection;
  refuseLooseInputs(alone);
  const graphOf = (file: string, { model }: TypedModel) => ({ file, graph: model.graph });
  refuseOtherTokenizer(graphOf(original.file, original.typed), graphOf(file, alone));
  const { classes } = original.typed;
  if (alone.classes !== classes) throw firstClassCount(file, alone.classes, classes);
  const inputs = inputsOf(alone);
  const reader = { inputs, preprocessing: preprocessingOf(options, inputs, original) };
  if (source.sha256 === original.source.sha256 && readsTheSame(reader, original)) throw firstIsOriginal(file);
  const adapted = adaptNetwork(justLogits(alone), original, reader, id);
  const isFixed = alone.batch === 'fixed' || original.typed.batch === 'fixed';
  const model = isFixed ? oneSample(adapted, original) : adapted;
  const typed = await observeFacts(model, { output: `${id}/${alone.output}`, session });
  const plan = planExits(typed, { taps: taps.map((tap) => `${id}/${tap}`) });
  const told = JSON.stringify([
    source.sha256,
    inspection.hash,
    reader,
    original.inputs,
    original.preprocessing,
    opset,
  ]);
  const hash = createHash('sha256').update(told).digest('hex');
  const reading = {
    ...asked,
    preprocessing: reader.preprocessing,
    adapter: describeAdapter(original, reader),
    ...(options.externalDataFolder !== undefined && { externalDataFolder: 'given' as const }),
  };
  return { id, file, source, hash, typed, plan, reading, inspection };
}

type Asked = ReturnType<typeof readingOf>;

/** As a model of its own, for any number of samples where that can be. */
async function inspectAlone(asked: Asked, { id, source, original, opset, session, taps = [] }: OpenFirst) {
  const inFront = id.replace(/^first_/, 'first network ');
  const reading = { ...asked, session, taps, opset, inFront };
  const inspection = await inspectLoaded(source, reading);
  if (inspection.typed.batch === 'dynamic' || original.typed.batch === 'fixed') return inspection;
  try {
    return await inspectLoaded(source, { ...reading, widenBatch: true });
  } catch (error) {
    if (error instanceof OfframpError) return inspection;
    throw error;
  }
}

/** How its file is read: axes of any size get that of the original's input, or what `size` says of pictures. */
function readingOf(
  { output, dims = {}, set, size, layout }: FirstOptions,
  { model }: LoadedModel,
  original: OriginalReader,
) {
  const { realInputs } = indexGraph(model.graph);
  const inputs = model.graph.inputs.filter(
    ({ name }) => realInputs.has(name) && !Object.hasOwn(set ?? {}, name),
  );
  const filled: Record<string, number> = {};
  for (const { name, type } of inputs) {
    const declared = type?.dims ?? [];
    const theirs = original.inputs.find((input) => input.name === name) ?? original.inputs[0]!;
    const shape = imageShape(theirs.dims, original.preprocessing.layout);
    const wanted = size ?? (shape && [shape.height, shape.width]);
    const sizes = declared.length === 4 && wanted ? picture(declared, wanted, layout) : theirs.dims;
    if (size !== undefined) refuseFixedSize(name, declared, sizes);
    for (const [axis, dim] of declared.entries()) {
      const known = sizes[axis - 1];
      if (axis > 0 && typeof dim !== 'number' && known !== undefined) filled[`${name}.${axis}`] = known;
    }
  }
  return { ...(output !== undefined && { output }), dims: { ...filled, ...dims }, ...(set && { set }) };
}

/** Throws `first-size-fixed` where `sizes` has another size than an axis that the file fixes, or where it is no picture. */
function refuseFixedSize(
  name: string,
  declared: readonly unknown[],
  sizes: readonly (number | undefined)[],
): void {
  const other = declared.some((dim, axis) => {
    const wanted = sizes[axis - 1];
    return typeof dim === 'number' && axis > 0 && wanted !== undefined && wanted !== dim;
  });
  if (declared.length !== 4 || other) throw firstSizeFixed(name, declared);
}

/** Sizes of a picture's axes behind the batch, of which only height and width matter. */
function picture(declared: readonly unknown[], size: number | readonly number[], layout?: string) {
  const [height, width = height] = [size].flat();
  const isLast = layout === 'NHWC' || (layout === undefined && (declared[3] === 3 || declared[3] === 1));
  return isLast ? [height, width, undefined] : [undefined, height, width];
}

/** That which is given, or else what the original has: its numbers in the layout that this network's input has. */
function preprocessingOf(
  { preset, scale, rescale, mean, std, layout, channels, resize, resample }: FirstOptions,
  inputs: readonly InputSpec[],
  original: OriginalReader,
): Preprocessing {
  // Several inputs are fed as they are, which a manifest writes as scale 1, mean 0 and deviation 1.
  const isNeutral = scale === 1 && mean?.every((m) => m === 0) && std?.every((d) => d === 1);
  if (inputs.length > 1 && isNeutral) return resolvePreprocessing({}, inputs);
  const own = { preset, scale, rescale, mean, std, layout, channels, resize, resample };
  const given = Object.fromEntries(Object.entries(own).filter(([, value]) => value !== undefined));
  const isGiven = ['preset', 'scale', 'rescale', 'mean', 'std'].some((name) => given[name] !== undefined);
  const { layout: _, channels: __, ...numbers } = original.options;
  return resolvePreprocessing(isGiven ? given : { ...numbers, ...given }, inputs);
}

const readsTheSame = (a: Reader, b: Reader) =>
  JSON.stringify([a.inputs, a.preprocessing]) === JSON.stringify([b.inputs, b.preprocessing]);

/** The network with its scores as the only output. */
function justLogits({ model, output }: TypedModel): Model {
  const outputs = model.graph.outputs.filter(({ name }) => name === output);
  return { ...model, graph: prune({ ...model.graph, outputs }) };
}

/** `model` for one sample at a time. */
function oneSample(model: Model, { inputs }: Reader): Model {
  const names = new Set(inputs.map(({ name }) => name));
  const declared = model.graph.inputs.map((value) =>
    names.has(value.name) && value.type?.dims
      ? { ...value, type: { ...value.type, dims: [1, ...value.type.dims.slice(1)] } }
      : value,
  );
  return { ...model, graph: { ...model.graph, inputs: declared } };
}
