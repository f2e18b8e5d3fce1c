/** package.json and README.md of the generated package. */
import type { Manifest } from './manifest.ts';
import { commentText, propertyName, quoted } from './names.ts';
import { arrayType } from './tensor-types.ts';

/** `dataFiles`: external data of model.onnx, which are packed with it. heads.onnx is for Offramp alone and is not. */
export function printPackageJson(
  { source, exits, environment }: Manifest,
  name: string,
  dataFiles: readonly string[],
): string {
  const runtime = `^${environment.onnxruntime}`;
  const content = {
    name,
    version: '1.0.0',
    description: `${source.file} with ${exits.length === 1 ? 'an early exit' : `${exits.length} early exits`}`,
    type: 'module',
    sideEffects: false,
    exports: {
      '.': { types: './index.d.ts', default: './index.js' },
      './model.onnx': './model.onnx',
      './manifest.json': './manifest.json',
      './package.json': './package.json',
    },
    files: ['index.ts', 'index.js', 'index.d.ts', 'model.onnx', ...dataFiles, 'manifest.json'],
    peerDependencies: { 'onnxruntime-common': runtime, 'onnxruntime-node': runtime },
    peerDependenciesMeta: { 'onnxruntime-node': { optional: true } },
  };
  return `${JSON.stringify(content, null, 2)}\n`;
}

export function printReadme(manifest: Manifest, name: string, className: string): string {
  const { source, exits, measuredOn, baseline, version, labels, outputs } = manifest;
  const baked = outputs.thresholds === null;
  return `\
# ${name}

${commentText(source.file)} with ${exits.length === 1 ? 'an early exit' : `${exits.length} early exits`}, compiled by Offramp ${commentText(version)}. Easy samples leave early and cost less.

    npm install path/to/this/folder onnxruntime-node

\`\`\`js
import * as ort from 'onnxruntime-node';
import { ${className} } from ${quoted(name)};

const model = await ${className}.load(ort);
${exampleInput(manifest)}
for (const r of await model.classify(input${baked ? '' : `, { at: ${quoted(manifest.defaultPoint)} }`})) {
  console.log(${labels ? 'r.label' : 'r.index'}, r.probability, r.exitId, r.relativeCost);
}
await model.release();
\`\`\`

${baked ? 'The thresholds are baked into the model.' : 'Operating points, by name for `at`;'} measured on the ${measuredOn} data:

| point | accuracy | agreement with the original | relative cost |
|---|---|---|---|
${pointRows(manifest)}| original model | ${percent(baseline.accuracy)} | | 1.000 |
`;
}

function pointRows({ operatingPoints, outputs, defaultPoint }: Manifest): string {
  return operatingPoints
    .filter(({ name }) => outputs.thresholds !== null || name === defaultPoint)
    .map((point) => {
      const cells = [percent(point.accuracy), percent(point.agreement), point.relativeCost.toFixed(3)];
      return `| ${commentText(point.name).replaceAll('|', '\\|')} | ${cells.join(' | ')} |\n`;
    })
    .join('');
}

const percent = (share: number) => `${(100 * share).toFixed(2)} %`;

/** A line that makes an input of one all-zero sample. */
function exampleInput({ inputs }: Manifest): string {
  const zeros = inputs.map(({ name, dataType, dims }) => {
    const size = dims.reduce<number>((n, d) => (d === 'N' ? n : n * d), 1);
    const value = dataType === 'string' ? `Array(${size}).fill('')` : `new ${arrayType(dataType)}(${size})`;
    return [name, value, dims] as const;
  });
  const [only] = zeros;
  const shapes = zeros.map(([, , dims]) => `[${dims.join(', ')}]`).join(', ');
  return zeros.length === 1
    ? `const input = ${only![1]}; // one sample of ${shapes}`
    : `const input = { ${zeros.map(([name, value]) => `${propertyName(name)}: ${value}`).join(', ')} }; // ${shapes}`;
}
