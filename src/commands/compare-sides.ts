/** The two sides of a comparison: packages, or plain models read as they were compiled. */
import { basename, join } from 'node:path';
import { plainName } from '../data/class-names.ts';
import { isFile } from '../data/files.ts';
import {
  type Dataset,
  type InputSpec,
  type Preprocessing,
  type PreprocessingOptions,
  resolvePreprocessing,
} from '../data/index.ts';
import { PREPROCESSING_OPTIONS } from '../data/preprocessing.ts';
import { inputsOf } from '../data/splits.ts';
import { tokenizerFor } from '../emit/keep-tokenizer.ts';
import type { Manifest, OperatingPoint } from '../emit/manifest.ts';
import { checkEmitted, readPackage } from '../emit/read-package.ts';
import { notComparable, pointNotBuiltIn, unknownPoint } from '../errors/index.ts';
import type { Model } from '../graph/types.ts';
import { isModelFolder } from '../hub/folder.ts';
import { readHub } from '../hub/read.ts';
import { refuseLooseInputs } from '../model/inspect.ts';
import { observeFacts } from '../model/observe-facts.ts';
import { raiseModel } from '../model/raise-model.ts';
import { orNotLoadable } from '../model/try-loading.ts';
import type { SessionOptions } from '../ort/session.ts';
import { inlineFunctions, type LoadedModel, loadModel } from '../parser/index.ts';
import type { Activation } from '../passes/exits.ts';
import { fixInputs, type InputOptions } from '../passes/fix-inputs.ts';
import { giveValue } from '../passes/give-value.ts';
import { EXIT_INDEX } from '../passes/lower-exits.ts';
import { runPasses } from '../passes/pass.ts';
import { totalMacsOf } from '../passes/plan-exits.ts';
import { dimsOf, missingPreprocessing } from './hub-model.ts';
import { inputsIn } from './open-samples.ts';
import { sizesOf } from './sizes.ts';

/** Which models, and how they are read. The preprocessing is that of plain models; packages have their own, and a plain model takes that of the other where nothing is said. */
export interface SideOptions extends PreprocessingOptions {
  /** A folder that `compile` wrote, or an .onnx file. */
  readonly a: string;
  readonly b: string;
  /** How plain models are read, as `inspect` takes it; by default one that the other side was compiled from as it was then. */
  readonly output?: string;
  readonly dims?: InputOptions['dims'];
  readonly set?: InputOptions['set'];
  /** Operating point of each, or one of both; each package's default point when left out. A plain model has none. */
  readonly at?: readonly string[];
}

/** What is known of a model before it is run. */
export interface Side {
  readonly path: string;
  /** What is run. */
  readonly file: string | Model;
  readonly session: SessionOptions;
  readonly inputs: readonly InputSpec[];
  readonly output: string;
  readonly activation: Activation;
  readonly classes: number;
  readonly classNames: readonly string[] | undefined;
  readonly tokenizer?: string | undefined;
  /** What config files beside a plain model say. */
  readonly told?: PreprocessingOptions;
  readonly batch: 'dynamic' | 'fixed';
  /** Of one sample that goes all the way. */
  readonly macs: number;
  readonly compiled?: { readonly manifest: Manifest; readonly point: OperatingPoint };
}

/** Both sides that `options` name. Throws `not-comparable`, `unknown-operating-point` and `point-not-built-in`. */
export async function openSides(options: SideOptions, session: SessionOptions): Promise<[Side, Side]> {
  const [atA, atB = atA] = options.at ?? [];
  const packageA = await packageAt(options.a, atA);
  const packageB = await packageAt(options.b, atB);
  for (const one of [packageA, packageB]) if (one) await checkEmitted(one.path, one.manifest, session);
  const plain = (path: string, other: Package | undefined) =>
    plainSide(path, session, (source) => readingOf(options, source, other?.manifest));
  const a = packageA ? packageSide(packageA, session) : await plain(options.a, packageB);
  const b = packageB ? packageSide(packageB, session) : await plain(options.b, packageA);
  refuseUnlike(a, b);
  return [a, b];
}

/** Thresholds that `side` is fed; undefined where it takes none. */
export const thresholdsOf = ({ compiled }: Side) =>
  compiled && compiled.manifest.outputs.thresholds !== null ? compiled.point.thresholds : undefined;

interface Package {
  readonly path: string;
  readonly manifest: Manifest;
  readonly point: OperatingPoint;
}

/** What `path` holds, at the point `at`; undefined when it is a plain model. */
async function packageAt(path: string, at: string | undefined): Promise<Package | undefined> {
  if (isModelFolder(path) || isFile(path) || path.endsWith('.onnx')) return undefined;
  const manifest = await readPackage(path);
  const { outputs, operatingPoints, defaultPoint } = manifest;
  const point = operatingPoints.find(({ name }) => name === (at ?? defaultPoint));
  if (!point)
    throw unknownPoint(
      `${at} in ${path}`,
      operatingPoints.map((p) => p.name),
    );
  if (outputs.thresholds === null && point.name !== defaultPoint)
    throw pointNotBuiltIn(point.name, path, defaultPoint);
  return { path, manifest, point };
}

