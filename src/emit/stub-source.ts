/** The statements of the generated index.ts, in the order a reader meets them: tables, types, the class, functions. */
import { StructureKind } from 'ts-morph';
import { type Activation, isOneScore } from '../passes/exits.ts';
import type { Manifest, ManifestInput, OperatingPoint } from './manifest.ts';
import { shortestFloat32 } from './manifest-json.ts';
import { literal, propertyName, quoted, table } from './names.ts';
import { alias, constant, field, list, record, type Statement } from './statements.ts';
import { describeExitIds, EXITS_DOC, networkIdType, networksTable } from './stub-chain.ts';
import { modelClass } from './stub-class.ts';
import { pictureInput, picturesType, preprocessFunction, preprocessingTable } from './stub-pictures.ts';
import { SPLIT_RUNTIME, servedPoints, splitClass, splitOf, splitTable } from './stub-split.ts';
import { textEncoder } from './stub-texts.ts';
import { arrayType, tensorType } from './tensor-types.ts';

/** Everything below the file's header but what of src/runtime/ it uses. `modelFolder`: where model.onnx is, relative to this file. */
export function stubStatements(manifest: Manifest, className: string, modelFolder: string): Statement[] {
  const pictures = pictureInput(manifest);
  const split = splitOf(manifest);
  return [
    {
      kind: StructureKind.ImportDeclaration,
      isTypeOnly: true,
      namespaceImport: 'Ort',
      moduleSpecifier: 'onnxruntime-common',
    },
    ...tables(manifest),
    ...typesOf(manifest, className),
    split ? splitClass(split, className, modelFolder) : modelClass(manifest, className, modelFolder),
    ...(pictures ? [preprocessFunction(manifest, pictures)] : []),
    ...(manifest.tokenizer ? [textEncoder(manifest)] : []),
    { kind: StructureKind.ExportAssignment, isExportEquals: false, expression: className },
  ];
}

/** What the package exports of src/runtime/. */
export const exportedRuntime = (manifest: Manifest): string[] => [
  ...['Runtime', 'ModelSource', 'Drift'],
  ...(manifest.split ? SPLIT_RUNTIME : ['ExitStatistics', 'StatisticsOptions']),
  ...(manifest.outputs.thresholds === null ? [] : ['Governor', 'GovernorOptions', 'GovernorTarget']),
  ...(pictureInput(manifest) ? ['Picture', 'Preprocessing'] : []),
  ...(manifest.tokenizer ? ['Text', 'TextTokenizerClass', 'TokenizerFile'] : []),
];

/** The operating points a caller meets: all, the one that is baked in, or those that a server has the rest for. */
function pointsOf({ operatingPoints, outputs, defaultPoint, split }: Manifest): readonly OperatingPoint[] {
  return outputs.thresholds === null
    ? operatingPoints.filter((p) => p.name === defaultPoint)
    : servedPoints(operatingPoints, split);
}

