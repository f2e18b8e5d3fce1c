/** What Offramp finds in a model, and where exits could go. */
import type { Preprocessing, PreprocessingOptions } from '../data/index.ts';
import type { Note } from '../errors/notes.ts';
import { type DataType, opsetOf } from '../graph/types.ts';
import { type Inspected, inspectLoaded, type ModelOptions } from '../model/inspect.ts';
import type { Network } from '../networks/chain.ts';
import type { FirstOptions } from '../networks/open-first.ts';
import { loadModel } from '../parser/index.ts';
import { attachExits } from '../passes/attach-exits.ts';
import type { Activation, Head, HeadKind, PlannedExit, RejectedTap, Tap } from '../passes/exits.ts';
import { dimsOf, type HubModelOptions, nameFloat, type WithHub, withHub } from './hub-model.ts';
import { checkCall } from './options.ts';
import { openProject } from './project.ts';

export interface InspectOptions extends ModelOptions, HubModelOptions, PreprocessingOptions {
  /** Networks in front of the model, as `compile` takes them. Preprocessing is of use with them alone. */
  readonly first?: readonly (string | FirstOptions)[];
  /** One for all exits, or one an exit; by default `token` at tokens and `strided` elsewhere. */
  readonly head?: HeadKind | readonly HeadKind[] | undefined;
}

/** An input that has a row for each sample. */
export interface InspectedInput {
  readonly name: string;
  readonly dataType: DataType;
  /** The first axis counts samples. */
  readonly dims: readonly ['N', ...number[]];
}

/** An exit that `compile` would place. */
export interface InspectedExit extends Omit<PlannedExit, 'network'> {
  readonly head: Head['kind'];
  /** MACs a sample of the head. */
  readonly headMacs: number;
}

/** A network of a chain. */
export interface InspectedNetwork {
  /** `first_1`, `first_2`, …, `original` */
  readonly id: string;
  /** Name of its file, or of the package that it is; with the folders before it where another has the same name. */
  readonly file: string;
  readonly classes: number;
  /** MACs a sample, its adapter included. */
  readonly macs: number;
  /** `macs` as a share of the original's. */
  readonly relativeCost: number;
  /** How numbers become its input. */
  readonly preprocessing: Preprocessing;
  /** What is done to the original's inputs to make its own, in words; empty when nothing is, as of the original. */
  readonly adapter: readonly string[];
  /** Its exits, in the order samples meet them; of kind `end` where the network itself answers. */
  readonly exits: readonly InspectedExit[];
}

/** A model as `compile` would take it, in plain data. */
export interface Inspection {
  /** Of the file; below 11 it is compiled as opset 12. */
  readonly opset: number;
  /** As config files beside the model say, where there are any: options need not. */
  readonly preprocessing?: PreprocessingOptions;
  /** A tokenizer.json beside the model. */
  readonly tokenizer?: string;
  readonly inputs: readonly InspectedInput[];
  /** The output with the class scores. */
  readonly output: string;
  /** The value where exits merge: class scores before any activation. */
  readonly logits: string;
  /** What lies between `logits` and `output`. */
  readonly activation: Activation;
  readonly classes: number;
  /** `fixed`: the model takes one sample at a time. */
  readonly batch: 'dynamic' | 'fixed';
  /** MACs a sample of the whole model. */
  readonly totalMacs: number;
  /** Op types that the MAC count leaves out although they do arithmetic, with their node counts. */
  readonly notCounted: Readonly<Record<string, number>>;
  /** Where an exit can go, from the first to the last. */
  readonly taps: readonly Tap[];
  /** Where none can, and why. */
  readonly rejected: readonly RejectedTap[];
  /** The model's own, in the order samples meet them. */
  readonly exits: readonly InspectedExit[];
  /** With `first`: the networks of the chain in the order samples meet them, the model last. */
  readonly networks?: readonly InspectedNetwork[];
  readonly notes: readonly Note[];
}

/** Reads the model and plans exits as `compile` would. Throws `bad-option`, and what reading a model and `attachExits` throw. */
export async function inspect(given: InspectOptions): Promise<Inspection> {
  checkCall('inspect', given);
  const options = await withHub(given);
  if (options.first) return await inspectChain(options);
  const source = await loadModel(options.model, options.externalDataFolder);
  const read = { ...options, dims: dimsOf(source, options, options.hub) };
  const inspection = await inspectLoaded(source, read).catch((error) => {
    throw nameFloat(error, options.model);
  });
  const { plan, existing } = inspection;
  const heads = existing?.heads ?? attachExits(plan, { kind: options.head, seed: 1 });
  return { ...describe(inspection, heads), ...toldOf(options) };
}

/** What config files say. */
const toldOf = ({
  hub,
}: Pick<WithHub<InspectOptions>, 'hub'>): Pick<Inspection, 'preprocessing' | 'tokenizer'> => ({
  ...(hub && Object.keys(hub.preprocessing).length > 0 && { preprocessing: hub.preprocessing }),
  ...(hub?.tokenizer !== undefined && { tokenizer: hub.tokenizer }),
});

async function inspectChain({
  session = {},
  head,
  ...options
}: WithHub<InspectOptions>): Promise<Inspection> {
  const { threads, provider } = session;
  const notes: Note[] = [];
  const asked = {
    ...options,
    ...(head !== undefined && { head }),
    ...(threads !== undefined && { threads }),
    ...(provider !== undefined && { provider }),
  };
  const { inspection, chain, preprocessing } = await openProject(asked, {
    onNote: (note) => notes.push(note),
  });
  const { networks } = chain;
  const original = networks.at(-1)!;
  const { totalMacs } = original.plan;
  const describeNetwork = ({ id, file, typed, plan, reading, heads }: Network): InspectedNetwork => ({
    id,
    file,
    classes: typed.classes,
    macs: plan.totalMacs,
    relativeCost: plan.totalMacs / totalMacs,
    preprocessing: reading?.preprocessing ?? preprocessing,
    adapter: reading?.adapter ?? [],
    exits: heads.map(describeExit),
  });
  const described = describe({ ...inspection, notes }, original.heads);
  return { ...described, ...toldOf(options), networks: networks.map(describeNetwork) };
}

const describeExit = ({ exit: { network: _, ...exit }, kind, macs }: Head): InspectedExit => ({
  ...exit,
  head: kind,
  headMacs: macs,
});

function describe({ source, typed, plan, notes }: Inspected, heads: readonly Head[]): Inspection {
  const { output, logits, activation, classes, batch } = typed;
  const { totalMacs, notCounted, taps, rejected } = plan;
  return {
    opset: opsetOf(source.model),
    inputs: typed.sampleInputs.map((name) => {
      const { dataType, dims } = typed.facts.get(name)!;
      return { name, dataType, dims: ['N', ...dims.slice(1)] };
    }),
    output,
    logits,
    activation,
    classes,
    batch,
    totalMacs,
    notCounted,
    taps,
    rejected,
    exits: heads.map(describeExit),
    notes,
  };
}
