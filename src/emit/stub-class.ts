/** The generated class: loads a session, runs it, reads its outputs. */
import {
  type ClassDeclarationStructure,
  type MethodDeclarationStructure,
  Scope,
  StructureKind,
} from 'ts-morph';
import { type Activation, isOneScore } from '../passes/exits.ts';
import { networkName, titleOf } from './chain-words.ts';
import type { Manifest } from './manifest.ts';
import { commentText, literal, propertyName, quoted } from './names.ts';
import { pictureInput } from './stub-pictures.ts';

/** `modelFolder`: where model.onnx and its external data are, relative to the generated file, e.g. `.`. */
export function modelClass(
  manifest: Manifest,
  className: string,
  modelFolder: string,
): ClassDeclarationStructure {
  const { outputs, classes } = manifest;
  return {
    kind: StructureKind.Class,
    isExported: true,
    name: className,
    docs: [
      `
${describeModel(manifest)}: a classifier of ${classes} classes.
Calls may overlap; they run one after another, in the order they were made.`,
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
        type: 'ExitStatistics<OperatingPointName>',
        initializer: `new ExitStatistics(operatingPoints, ${manifest.data[manifest.measuredOn]?.samples ?? Number.POSITIVE_INFINITY})`,
        docs: ['Where the samples of all calls left, and whether that is still what was measured.'],
      },
      { name: '#ort', isReadonly: true, type: 'Runtime' },
      { name: '#turns', isReadonly: true, type: 'Turns' },
    ],
    ctors: [
      {
        scope: Scope.Private,
        parameters: [
          { name: 'ort', type: 'Runtime' },
          { name: 'turns', type: 'Turns' },
        ],
        statements: ['this.#ort = ort;', 'this.#turns = turns;'],
      },
    ],
    methods: [
      {
        name: 'load',
        isStatic: true,
        isAsync: true,
        parameters: [
          { name: 'ort', type: 'Runtime' },
          { name: 'source', type: 'ModelSource', initializer: '{}' },
        ],
        returnType: `Promise<${className}>`,
        docs: [
          "Opens the model with `ort`, onnxruntime's module. Rejects when the file is not found, or not this model.",
        ],
        statements: loadBody(manifest, className, modelFolder),
      },
      {
        name: 'classify',
        isAsync: true,
        parameters: [
          { name: 'input', type: 'Input' },
          ...(outputs.thresholds === null
            ? []
            : [{ name: 'options', type: 'ClassifyOptions', initializer: '{}' }]),
        ],
        returnType: `Promise<${resultsType(manifest)}>`,
        docs: [classifyDoc(manifest)],
        statements: classifyBody(manifest),
      },
      ...(outputs.thresholds === null ? [] : [governor(manifest)]),
      {
        name: 'release',
        returnType: 'Promise<void>',
        docs: [
          'Frees the session when the calls made before are done. Later calls reject; releasing again is harmless.',
        ],
        statements: ['return this.#turns.release();'],
      },
    ],
  };
}

export const governor = (manifest: Manifest): MethodDeclarationStructure => ({
  kind: StructureKind.Method,
  name: 'governor',
  parameters: [{ name: 'options', type: 'GovernorOptions<OperatingPointName>' }],
  returnType: `Governor<OperatingPointName, Input, ${resultsType(manifest)}>`,
  docs: [
    `
Classifies at the operating point that keeps a moving average at a target: \`targetRelativeCost\` a sample, or
\`targetLatencyMs\` a sample, waiting for earlier calls${manifest.split ? ' and for the server' : ''} included. Throws a RangeError when the options make no sense.`,
  ],
  statements: [
    'return new Governor((input, choice) => this.classify(input, choice), operatingPoints, options);',
  ],
});

