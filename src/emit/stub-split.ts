/** The generated class of a split's client: the model here answers, or a server is asked. */
import { type ClassDeclarationStructure, Scope, StructureKind } from 'ts-morph';
import { invalidManifest } from '../errors/index.ts';
import { isOneScore } from '../passes/exits.ts';
import { inWords } from './chain-words.ts';
import type { Manifest, ManifestSent, ManifestSplit, OperatingPoint } from './manifest.ts';
import { literal, markdownCode, quoted, table } from './names.ts';
import { constant, type Statement } from './statements.ts';
import {
  accessOf,
  chosenPoint,
  chosenThresholds,
  classifyDoc,
  costs,
  describeModel,
  feeds,
  fetched,
  governor,
  openedSession,
  result,
  resultsType,
} from './stub-class.ts';
import { pictureInput } from './stub-pictures.ts';
import { tensorType } from './tensor-types.ts';

/** A manifest with a split whose parts are known to fit. */
export type SplitManifest = Manifest & { readonly split: ManifestSplit };

/** Behind the name of a policy's state, which the next part takes, where a part gives it. */
const GIVEN = '_out';

/** What a split package exports of src/runtime/ beside what all do. */
export const SPLIT_RUNTIME = [
  'ServerOptions',
  'ServerHeaders',
  'SplitStatistics',
  'MeanAndP95',
  'AnsweredWhere',
  'NotAnswered',
];

/** `manifest`, checked, where it has a split. Throws `invalid-manifest`. */
export function splitOf(manifest: Manifest): SplitManifest | undefined {
  const { split, exits, operatingPoints, outputs, defaultPoint, inputs } = manifest;
  if (!split) return undefined;
  if (!exits.some(({ id }) => id === split.after))
    throw invalidManifest('split.after', `names no exit: "${split.after}"`);
  if (outputs.thresholds === null)
    throw invalidManifest('outputs.thresholds', 'is null: the client of a split takes thresholds');
  const unknown = Object.keys(split.models).find(
    (name) => !operatingPoints.some((point) => point.name === name),
  );
  if (unknown !== undefined) throw invalidManifest('split.models', `names no operating point: "${unknown}"`);
  if (!Object.hasOwn(split.models, defaultPoint))
    throw invalidManifest('split.models', `has no model for the default point "${defaultPoint}"`);
  const pictures = pictureInput(manifest)?.input;
  for (const [i, { name, role }] of split.sends.entries()) {
    const where = `split.sends[${i}]`;
    if (role === 'pixels' && !(name === pictures?.name && /^(float|double)$/.test(pictures.dataType)))
      throw invalidManifest(where, `sends pixels of "${name}", an input that takes no pictures`);
    if (role === 'input' && !inputs.some((input) => input.name === name))
      throw invalidManifest(where, `names no input: "${name}"`);
  }
  return { ...manifest, split };
}

/** Those of `points` that something is served for. */
export const servedPoints = (
  points: readonly OperatingPoint[],
  split: ManifestSplit | undefined,
): readonly OperatingPoint[] => points.filter(({ name }) => !split || Object.hasOwn(split.models, name));

/** Exits of the client. */
export const cutOf = ({ exits, split }: SplitManifest): number =>
  exits.findIndex(({ id }) => id === split.after) + 1;

/** `split`: what an app may want to show, and where the class looks names up. */
export function splitTable(manifest: SplitManifest): Statement {
  const { after, served, bytes, sends } = manifest.split;
  const rows = Object.entries({
    after,
    served,
    models: modelsOf(manifest),
    bytes,
    sends: sends.map(({ name, dataType, dims, role }) => ({ name, type: tensorType(dataType), dims, role })),
  });
  return constant(
    'split',
    table(rows),
    `The model here ends at the exit \`after\`. Names of the served models that answer the other samples, by operating point; what is sent of a
     sample, and its \`bytes\`.`,
  );
}

/** Served models by operating point, in the points' order: a manifest that was written has them in that of their names. */
const modelsOf = ({ operatingPoints, split }: SplitManifest): Record<string, string> =>
  Object.fromEntries(servedPoints(operatingPoints, split).map(({ name }) => [name, split.models[name]!]));

const outputOf = ({ name, role }: ManifestSent) => (role === 'state' ? `${name}${GIVEN}` : name);

/** What the model here makes for the rest. */
const passedBy = ({ split }: SplitManifest) =>
  split.sends.filter(({ role }) => role === 'feature' || role === 'state');

