/** The statements of the generated index.ts, in the order a reader meets them: tables, types, the class, functions. */
import {
  type PropertySignatureStructure,
  type StatementStructures,
  StructureKind,
  VariableDeclarationKind,
} from 'ts-morph';
import type { Manifest, OperatingPoint } from './manifest.ts';
import { shortestFloat32 } from './manifest.ts';
import { commentText, literal, propertyName, quoted, table } from './names.ts';
import { modelClass } from './stub-class.ts';
import { helperFunctions } from './stub-functions.ts';
import { pixelStatements } from './stub-pixels.ts';
import { arrayType, tensorType } from './tensor-types.ts';

export type Statement = StatementStructures | string;

/** Everything below the file's header. */
export function stubStatements(manifest: Manifest, className: string): Statement[] {
  return [
    {
      kind: StructureKind.ImportDeclaration,
      isTypeOnly: true,
      namespaceImport: 'Ort',
      moduleSpecifier: 'onnxruntime-common',
    },
    ...tables(manifest),
    ...types(manifest, className),
    modelClass(manifest, className),
    ...pixelStatements(manifest),
    ...helperFunctions(manifest),
  ];
}

/** The operating points a caller meets: all, or the one that is baked in. */
function pointsOf({ operatingPoints, outputs, defaultPoint }: Manifest): readonly OperatingPoint[] {
  return outputs.thresholds === null
    ? operatingPoints.filter((p) => p.name === defaultPoint)
    : operatingPoints;
}

function tables(manifest: Manifest): Statement[] {
  const { labels, inputs, exits, baseline, batch, measuredOn, outputs } = manifest;
  const exitRows = exits.map(({ id, tap, prefixMacs, headMacs, relativeCost }) =>
    literal({ id, tap, prefixMacs, headMacs, relativeCost }),
  );
  const pointRows = pointsOf(manifest).map((point) => {
    // Latencies stay in the manifest: they differ from run to run, and this text must not.
    const { name, accuracy, agreement, relativeCost, exitShares } = point;
    const thresholds = point.thresholds.map(shortestFloat32);
    return [name, { thresholds, accuracy, agreement, relativeCost, exitShares }] as const;
  });
  return [
    ...(labels ? [constant('labels', list(labels.map(quoted)), 'Class names, by class index.')] : []),
    constant(
      'inputs',
      table(inputs.map(({ name, dataType, dims }) => [name, { type: tensorType(dataType), dims }])),
      `Inputs of the model.${batch === 'dynamic' ? ' N is the number of samples.' : ''}`,
    ),
    constant(
      'exits',
      list(exitRows),
      `Exits, in the order samples meet them. MACs are per sample; \`relativeCost\` is what a sample that leaves there has
       cost with every exit open, all executed heads counted, as a share of the original model.`,
    ),
    constant('fullMacs', String(baseline.macs), 'MACs a sample of the original model.', 'number'),
    constant(
      'operatingPoints',
      table(pointRows),
      `${outputs.thresholds === null ? 'The operating point that is baked into the model.' : 'Operating points, cheapest first.'}
       \`thresholds\` has one entry an exit: a sample leaves when its confidence is greater; 1 closes the exit.
       Accuracy, agreement with the original, mean relative cost and the share of samples leaving at each exit (the full
       path last) are fractions measured on the ${measuredOn} data.`,
    ),
    constant(
      'sessionOptions',
      literal(ortOptions(manifest)),
      'Session options that measured best.',
      'Ort.InferenceSession.SessionOptions',
    ),
  ];
}