function tables(manifest: Manifest): Statement[] {
  const { labels, inputs, exits, networks, baseline, batch, outputs } = manifest;
  const pictures = pictureInput(manifest);
  const split = splitOf(manifest);
  const exitRows = exits.map(({ id, network = 0, tap, prefixMacs, headMacs, relativeCost }) =>
    literal({ id, ...(networks && { network }), tap, prefixMacs, headMacs, relativeCost }),
  );
  const pointRows = pointsOf(manifest).map((point) => {
    const { name, accuracy, agreement, relativeCost, exitShares, latencyMsP50, latencyMsMean = null } = point;
    const thresholds = point.thresholds.map(shortestFloat32);
    return [
      name,
      { thresholds, accuracy, agreement, relativeCost, exitShares, latencyMsP50, latencyMsMean },
    ] as const;
  });
  return [
    ...(labels ? [constant('labels', list(labels.map(quoted)), 'Class names, by class index.')] : []),
    constant(
      'inputs',
      table(inputs.map(({ name, dataType, dims }) => [name, { type: tensorType(dataType), dims }])),
      `Inputs of the model.${batch === 'dynamic' ? ' N is the number of samples.' : ''}`,
    ),
    ...(networks ? [networksTable(networks)] : []),
    constant(
      'exits',
      list(exitRows),
      networks
        ? EXITS_DOC
        : `Exits, in the order samples meet them. MACs are per sample; \`relativeCost\` is what a sample that leaves there has
       cost with every exit open, all executed heads counted, as a share of the original model.`,
    ),
    constant('fullMacs', String(baseline.macs), 'MACs a sample of the original model.', 'number'),
    constant(
      'operatingPoints',
      table(pointRows),
      outputs.thresholds === null
        ? 'The operating point that is baked into the model.'
        : 'Operating points, cheapest first.',
      'Readonly<Record<OperatingPointName, OperatingPoint>>',
    ),
    constant(
      'defaultPoint',
      quoted(manifest.defaultPoint),
      'The operating point in force when a call says nothing else.',
      'OperatingPointName',
    ),
    ...(split ? [splitTable(split)] : []),
    ...(pictures
      ? [
          constant(
            'preprocessing',
            preprocessingTable(manifest, pictures),
            'How pictures become the input, as when the model was compiled.',
            'Preprocessing',
          ),
        ]
      : []),
    constant(
      'sessionOptions',
      literal(ortOptions(manifest)),
      'Session options that all figures were measured with.',
      'Ort.InferenceSession.SessionOptions',
    ),
  ];
}

function typesOf(manifest: Manifest, className: string): Statement[] {
  const { labels, outputs, exits, networks, defaultPoint, split } = manifest;
  const choices = ['at?: OperatingPointName', 'budget: number', 'thresholds: Thresholds']
    .map((chosen) => `\n  | { ${CHOICES.map((name) => choice(name, chosen)).join('; ')} }`)
    .join('');
  return [
    ...(labels ? [alias('Label', '(typeof labels)[number]', 'A class name.')] : []),
    alias(
      'OperatingPointName',
      pointsOf(manifest)
        .map(({ name }) => quoted(name))
        .join(' | '),
      'Name of an operating point.',
    ),
    alias(
      'ExitId',
      `${exits.map(({ id }) => quoted(id)).join(' | ')} | 'full'`,
      networks ? describeExitIds(manifest) : 'Where a sample left; `full` is the whole model.',
    ),
    ...(networks ? [networkIdType(networks)] : []),
    alias(
      'Thresholds',
      `readonly [${exits.map(({ id }) => `${id}: number`).join(', ')}]`,
      'One an exit: a sample leaves when its confidence is greater; 1 closes the exit.',
    ),
    operatingPointType(manifest),
    inputType(manifest),
    ...(outputs.thresholds === null
      ? []
      : [
          alias(
            'ClassifyOptions',
            split ? `(${choices}\n) & { readonly signal?: AbortSignal }` : choices,
            `How eagerly samples leave: \`at\` an operating point (\`${defaultPoint}\` by default), at the dearest one whose
             \`relativeCost\` is at most a \`budget\`, or by your own \`thresholds\`.${split ? ' `signal` ends the waiting for the server.' : ''}`,
          ),
        ]),
    record('Result', `What ${className} says about one sample.`, [
      field('index', 'number', 'Class index.'),
      ...(labels ? [field('label', 'Label', 'Class name.')] : []),
      field('probability', 'number', 'Probability of the class, as the exit that answered sees it.'),
      field(
        'exit',
        'number',
        networks
          ? `Index of the exit taken; ${exits.length} where the original answered.`
          : `Index of the exit taken; ${exits.length} is the whole model.`,
      ),
      field('exitId', 'ExitId', 'Name of the exit taken.'),
      ...(networks ? [field('network', 'NetworkId', 'The network that answered.')] : []),
      ...(split
        ? [
            field(
              'where',
              'AnsweredWhere',
              'Who answered: the model here; the server; or the model here, since the server could not be reached, or refused.',
            ),
          ]
        : []),
      field('confidence', 'number', 'The score that was compared with the threshold.'),
      field(
        'relativeCost',
        'number',
        networks
          ? 'MACs spent on the sample as a share of the original model, every executed network and head counted: above 1 where the networks in front were run and the original answered.'
          : 'MACs spent on the sample as a share of the original model, every executed head counted: above 1 where it passed open exits and went all the way.',
      ),
      field('scores', 'Float32Array', describeScores(manifest)),
    ]),
  ];
}