/** One model with its exits, or the networks of a chain with theirs, in order. */
export function describeModel(manifest: Manifest): string {
  const { networks, exits } = manifest;
  if (!networks) return commentText(titleOf(manifest));
  const described = networks.map((_, n) => {
    const own = exits.filter(({ network }) => network === n).map(({ id }) => id);
    return `${networkName(manifest, n)}${own.length > 0 ? ` (${own.join(', ')})` : ''}`;
  });
  return commentText(`${described.join(', then ')}, each for what those before it are not sure of`);
}

/** A call without samples is rare, and all others would have to prove that theirs is none. */
export const resultsType = ({ batch }: Manifest) =>
  batch === 'fixed' ? '[Result]' : '[Result, ...Result[]]';

export function classifyDoc({ batch, outputs }: Manifest): string {
  const [what, whole] =
    batch === 'dynamic'
      ? [
          'One result a sample, in order; of no samples an empty list, for all that its type says.',
          'a whole number of samples',
        ]
      : ['The result of one sample, as a list.', 'exactly one sample'];
  const unknown = outputs.thresholds === null ? '' : ' or the options name no operating point';
  return `
${what} A typed array or tensor must stay as it is until they are there; pictures are copied.
Rejects with a TypeError when the input is of another kind, with a RangeError when it is not ${whole},
holds NaN or an infinity${unknown}, or when values are so large that scores overflow, and with an Error after \`release\`.`;
}

function loadBody(manifest: Manifest, className: string, folder: string): string {
  const session = openedSession(manifest, className, folder, fetched(manifest.outputs));
  return `${session}
return new ${className}(ort, new Turns(session, ${quoted(className)}));`;
}

/** The statement that opens `session`, of a model with the outputs `outs`, from what `source` names. */
export function openedSession(
  { inputs, outputs, dataFiles = [] }: Manifest,
  className: string,
  folder: string,
  outs: readonly string[],
  source = 'source',
): string {
  const ins = [
    ...inputs.map(({ name }) => name),
    ...(outputs.thresholds === null ? [] : [outputs.thresholds]),
  ];
  const urlOf = (file: string) => `new URL(${quoted(`${folder}/${file}`)}, import.meta.url)`;
  const data = dataFiles.map((file) => `${propertyName(file)}: ${urlOf(file)}`).join(', ');
  return `\
const session = await openSession(ort, ${source}, {
  owner: ${quoted(className)},
  sessionOptions,
  inputs: ${literal(ins)},
  outputs: ${literal(outs)},
  file: () => ${urlOf('model.onnx')},
${data && `  data: () => ({ ${data} }),\n`}\
});`;
}

function classifyBody(manifest: Manifest): string {
  const { outputs } = manifest;
  const { thresholds } = outputs;
  const scores =
    outputs.dataType === 'float16'
      ? `fromFloat16(dataOf(outputs, ${quoted(outputs.scores)}, 'float16'))`
      : `dataOf(outputs, ${quoted(outputs.scores)}, 'float32')`;
  return `\
this.#turns.check();
${
  thresholds === null
    ? `const { thresholds } = operatingPoints${accessOf(manifest.defaultPoint)};`
    : chosenThresholds(manifest)
}
${feeds(manifest)}\
const outputs = await this.#turns.run(feeds, ${literal(fetched(outputs))});
const scores = ${scores};
const exitIndex = dataOf(outputs, ${quoted(outputs.exitIndex)}, 'int64');
const confidence = dataOf(outputs, ${quoted(outputs.exitConfidence)}, 'float32');
refuseOverflow(scores, exitIndex.length);
const costs = ${costs(manifest, 'thresholds')};
const results = Array.from(exitIndex, (taken, n) => {
  const exit = Number(taken);
${result(manifest, 'costs[exit]!')}
}) as ${resultsType(manifest)};
this.statistics.record(results, ${thresholds === null ? quoted(manifest.defaultPoint) : chosenPoint(manifest)});
return results;`;
}

/** `others`: what options hold besides. */
export const chosenThresholds = ({ defaultPoint }: Manifest, others?: readonly string[]): string =>
  `const thresholds = thresholdsOf(operatingPoints, ${quoted(defaultPoint)}, options${others ? `, ${literal(others)}` : ''});`;

