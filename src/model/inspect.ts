/** From an ONNX file, without any data, to a typed model and a plan of exits. */

import { createHash } from 'node:crypto';
import { alreadyCompiled, inputsNotPerSample, optionFields, optionText } from '../errors/index.ts';
import { info, type Note, warning } from '../errors/notes.ts';
import { type Model, opsetOf } from '../graph/types.ts';
import { indexGraph } from '../graph/walk.ts';
import { inlineFunctions, type LoadedModel, loadModel } from '../parser/index.ts';
import { findLostOutputs } from '../passes/cut-segments.ts';
import { defaultDomain } from '../passes/default-domain.ts';
import { dequantizeTaps } from '../passes/dequantize-taps.ts';
import type { ExitPlan, TypedModel } from '../passes/exits.ts';
import { type ExistingExits, extractExits } from '../passes/extract-exits.ts';
import { fixInputs, type InputOptions } from '../passes/fix-inputs.ts';
import { freeNames } from '../passes/free-names.ts';
import { giveExits } from '../passes/give-exits.ts';
import { describeOutputs, giveValue } from '../passes/give-value.ts';
import { OWN_NAMES } from '../passes/lower-exits.ts';
import { runPasses } from '../passes/pass.ts';
import { type PlanOptions, planExits } from '../passes/plan-exits.ts';
import { refuseEndless } from './endless.ts';
import { describeNotFinite } from './not-finite-weights.ts';
import { type ObserveOptions, observeFacts } from './observe-facts.ts';
import { raiseModel } from './raise-model.ts';
import { orNotLoadable } from './try-loading.ts';
import { widenModel } from './widen-model.ts';

/** How a model is read, and where its exits go. */
export interface ModelOptions extends PlanOptions, ObserveOptions, InputOptions {
  /** Path of the ONNX file. */
  readonly model: string;
  /** Folder that its external data lie in; its own by default. */
  readonly externalDataFolder?: string | undefined;
  /** Make a model that takes one sample at a time take any number. */
  readonly widenBatch?: boolean | undefined;
  /** Scores of a model that has exits already, earliest first, its own last: outputs, values inside, sequences and their elements (`giveExits`). */
  readonly exitOutputs?: readonly string[] | undefined;
}

/** What its chain asks of a model. */
export interface InChain {
  /** Networks stand in front of it, so that all of it runs inside a branch. */
  readonly isNested?: boolean | undefined;
  /** What messages call it where it stands in front of the original: `first network 2`. Its names get a prefix later, so they may be any. */
  readonly inFront?: string | undefined;
  /** Opset that it is to have, like the others; its own, where that is not too old, when left out. */
  readonly opset?: number | undefined;
}

/** A model with all that is known of it before any data. */
export interface Inspected {
  /** The file as it is; `typed` and `plan` are of its model with its functions inlined, raised to opset 12 when it was below 11, and widened when asked for. */
  readonly source: LoadedModel;
  /** Of the file, and of the values that were `set`: what is kept of a model is kept under it. */
  readonly hash: string;
  /** For the user, a sentence each. */
  readonly notes: readonly Note[];
  readonly typed: TypedModel;
  readonly plan: ExitPlan;
  /** Exits that came with the model; `typed` and `plan` are then of the model without them. */
  readonly existing?: ExistingExits;
  /** What `exitOutputs` named, one by one: `exit[0]`, `exit[1]` for the sequence `exit`. */
  readonly exitOutputs?: readonly string[];
}

const WIDENED = 'Made to take any number of samples: a batch of three gave what the samples gave one by one.';

/** In metadata_props of what `compile` wrote: the original's sha256. */
export const SOURCE_HASH = 'offramp.source.sha256';

/** Of a model that Offramp wrote: the sha256 of the original; undefined for any other. */
export const sourceHashOf = ({ metadataProps }: Model): string | undefined =>
  metadataProps.find(({ key }) => key === SOURCE_HASH)?.value;

/** The newest opset that has an If on every backend. */
const NEWEST_WITH_IF = 22;

/** As `inspectLoaded`, of the file `options.model`. Throws what reading a model throws. */
export async function inspectFile(options: ModelOptions): Promise<Inspected> {
  return await inspectLoaded(await loadModel(options.model, options.externalDataFolder), options);
}

type Reading = Omit<ModelOptions, 'model' | 'externalDataFolder'> & InChain;

/**
 * Raises the opset of `source` where that is too old, observes its facts, and plans exits as `compile` would. Throws `model-not-loadable` for a
 * file that ONNX Runtime refuses.
 */
export async function inspectLoaded(source: LoadedModel, options: Reading): Promise<Inspected> {
  const who = options.inFront ?? (options.isNested ? 'the original' : undefined);
  return await orNotLoadable(source, options.session, who, () => inspectSource(source, options));
}