function packageSide({ path, manifest, point }: Package, session: SessionOptions): Side {
  const { classes, labels, batch, outputs, baseline } = manifest;
  return {
    path,
    file: join(path, 'model.onnx'),
    session,
    inputs: inputsIn(manifest),
    output: outputs.scores,
    activation: manifest.activation,
    classes,
    classNames: labels,
    tokenizer: tokenizerFor(path, manifest, undefined),
    batch,
    macs: baseline.macs,
    compiled: { manifest, point },
  };
}

interface Reading extends InputOptions {
  readonly output?: string | undefined;
}

/** How a plain model is read: as is said, and else as the other side was compiled from it. */
function readingOf({ output, dims, set }: SideOptions, source: LoadedModel, other?: Manifest): Reading {
  const then = other?.source.sha256 === source.sha256 ? other : undefined;
  return {
    output: output ?? then?.outputs.scores,
    dims: { ...(then && sizesOf(source.model, then.inputs)), ...then?.source.dims, ...dims },
    set: { ...then?.source.set, ...set },
  };
}

async function plainSide(
  path: string,
  threads: SessionOptions,
  readingFor: (source: LoadedModel) => Reading,
): Promise<Side> {
  const hub = await readHub({ model: path });
  const source = await loadModel(hub.files.model);
  const session = { ...threads, externalDataFolder: source.folder };
  if (source.model.graph.outputs.some(({ name }) => name === EXIT_INDEX))
    throw notComparable(
      path,
      'another',
      `${basename(path)} is what compile wrote, without its manifest`,
      'Give its folder.',
    );
  const { output, dims: given = {}, set = {} } = readingFor(source);
  const dims = dimsOf(source, { dims: given }, hub);
  const reading = { output, dims, session };
  const inlined = inlineFunctions(source.model);
  const asked = giveValue(inlined, output);
  const fixed = { ...asked, graph: runPasses(asked.graph, [fixInputs({ dims, set })]) };
  const typed = await orNotLoadable(source, session, undefined, async () =>
    observeFacts(await raiseModel(fixed, reading), reading),
  );
  refuseLooseInputs(typed);
  return {
    path,
    file: asked === inlined && Object.keys(set).length === 0 ? hub.files.model : fixed,
    session,
    inputs: inputsOf(typed),
    output: typed.output,
    activation: typed.activation,
    classes: typed.classes,
    classNames: hub.classes?.names.length === typed.classes ? hub.classes.names : undefined,
    tokenizer: hub.tokenizer,
    told: hub.preprocessing,
    batch: typed.batch,
    macs: totalMacsOf(typed),
  };
}

function refuseUnlike(a: Side, b: Side): void {
  const hint = 'Both must tell the same classes apart, in the same order.';
  if (a.classes !== b.classes)
    throw notComparable(a.path, b.path, `one has ${a.classes} classes, the other ${b.classes}`, hint);
  const first =
    a.classNames?.findIndex((name, i) => b.classNames && plainName(b.classNames[i]!) !== plainName(name)) ??
    -1;
  if (first >= 0)
    throw notComparable(
      a.path,
      b.path,
      `class ${first} is ${a.classNames![first]} in one and ${b.classNames![first]} in the other`,
      hint,
    );
}

/** What tells that row i of both is the same sample: as many of them, with the same labels, and the same records where those are alike. */
export function refuseOtherSamples(a: Side, b: Side, dataA: Dataset, dataB: Dataset): void {
  const hint = 'Give data that both read in the same way; of random data, models with inputs of one shape.';
  if (dataA.size !== dataB.size)
    throw notComparable(
      a.path,
      b.path,
      `${dataA.size} samples are read for one, ${dataB.size} for the other`,
      hint,
    );
  const first = dataA.labels.findIndex((label, i) => label !== dataB.labels[i]);
  if (first >= 0) throw notComparable(a.path, b.path, `sample ${first} has another label for each`, hint);
  if (dataA.random && dataA.hash !== dataB.hash)
    throw notComparable(a.path, b.path, 'random samples are drawn for each shape of input', hint);
}

/** What options say of a plain model, and where they say nothing, config files beside it, or else what the other side was compiled with. */
export function preprocessingOf(side: Side, other: Side, options: SideOptions): Preprocessing {
  const own = side.compiled?.manifest.preprocessing;
  if (own !== undefined) return own as Preprocessing;
  const isGiven = PREPROCESSING_OPTIONS.some((name) => options[name] !== undefined);
  const isTold = side.told !== undefined && Object.keys(side.told).length > 0;
  const theirs = other.compiled?.manifest.preprocessing as Preprocessing | null | undefined;
  if (!isGiven && !isTold && theirs) return theirs;
  const { channels, ...numbers } = theirs ?? {};
  const told = isTold ? side.told : { ...numbers, ...(channels !== 'any' && channels && { channels }) };
  return resolvePreprocessing({ ...missingPreprocessing(options, told), ...options }, side.inputs);
}