/** As `modelClass`. */
export function splitClass(
  manifest: SplitManifest,
  className: string,
  modelFolder: string,
): ClassDeclarationStructure {
  return {
    kind: StructureKind.Class,
    isExported: true,
    name: className,
    docs: [
      `
${describeModel(manifest)}: a classifier of ${manifest.classes} classes.
What is behind \`${manifest.split.after}\` is on a server, which is asked for samples that do not leave before.
Calls may overlap; here they run one after another, in the order they were made.`,
    ],
    properties: [
      {
        name: 'operatingPoints',
        isReadonly: true,
        type: 'typeof operatingPoints',
        initializer: 'operatingPoints',
        docs: ["Same as the module's `operatingPoints`."],
      },
      {
        name: 'statistics',
        isReadonly: true,
        type: 'SplitStatistics<OperatingPointName>',
        docs: [
          'Where the samples of all calls left, who answered them, and whether they still leave where they did when the model was measured.',
        ],
      },
      { name: '#ort', isReadonly: true, type: 'Runtime' },
      { name: '#parts', isReadonly: true, type: 'SplitRun' },
    ],
    ctors: [
      {
        scope: Scope.Private,
        parameters: [
          { name: 'ort', type: 'Runtime' },
          { name: 'parts', type: 'SplitRun' },
          { name: 'statistics', type: 'SplitStatistics<OperatingPointName>' },
        ],
        statements: ['this.#ort = ort;', 'this.#parts = parts;', 'this.statistics = statistics;'],
      },
    ],
    methods: [
      {
        name: 'load',
        isStatic: true,
        isAsync: true,
        parameters: [
          { name: 'ort', type: 'Runtime' },
          { name: 'source', type: 'ModelSource & ServerOptions' },
        ],
        returnType: `Promise<${className}>`,
        docs: [
          `
Opens the model with \`ort\`, onnxruntime's module; the server is not asked before there is a sample for it, and may be down.
Rejects with a TypeError or RangeError when an option makes no sense, and when the file is not found, or not this model.`,
        ],
        statements: loadBody(manifest, className, modelFolder),
      },
      {
        name: 'classify',
        isAsync: true,
        parameters: [
          { name: 'input', type: 'Input' },
          { name: 'options', type: 'ClassifyOptions', initializer: '{}' },
        ],
        returnType: `Promise<${resultsType(manifest)}>`,
        docs: [
          `${classifyDoc(manifest)}
Samples that the server does not answer are answered here, as \`where\` says; with \`offline: 'throw'\` the call rejects with \`NotAnswered\`.
Once \`signal\` aborts it rejects with its reason. Own \`thresholds\` have to be those of an operating point from behind
\`${manifest.split.after}\` on: a RangeError otherwise.`,
        ],
        statements: classifyBody(manifest),
      },
      governor(manifest),
      {
        name: 'release',
        returnType: 'Promise<void>',
        docs: [
          'Frees the session when the calls made before are done. Later calls reject; releasing again is harmless.',
        ],
        statements: ['return this.#parts.release();'],
      },
    ],
  };
}

function loadBody(manifest: SplitManifest, className: string, folder: string): string {
  const { outputs, exits, data, measuredOn, batch, activation, classes } = manifest;
  const passed = passedBy(manifest);
  const samples = data[measuredOn]?.samples ?? Number.POSITIVE_INFINITY;
  const facts = {
    owner: className,
    cut: cutOf(manifest),
    full: exits.length,
    batch,
    each: isOneScore(activation) ? 1 : classes,
    scoresType: tensorType(outputs.dataType ?? 'float'),
    outputs: fetched(outputs),
    thresholds: outputs.thresholds,
    passed: passed.map((sent) => ({
      output: outputOf(sent),
      name: sent.name,
      type: tensorType(sent.dataType),
    })),
  };
  return `\
const statistics: SplitStatistics<OperatingPointName> = new SplitStatistics(operatingPoints, ${samples}, ${facts.cut});
const [options, model] = serverAndModel(source, ${quoted(className)});
const server = new RemoteServer(options, split.served, statistics);
${openedSession(manifest, className, folder, [...fetched(outputs), ...passed.map(outputOf)], 'model')}
const parts = new SplitRun(ort, new Turns(session, ${quoted(className)}), ${table(Object.entries(facts))}, server, statistics);
return new ${className}(ort, parts, statistics);`;
}