async function inspectSource(source: LoadedModel, options: Reading): Promise<Inspected> {
  const session = { ...options.session, externalDataFolder: source.folder };
  if (sourceHashOf(source.model) !== undefined) throw alreadyCompiled();
  const inlined = inlineFunctions(source.model);
  const given = options.exitOutputs && giveExits(inlined, options.exitOutputs);
  const output = given?.values.at(-1) ?? options.output;
  const asked = given?.model ?? giveValue(inlined, output);
  const freed = freeNames(options.inFront === undefined ? OWN_NAMES : []);
  const fixed = { ...asked, graph: runPasses(asked.graph, [defaultDomain, fixInputs(options), freed]) };
  await refuseEndless(fixed, { ...options, session });
  const raised = await raiseModel(fixed, { ...options, session, to: options.opset });
  const widened = options.widenBatch ? await widenModel(raised, { ...options, session }) : raised;
  const model = { ...widened, graph: runPasses(widened.graph, [dequantizeTaps]) };
  const typed = describeOutputs(await observeFacts(model, { ...options, output, session }));
  const notes: Note[] = [
    ...notesOnInner(inlined, given?.replaced ?? replacedIn(inlined, asked), output!),
    ...notesOnOpset(source.model, model),
    ...(widened === raised ? [] : [info('batch-widened', WIDENED)]),
    ...notesOnSet(options.set),
    ...(typed.scoresNotFinite ? [notFiniteNote(typed, await describeNotFinite(model, source.folder))] : []),
    ...looseInputs(typed).map(({ name, text }) =>
      info(
        'input-not-per-sample',
        `${text} is not an input for each sample: ${optionFields('set', [[name, 'VALUE']])} makes it a constant.`,
      ),
    ),
  ];
  const hash = hashOf(source, options.set);
  if (given) {
    const existing = extractExits(typed, given.values);
    const { plan } = existing;
    notes.push(...notesOnLost(plan, options));
    return { source, hash, notes, typed: plan.typed, plan, existing, exitOutputs: given.names };
  }
  const plan = planExits(typed, options);
  notes.push(...notesOnLost(plan, options));
  return { source, hash, notes, typed, plan };
}

const notFiniteNote = ({ output }: TypedModel, weight: string | undefined) =>
  warning(
    'scores-not-finite',
    `On random input some scores of ${output} are NaN or infinite${weight === undefined ? '' : `: ${weight}`}. Where they are so on samples, the model cannot be compiled.`,
  );

/** Of outputs that the early-exit model cannot have; they go where the one to keep is named. */
function notesOnLost(
  { typed, exits }: ExitPlan,
  { output: named, isNested }: Pick<ModelOptions & InChain, 'output' | 'isNested'>,
): Note[] {
  const taps = exits.map((exit) => exit.tap.value);
  const lost = findLostOutputs(typed, taps, isNested);
  if (lost.length === 0) return [];
  const [outputs, them] = lost.length === 1 ? ['output', 'it'] : ['outputs', 'them'];
  const why = `samples that leave early do not compute ${them}`;
  const list = `${outputs} ${lost.join(', ')}: ${why}.`;
  return named === undefined
    ? [
        info(
          'outputs-lost',
          `The early-exit model cannot have ${list} ${optionText('output', typed.output)} drops ${them}.`,
        ),
      ]
    : [info('outputs-dropped', `The early-exit model goes without ${list}`)];
}

/** Inputs that no data fill: their names, and a text with type and shape. */
function looseInputs({ model: { graph }, facts, sampleInputs }: TypedModel) {
  const { realInputs } = indexGraph(graph);
  return graph.inputs.flatMap(({ name }) => {
    if (!realInputs.has(name) || sampleInputs.includes(name)) return [];
    const { dataType, dims } = facts.get(name)!;
    return [{ name, text: `input ${name} (${dataType} [${dims.join(', ')}])` }];
  });
}

/** Throws `input-not-per-sample` when something but data would have to fill an input. */
export function refuseLooseInputs(typed: TypedModel): void {
  const loose = looseInputs(typed);
  if (loose.length === 0) return;
  throw inputsNotPerSample(
    loose.map(({ text }) => text),
    loose.map(({ name }) => name),
  );
}

const notesOnSet = (set: InputOptions['set'] = {}): Note[] =>
  Object.keys(set).length > 0
    ? [info('inputs-constant', `Inputs made constants: ${Object.keys(set).join(', ')}.`)]
    : [];

function hashOf({ sha256 }: LoadedModel, set: InputOptions['set'] = {}): string {
  if (Object.keys(set).length === 0) return sha256;
  const values = Object.entries(set)
    .map(([name, value]) => [name, [value].flat()] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash('sha256')
    .update(`${sha256} ${JSON.stringify(values)}`)
    .digest('hex');
}

const replacedIn = (before: Model, after: Model): string[] =>
  before === after ? [] : before.graph.outputs.map((v) => v.name);

/** Of outputs that go because a value inside the model was asked for, or because what they hold was. */
function notesOnInner({ graph }: Model, replaced: readonly string[], output: string): Note[] {
  if (replaced.length === 0) return [];
  const list = replaced.join(', ');
  return graph.outputs.some((v) => v.name === output)
    ? [
        info(
          'outputs-dropped',
          `The early-exit model goes without ${list}: the scores of exits are part of it.`,
        ),
      ]
    : [
        info(
          'inner-output',
          `${output} lies inside the model: the early-exit model gives it in place of ${list}.`,
        ),
      ];
}

function notesOnOpset(original: Model, model: Model): Note[] {
  const [from, to] = [opsetOf(original), opsetOf(model)];
  if (from !== to)
    return [
      info('opset-raised', `Opset ${from}, raised to ${to}: both gave the same outputs for random input.`),
    ];
  if (from <= NEWEST_WITH_IF) return [];
  return [
    info(
      'opset-without-webgpu',
      `Opset ${from}: onnxruntime-web's WebGPU backend has no If above opset ${NEWEST_WITH_IF}, so the early-exit model will not run there.`,
    ),
  ];
}
