/** The generated class: loads a session, runs it, reads its outputs. */
import { type ClassDeclarationStructure, Scope, StructureKind } from 'ts-morph';
import type { Manifest } from './manifest.ts';
import { commentText, literal, propertyName, quoted } from './names.ts';

export function modelClass(manifest: Manifest, className: string): ClassDeclarationStructure {
  const { outputs, exits, classes, source } = manifest;
  const exitsSaid = exits.length === 1 ? 'an early exit' : `${exits.length} early exits`;
  return {
    kind: StructureKind.Class,
    isExported: true,
    name: className,
    docs: [`${commentText(source.file)} with ${exitsSaid}: a classifier of ${classes} classes.`],
    properties: [
      {
        name: 'operatingPoints',
        isReadonly: true,
        type: 'typeof operatingPoints',
        initializer: 'operatingPoints',
        docs: ["Same as the module's `operatingPoints`."],
      },
      { name: '#ort', isReadonly: true, type: 'Runtime' },
      { name: '#session', type: 'Ort.InferenceSession | undefined' },
    ],
    ctors: [
      {
        scope: Scope.Private,
        parameters: [
          { name: 'ort', type: 'Runtime' },
          { name: 'session', type: 'Ort.InferenceSession' },
        ],
        statements: ['this.#ort = ort;', 'this.#session = session;'],
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
        docs: ["Opens the model with `ort`, onnxruntime's module. Rejects when the file is not this model."],
        statements: loadBody(manifest, className),
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
        returnType: 'Promise<Result[]>',
        docs: [classifyDoc(manifest)],
        statements: classifyBody(manifest, className),
      },
      {
        name: 'release',
        isAsync: true,
        returnType: 'Promise<void>',
        docs: ['Frees the session; the model cannot be used afterwards.'],
        statements: [
          'const session = this.#session;',
          'this.#session = undefined;',
          'await session?.release();',
        ],
      },
    ],
  };
}

function classifyDoc({ batch }: Manifest): string {
  return batch === 'dynamic'
    ? 'One result a sample, in order. Throws a RangeError when the input is not a whole number of samples.'
    : 'The result of one sample, as a list. Throws a RangeError when the input is not exactly one sample.';
}

function loadBody({ inputs, outputs }: Manifest, className: string): string {
  const ins = [
    ...inputs.map(({ name }) => name),
    ...(outputs.thresholds === null ? [] : [outputs.thresholds]),
  ];
  return `\
const options = { ...sessionOptions, ...source.sessionOptions };
const session = source.bytes
  ? await ort.InferenceSession.create(source.bytes, options)
  : await ort.InferenceSession.create(source.path ?? (await modelFile()), options);
const missing = [
  ...${literal(ins)}.filter((name) => !session.inputNames.includes(name)),
  ...${literal(fetched(outputs))}.filter((name) => !session.outputNames.includes(name)),
];
if (missing.length > 0) {
  await session.release();
  throw new Error(\`this is not the model of ${className}: it has no \${missing.join(', ')}\`);
}
return new ${className}(ort, session);`;
}

function classifyBody(manifest: Manifest, className: string): string {
  const { inputs, outputs, classes, labels } = manifest;
  const { thresholds } = outputs;
  const single = inputs.length === 1;
  const feeds = inputs.map(({ name }) => {
    const value = single ? 'input' : `input[${quoted(name)}]`;
    return `  ${propertyName(name)}: toTensor(this.#ort, ${quoted(name)}, ${value}),\n`;
  });
  const limits =
    thresholds === null
      ? []
      : [
          `  ${propertyName(thresholds)}: new this.#ort.Tensor('float32', thresholds, [thresholds.length]),\n`,
        ];
  const scores =
    outputs.dataType === 'float16'
      ? `fromFloat16(dataOf(outputs, ${quoted(outputs.scores)}, 'float16'))`
      : `dataOf(outputs, ${quoted(outputs.scores)}, 'float32')`;
  return `\
if (!this.#session) throw new Error('this ${className} has been released');
${
  thresholds === null
    ? `const thresholds = operatingPoints${accessOf(manifest.defaultPoint)}.thresholds;`
    : 'const thresholds = thresholdsOf(options);'
}
const feeds = {
${[...feeds, ...limits].join('')}};
${single ? '' : 'checkBatch(feeds);\n'}\
const outputs = await this.#session.run(feeds, ${literal(fetched(outputs))});
const scores = ${scores};
const exitIndex = dataOf(outputs, ${quoted(outputs.exitIndex)}, 'int64');
const confidence = dataOf(outputs, ${quoted(outputs.exitConfidence)}, 'float32');
const costs = relativeCosts(thresholds);
return Array.from(exitIndex, (taken, n) => {
  const exit = Number(taken);
  const own = scores.slice(n * ${classes}, (n + 1) * ${classes});
  const index = indexOfLargest(own);
  return {
    index,
${labels ? '    label: labels[index]!,\n' : ''}\
    probability: probabilityOf(own, index),
    exit,
    exitId: exits[exit]?.id ?? 'full',
    confidence: confidence[n]!,
    relativeCost: costs[exit]!,
    scores: own,
  };
});`;
}

const fetched = ({ scores, exitIndex, exitConfidence }: Manifest['outputs']) => [
  scores,
  exitIndex,
  exitConfidence,
];

const accessOf = (name: string) => (/^[A-Za-z_$][\w$]*$/.test(name) ? `.${name}` : `[${quoted(name)}]`);
