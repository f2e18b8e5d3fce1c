/** How model.onnx is run without this package: in Python, C#, a plain web page, and whatever else has an ONNX Runtime. */
import type { DataType } from '../graph/types.ts';
import { inWords } from './chain-words.ts';
import type { Manifest } from './manifest.ts';
import { metadataOf } from './metadata.ts';
import { markdownCode, propertyName, quoted } from './names.ts';
import { arrayType, tensorType } from './tensor-types.ts';

/** Of each type that inputs may have: NumPy's, and C#'s. */
const TYPES: Readonly<Partial<Record<DataType, readonly [numpy: string, csharp: string]>>> = {
  float: ['float32', 'float'],
  float16: ['float16', 'Float16'],
  double: ['float64', 'double'],
  int8: ['int8', 'sbyte'],
  uint8: ['uint8', 'byte'],
  int16: ['int16', 'short'],
  uint16: ['uint16', 'ushort'],
  int32: ['int32', 'int'],
  uint32: ['uint32', 'uint'],
  int64: ['int64', 'long'],
  uint64: ['uint64', 'ulong'],
  bool: ['bool_', 'bool'],
};

/** A string of any of these languages: all know JSON's escapes. */
const text = (value: string) => JSON.stringify(value);

/** A section of the README; nothing where an input is of a type that it has no name for. */
export function otherLanguages(manifest: Manifest): string {
  if (manifest.inputs.some(({ dataType }) => !TYPES[dataType])) return '';
  return `
## Without this package

\`model.onnx\` is all that any ONNX Runtime needs${manifest.dataFiles ? ', with the files of its weights beside it' : ''}. Its metadata say, as JSON, what the manifest says: ${inWords([...metadataOf(manifest).keys()].map(markdownCode))}.

\`\`\`python
${python(manifest)}
\`\`\`

\`\`\`csharp
${csharp(manifest)}
\`\`\`

A web page without a build step; onnxruntime-web does not show metadata, but \`manifest.json\` says the same:

\`\`\`html
${webPage(manifest)}
\`\`\`
`;
}

const dimsOf = (dims: readonly (number | 'N')[]) => dims.map((dim) => (dim === 'N' ? 1 : dim));

function python({ inputs, outputs, defaultPoint }: Manifest): string {
  const feeds = inputs.map(({ name, dataType, dims }) => {
    const shape = dimsOf(dims);
    return `    ${text(name)}: np.zeros((${shape.join(', ')}${shape.length === 1 ? ',' : ''}), np.${TYPES[dataType]![0]}),`;
  });
  const chosen = outputs.thresholds && [
    `point = next(p for p in json.loads(told["offramp.operating_points"]) if p["name"] == ${text(defaultPoint)})`,
  ];
  return [
    'import json',
    'import numpy as np',
    'import onnxruntime as ort',
    '',
    'session = ort.InferenceSession("model.onnx")',
    'told = session.get_modelmeta().custom_metadata_map',
    ...(chosen || []),
    'feeds = {  # made as told["offramp.preprocessing"] says',
    ...feeds,
    ...(outputs.thresholds
      ? [`    ${text(outputs.thresholds)}: np.array(point["thresholds"], np.float32),`]
      : []),
    '}',
    `scores, exit_index = session.run([${text(outputs.scores)}, ${text(outputs.exitIndex)}], feeds)`,
    'print(scores.argmax(-1), exit_index)',
  ].join('\n');
}

function csharp({ inputs, outputs, defaultPoint }: Manifest): string {
  const feeds = inputs.map(({ name, dataType, dims }) => {
    const shape = dimsOf(dims);
    const values = `new ${TYPES[dataType]![1]}[${shape.join(' * ') || 1}]`;
    return `    [${text(name)}] = OrtValue.CreateTensorValueFromMemory(${values}, [${shape.join(', ')}]),`;
  });
  return [
    'using System.Text.Json;',
    'using Microsoft.ML.OnnxRuntime;',
    '',
    'using var session = new InferenceSession("model.onnx");',
    'var told = session.ModelMetadata.CustomMetadataMap;',
    ...(outputs.thresholds
      ? [
          'using var points = JsonDocument.Parse(told["offramp.operating_points"]);',
          `var point = points.RootElement.EnumerateArray().First(p => p.GetProperty("name").GetString() == ${text(defaultPoint)});`,
          'var thresholds = point.GetProperty("thresholds").EnumerateArray().Select(t => t.GetSingle()).ToArray();',
        ]
      : []),
    'var feeds = new Dictionary<string, OrtValue> // made as told["offramp.preprocessing"] says',
    '{',
    ...feeds,
    ...(outputs.thresholds
      ? [
          `    [${text(outputs.thresholds)}] = OrtValue.CreateTensorValueFromMemory(thresholds, [thresholds.Length]),`,
        ]
      : []),
    '};',
    `using var results = session.Run(new RunOptions(), feeds, [${text(outputs.scores)}, ${text(outputs.exitIndex)}]);`,
    `var scores = results[0].GetTensorDataAsSpan<${TYPES[outputs.dataType ?? 'float']![1]}>();`,
  ].join('\n');
}

/** In a page no string may end the script that it is in. */
const inPage = (literal: string) => literal.replaceAll('<', '\\x3c');

function webPage({ inputs, outputs, defaultPoint, dataFiles, environment }: Manifest): string {
  const runtime = `https://cdn.jsdelivr.net/npm/onnxruntime-web@${environment.onnxruntime}/dist/ort.wasm.bundle.min.mjs`;
  const { scores, exitIndex, thresholds } = outputs;
  const feeds = inputs.map(({ name, dataType, dims }) => {
    const shape = dimsOf(dims);
    const size = shape.reduce((product, dim) => product * dim, 1);
    return `    ${inPage(propertyName(name))}: new ort.Tensor('${tensorType(dataType)}', new ${arrayType(dataType)}(${size}), [${shape.join(', ')}]),`;
  });
  const chosen = thresholds && [
    "  const manifest = await (await fetch('manifest.json')).json();",
    `  const point = manifest.operatingPoints.find(({ name }) => name === ${inPage(quoted(defaultPoint))});`,
  ];
  const options = dataFiles
    ? `, { externalData: [${dataFiles.map((file) => inPage(quoted(file))).join(', ')}] }`
    : '';
  return [
    '<script type="module">',
    `  import * as ort from ${inPage(quoted(runtime))};`,
    '',
    ...(chosen || []),
    `  const session = await ort.InferenceSession.create('model.onnx'${options});`,
    '  const results = await session.run({ // inputs are made as `preprocessing` in manifest.json says',
    ...feeds,
    ...(thresholds
      ? [
          `    ${inPage(propertyName(thresholds))}: new ort.Tensor('float32', Float32Array.from(point.thresholds), [point.thresholds.length]),`,
        ]
      : []),
    '  });',
    `  console.log(results[${inPage(quoted(scores))}].data, results[${inPage(quoted(exitIndex))}].data);`,
    '</script>',
  ].join('\n');
}