function types(manifest: Manifest, className: string): Statement[] {
  const { labels, outputs, classes, exits } = manifest;
  const baked = outputs.thresholds === null;
  return [
    ...(labels ? [alias('Label', '(typeof labels)[number]', 'A class name.')] : []),
    alias('OperatingPointName', 'keyof typeof operatingPoints', 'Name of an operating point.'),
    alias(
      'ExitId',
      `${exits.map(({ id }) => quoted(id)).join(' | ')} | 'full'`,
      'Where a sample left; `full` is the whole model.',
    ),
    alias(
      'Runtime',
      "Pick<typeof Ort, 'InferenceSession' | 'Tensor'>",
      "The onnxruntime module: `import * as ort from 'onnxruntime-node'`.",
    ),
    inputType(manifest),
    record('ModelSource', 'Where the model comes from: `model.onnx` beside this module unless given.', [
      optional('path', 'string', 'Path of the model file.'),
      optional('bytes', 'Uint8Array', 'The model file itself.'),
      optional(
        'sessionOptions',
        'Ort.InferenceSession.SessionOptions',
        'Laid over the `sessionOptions` of this module.',
      ),
    ]),
    ...(baked
      ? []
      : [
          alias(
            'ClassifyOptions',
            '{ readonly at?: OperatingPointName; readonly thresholds?: never } | { readonly at?: never; readonly thresholds: readonly number[] }',
            `How eagerly samples leave: an operating point (\`${manifest.defaultPoint}\` by default), or ${exits.length} ${exits.length === 1 ? 'threshold' : 'thresholds, one an exit'}.`,
          ),
        ]),
    record('Result', `What ${className} says about one sample.`, [
      field('index', 'number', 'Class index.'),
      ...(labels ? [field('label', 'Label', 'Class name.')] : []),
      field('probability', 'number', 'Probability of the class, as the exit that answered sees it.'),
      field('exit', 'number', `Index of the exit taken; ${exits.length} is the whole model.`),
      field('exitId', 'ExitId', 'Name of the exit taken.'),
      field('confidence', 'number', 'The score that was compared with the threshold.'),
      field(
        'relativeCost',
        'number',
        'MACs spent on the sample as a share of the original model, every executed head counted.',
      ),
      field('scores', 'Float32Array', `${scoresName(manifest)}, [${classes}].`),
    ]),
  ];
}

function scoresName({ activation }: Manifest): string {
  return { none: 'Logits', softmax: 'Probabilities', 'log-softmax': 'Log-probabilities' }[activation];
}

function inputType({ inputs, batch }: Manifest): Statement {
  const shape = (dims: readonly unknown[]) => `[${dims.join(', ')}]`;
  const form = 'in row-major order, or a tensor';
  const one = inputs[0]!;
  if (inputs.length === 1) {
    const what = batch === 'dynamic' ? 'N samples' : 'One sample';
    return alias(
      'Input',
      `${arrayType(one.dataType)} | Ort.Tensor`,
      `${what}: the elements of ${shape(one.dims)} ${tensorType(one.dataType)} ${form}.`,
    );
  }
  return record(
    'Input',
    batch === 'dynamic' ? 'N samples.' : 'One sample.',
    inputs.map(({ name, dataType, dims }) =>
      field(
        propertyName(name),
        `${arrayType(dataType)} | Ort.Tensor`,
        `The elements of ${shape(dims)} ${tensorType(dataType)} ${form}.`,
      ),
    ),
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

const docs = (text: string): [string] => [commentLines(text)];

/** A doc comment's text; one of several lines starts on a line of its own. */
function commentLines(text: string): string {
  const lines = text.split('\n').map((line) => commentText(line.trim()));
  return lines.length > 1 ? `\n${lines.join('\n')}` : lines[0]!;
}

const list = (items: readonly string[]) => `[\n${items.map((item) => `  ${item},\n`).join('')}]`;

/** An exported constant; without a type its value is its type. */
function constant(name: string, value: string, doc: string, type?: string): Statement {
  const typed = type ? { type, initializer: value } : { initializer: `${value} as const` };
  return {
    kind: StructureKind.VariableStatement,
    isExported: true,
    declarationKind: VariableDeclarationKind.Const,
    declarations: [{ name, ...typed }],
    docs: docs(doc),
    leadingTrivia: '\n',
  };
}

const alias = (name: string, type: string, doc: string): Statement => ({
  kind: StructureKind.TypeAlias,
  isExported: true,
  name,
  type,
  docs: docs(doc),
  leadingTrivia: '\n',
});

const record = (name: string, doc: string, properties: PropertySignatureStructure[]): Statement => ({
  kind: StructureKind.Interface,
  isExported: true,
  name,
  properties,
  docs: docs(doc),
});

const field = (name: string, type: string, doc: string): PropertySignatureStructure => ({
  kind: StructureKind.PropertySignature,
  isReadonly: true,
  name,
  type,
  docs: docs(doc),
});

const optional = (name: string, type: string, doc: string): PropertySignatureStructure => ({
  ...field(name, type, doc),
  hasQuestionToken: true,
});