function classifyBody(manifest: SplitManifest): string {
  const { split, preprocessing } = manifest;
  const sent = split.sends.flatMap(({ name, role }) => {
    const tensor = `feeds${accessOf(name)}`;
    if (role === 'input') return [`sentAsIs(${quoted(name)}, ${tensor})`];
    return role === 'pixels'
      ? [`sentAsPixels(${quoted(name)}, ${tensor}, pixelTables, ${literal(preprocessing!.layout)})`]
      : [];
  });
  return `\
this.#parts.check();
${chosenThresholds(manifest, ['signal'])}
const point = ${chosenPoint(manifest)};
const served = servedFor(operatingPoints, split.models, ${cutOf(manifest)}, point, thresholds);
${feeds(manifest)}\
const sent = [${sent.join(', ')}];
const answers = await this.#parts.run(feeds, { served, sent, thresholds, signal: options.signal });
const { scores, exitIndex, confidence, where } = answers;
refuseOverflow(scores, exitIndex.length);
const costs = ${costs(manifest, 'thresholds')};
const costsInStead = ${costs(manifest, 'answers.steadThresholds')};
const results = Array.from(exitIndex, (exit, n) => {
  const isOurs = where[n] === 'client' || where[n] === 'server';
${result(manifest, '(isOurs ? costs : costsInStead)[exit]!', '    where: where[n]!,\n')}
}) as ${resultsType(manifest)};
this.statistics.record(results, point);
return results;`;
}

/** Where the README says that the rest is. */
export const EXAMPLE_SERVER = 'https://example.org';

/** A section of the README. */
export function describeServer(manifest: SplitManifest): string {
  const { split, exits, operatingPoints, defaultPoint } = manifest;
  const { exitShares } = operatingPoints.find(({ name }) => name === defaultPoint)!;
  const stayed = exitShares.slice(0, cutOf(manifest)).reduce((sum, share) => sum + share, 0);
  const own = inWords(exits.slice(0, cutOf(manifest)).map(({ id }) => markdownCode(id)));
  const models = [...new Set(Object.values(modelsOf(manifest)))].map(markdownCode);
  return `\
This is the client of a split: it has ${own}, and asks a server for samples that do not leave there. At ${markdownCode(defaultPoint)} ${(100 * stayed).toFixed(0)} % of the
${manifest.measuredOn} samples stay; of each other one ${split.bytes} bytes travel: ${inWords(split.sends.map(describeSent))}. The server speaks the Open Inference Protocol (Triton, KServe, or
examples/node-server of onnx-offramp) and serves ${inWords(models)}; the digits are of the file's hash, so a server of another split is a plain 404.

\`where\` of a result says who answered: \`client\`, \`server\`, or \`client, server unreachable\` and \`client, server refused\`, where the answer is that of the last exit here.
\`model.statistics\` also has \`stayed\`, \`asked\`, \`unanswered\`, \`bytesSent\`, \`bytesReceived\`, \`clientMs\`, \`serverMs\`, and in \`problem\` why the server did not answer the last time.

| option of \`load\` | |
|---|---|
| \`server\` | URL of the server, such as \`https://example.org\`; the class adds the name of the served model itself. One that ends with \`/v2/models/${split.served}\` is taken too |
| \`headers\` | sent with every request, or a function that gives them |
| \`timeoutMs: 2000\` | that asking may take a call, repetitions included |
| \`retries: 2\` | repetitions of a request that was not answered |
| \`restMs: 5000\` | that a server is left alone which answered nothing three times in a row: samples are answered here at once, until one call finds it again. 0: it is always asked |
| \`maxInFlight: 8\` | requests that may be open; beyond that samples are answered here |
| \`maxBatch: 32\` | samples a request |
| \`offline: 'answer'\` | or \`'throw'\`: \`classify\` rejects with \`NotAnswered\` where the server does not answer |
| \`fetch\` | in place of the global one |

\`classify\` also takes a \`signal\`. A page of another origin needs a server that allows it: docs/split.md of onnx-offramp has the headers.

`;
}

function describeSent({ name, role, bits }: ManifestSent): string {
  if (role === 'pixels') return 'its 8-bit pixels';
  if (role === 'state') return "the policy's state";
  const what = role === 'input' ? 'the input' : bits ? `${bits}-bit features` : 'features';
  return `${what} ${markdownCode(name)}`;
}