const CHOICES = ['at', 'budget', 'thresholds'];

const choice = (name: string, chosen: string) =>
  chosen.startsWith(name) ? `readonly ${chosen}` : `readonly ${name}?: never`;

function operatingPointType({ measuredOn, exits, networks }: Manifest): Statement {
  const latency = 'on the machine that compiled, one sample a run; null when not measured.';
  return record('OperatingPoint', `Thresholds, and what they did on the ${measuredOn} data.`, [
    field('thresholds', 'Thresholds', 'One an exit.'),
    field('accuracy', 'number', 'Share of samples answered rightly.'),
    field('agreement', 'number', 'Share of samples answered as the original model does.'),
    field(
      'relativeCost',
      'number',
      `Mean MACs a sample as a share of the original model, every executed ${networks ? 'network and head' : 'head'} counted.`,
    ),
    field(
      'exitShares',
      'readonly number[]',
      `Share of samples that left at each exit, [${exits.length + 1}], ${networks ? 'those that the original answered' : 'the full path'} last.`,
    ),
    field('latencyMsP50', 'number | null', `Median milliseconds ${latency}`),
    field(
      'latencyMsMean',
      'number | null',
      `Mean over samples of the least milliseconds that each took in a few runs, ${latency}`,
    ),
  ]);
}

const SCORES: Record<Activation, string> = {
  none: 'Logits',
  softmax: 'Probabilities',
  'log-softmax': 'Log-probabilities',
  'scaled-softmax': 'In proportion to the probabilities',
  sigmoid: 'Probability of class 1',
  logit: 'Logit of class 1',
};

const describeScores = ({ activation, classes }: Manifest) =>
  `${SCORES[activation]}, [${isOneScore(activation) ? 1 : classes}].`;

function inputType(manifest: Manifest): Statement {
  const { inputs, batch } = manifest;
  const pictures = pictureInput(manifest);
  const typeOf = (input: ManifestInput) =>
    `${arrayType(input.dataType)} | Ort.Tensor${input === pictures?.input ? ` | ${picturesType(batch)}` : ''}`;
  const docOf = (input: ManifestInput) =>
    `the elements of [${input.dims.join(', ')}] ${tensorType(input.dataType)} in row-major order, a tensor${
      input === pictures?.input ? ', or pictures' : ''
    }.`;
  const what = batch === 'dynamic' ? 'N samples' : 'One sample';
  const [only] = inputs;
  if (inputs.length === 1) return alias('Input', typeOf(only!), `${what}: ${docOf(only!)}`);
  return record(
    'Input',
    `${what}.`,
    inputs.map((input) => {
      const doc = docOf(input);
      return field(propertyName(input.name), typeOf(input), doc[0]!.toUpperCase() + doc.slice(1));
    }),
  );
}

/** The manifest's session options in onnxruntime's words. */
function ortOptions({ sessionOptions: { provider, threads, optimization, spinning } }: Manifest): object {
  return {
    executionProviders: [provider],
    ...(threads === null ? {} : { intraOpNumThreads: threads }),
    graphOptimizationLevel: optimization,
    logSeverityLevel: 3,
    extra: { session: { intra_op: { allow_spinning: spinning ? '1' : '0' } } },
  };
}