export const chosenPoint = ({ defaultPoint }: Manifest): string =>
  `pointOf(operatingPoints, ${quoted(defaultPoint)}, options)`;

/** Statements that make `feeds`, and return where there are no samples. */
export function feeds(manifest: Manifest): string {
  const { inputs, outputs } = manifest;
  const { thresholds } = outputs;
  const single = inputs.length === 1;
  const pictures = pictureInput(manifest);
  const fed = inputs.map((input) => {
    const { name } = input;
    const value = single ? 'input' : `input?.[${quoted(name)}]`;
    const elements =
      input === pictures?.input ? `isPictures(${value}) ? preprocess(${value}) : ${value}` : value;
    return `  ${propertyName(name)}: toTensor(this.#ort, ${quoted(name)}, inputs${accessOf(name)}, ${elements}),\n`;
  });
  const limits =
    thresholds === null
      ? []
      : [
          `  ${propertyName(thresholds)}: new this.#ort.Tensor('float32', thresholds, [thresholds.length]),\n`,
        ];
  return `\
const feeds = {
${[...fed, ...limits].join('')}};
${single ? '' : 'checkBatch(inputs, feeds);\n'}\
${manifest.batch === 'dynamic' ? `if (batchOf(inputs, feeds) === 0) return [] as Result[] as ${resultsType(manifest)};\n` : ''}`;
}

/** What a sample that leaves at each exit has cost under `thresholds`. */
export const costs = ({ networks }: Manifest, thresholds: string): string =>
  networks
    ? `chainCosts(exits, { network: ${networks.length - 1}, macs: fullMacs }, ${thresholds})`
    : `relativeCosts(exits, fullMacs, ${thresholds})`;

/** The result of sample `n`, which `exit` has answered, at `cost`. */
export function result(manifest: Manifest, cost: string, others = ''): string {
  const { labels, networks } = manifest;
  return `\
  const own = scores.slice(${rowOf(manifest)});
  const index = ${INDEX[manifest.activation]};
  return {
    index,
${labels ? '    label: labels[index]!,\n' : ''}\
    probability: ${PROBABILITY[manifest.activation]},
    exit,
    exitId: exits[exit]?.id ?? 'full',
${networks ? `    network: networks[exits[exit]?.network ?? ${networks.length - 1}].id,\n` : ''}\
${others}\
    confidence: confidence[n]!,
    relativeCost: ${cost},
    scores: own,
  };`;
}

/** Where the scores of sample `n` are. */
const rowOf = ({ activation, classes }: Manifest) =>
  isOneScore(activation) ? 'n, n + 1' : `n * ${classes}, (n + 1) * ${classes}`;

/** The class that a sample's `own` scores say. */
const INDEX: Record<Activation, string> = {
  none: 'indexOfLargest(own)',
  softmax: 'indexOfLargest(own)',
  'log-softmax': 'indexOfLargest(own)',
  'scaled-softmax': 'indexOfLargest(own)',
  sigmoid: 'own[0]! > 0.5 ? 1 : 0',
  logit: 'own[0]! > 0 ? 1 : 0',
};

/** Of class `index`, by what the scores have been through. */
const PROBABILITY: Record<Activation, string> = {
  none: 'softmaxAt(own, index)',
  softmax: 'own[index]!',
  'log-softmax': 'Math.exp(own[index]!)',
  'scaled-softmax': 'shareAt(own, index)',
  sigmoid: 'index === 1 ? own[0]! : 1 - own[0]!',
  logit: 'softmaxAt([0, own[0]!], index)',
};

export const fetched = ({ scores, exitIndex, exitConfidence }: Manifest['outputs']) => [
  scores,
  exitIndex,
  exitConfidence,
];

export const accessOf = (name: string) =>
  /^[A-Za-z_$][\w$]*$/.test(name) ? `.${name}` : `[${quoted(name)}]`;
