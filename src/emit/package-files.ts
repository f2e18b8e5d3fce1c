/** package.json and README.md of the generated package. */
import { createHash } from 'node:crypto';
import { countExits, inWords, networkName, networkNames, titleOf } from './chain-words.ts';
import { TOKENIZER_FILE } from './file-names.ts';
import type { Manifest } from './manifest.ts';
import { printManifest, shortestFloat32 } from './manifest-json.ts';
import { printFrontMatter } from './model-card.ts';
import { markdownCode, markdownText, propertyName, quoted } from './names.ts';
import { otherLanguages } from './snippets.ts';
import { pictureInput } from './stub-pictures.ts';
import { describeServer, EXAMPLE_SERVER, servedPoints, splitOf } from './stub-split.ts';
import { arrayType, tensorType } from './tensor-types.ts';

/** Of the package; all generated from manifest.json. */
const CODE_FILES = ['index.ts', 'index.js', 'index.d.ts', 'index.cjs', 'index.d.cts'];

/** Hex digits that differ where packages do by more than what a clock said: manifest.json has the hash of the model. */
function contentOf(manifest: Manifest): string {
  const timeless = JSON.parse(printManifest(manifest), (key, value) =>
    key.startsWith('latency') ? undefined : value,
  );
  return createHash('sha256').update(JSON.stringify(timeless)).digest('hex').slice(0, 12);
}

/** External data of model.onnx, and a tokenizer, are packed with it. */
export function printPackageJson(manifest: Manifest, name: string): string {
  const { environment, dataFiles: weights = [], tokenizer } = manifest;
  const dataFiles = [...weights, ...(tokenizer ? [TOKENIZER_FILE] : [])];
  const runtime = `^${environment.onnxruntime}`;
  const content = {
    name,
    // npm takes a folder of the version that it has for the same package, whatever is in it.
    version: `1.0.0+${contentOf(manifest)}`,
    description: titleOf(manifest),
    type: 'module',
    sideEffects: false,
    // The oldest where `require` takes an ES module.
    engines: { node: '>=20.19' },
    exports: {
      '.': {
        import: { types: './index.d.ts', default: './index.js' },
        require: { types: './index.d.cts', default: './index.cjs' },
      },
      './model.onnx': './model.onnx',
      './manifest.json': './manifest.json',
      './package.json': './package.json',
      ...Object.fromEntries(dataFiles.map((file) => [`./${file}`, `./${file}`])),
    },
    files: [...CODE_FILES, 'model.onnx', ...dataFiles, 'manifest.json'],
    peerDependencies: {
      'onnxruntime-common': runtime,
      'onnxruntime-node': runtime,
      'onnxruntime-web': runtime,
      ...(tokenizer && { '@huggingface/tokenizers': '^0.2.0' }),
    },
    peerDependenciesMeta: {
      'onnxruntime-node': { optional: true },
      'onnxruntime-web': { optional: true },
      ...(tokenizer && { '@huggingface/tokenizers': { optional: true } }),
    },
  };
  return `${JSON.stringify(content, null, 2)}\n`;
}

export function printReadme(manifest: Manifest, name: string, className: string): string {
  const { networks, measuredOn, baseline, version, labels, outputs, defaultPoint, tokenizer } = manifest;
  const baked = outputs.thresholds === null;
  const asked = baked ? '' : `, { at: ${quoted(defaultPoint)} }`;
  const pictures = pictureInput(manifest);
  const single = manifest.inputs.length === 1;
  const imported = tokenizer ? `${className}, textEncoder` : className;
  const texts = tokenizer
    ? `\nimport { Tokenizer } from '@huggingface/tokenizers';\nimport tokenizer from ${quoted(`${name}/${TOKENIZER_FILE}`)} with { type: 'json' };`
    : '';
  const installed = tokenizer ? ' @huggingface/tokenizers' : '';
  const split = splitOf(manifest);
  const server = split ? `, { server: ${quoted(EXAMPLE_SERVER)} }` : '';
  const shown = `${split ? 'r.where, ' : ''}${labels ? 'r.label' : 'r.index'}, r.probability, ${networks ? 'r.network' : 'r.exitId'}, r.relativeCost`;
  return `\
${printFrontMatter(manifest, name)}
# ${name}

${describeModel(manifest)}, compiled by Offramp ${markdownText(version)}. ${networks ? 'Easy samples are answered by the first networks and cost less.' : 'Easy samples leave early and cost less.'}

In the folder of your app, once, so that npm copies this folder instead of linking to it, now and whenever it installs something else:

\`\`\`sh
npm config set install-links true --location project
\`\`\`

In Node, after \`npm install path/to/this/folder onnxruntime-node${installed}\` (where only npm's registry can be reached, with \`ONNXRUNTIME_NODE_INSTALL=skip\` before it):

\`\`\`js
import * as ort from 'onnxruntime-node';
import { ${imported} } from ${quoted(name)};${texts}

const model = await ${className}.load(ort${server});
${exampleInput(manifest)}
for (const r of await model.classify(input${asked})) {
  console.log(${shown});
}
await model.release();
\`\`\`

In a browser, after \`npm install path/to/this/folder onnxruntime-web${installed}\`, through any bundler that knows \`new URL(…, import.meta.url)\`, as
Vite and webpack do; for esbuild and Web Workers, docs/build-steps.md of onnx-offramp says what to write:

\`\`\`js
import * as ort from 'onnxruntime-web/wasm'; // the WebAssembly backend alone
import { ${imported} } from ${quoted(name)};${texts}

const model = await ${className}.load(ort${server}); // ${split ? "or with url: '/models/model.onnx'" : "or (ort, { url: '/models/model.onnx' })"}
${
  pictures && single
    ? `const canvas = document.querySelector('canvas');
const input = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);`
    : exampleInput(manifest)
}
const [r] = await model.classify(input${asked});
console.log(${shown});
\`\`\`

${split ? describeServer(split) : ''}${describeNetworks(manifest)}${describeInput(manifest)}
${describeDropped(manifest)}
${baked ? `The thresholds are baked into the model. Measured on the ${measuredOn} data:` : `How eagerly samples leave is said by each call: ${markdownCode(`{ at: ${quoted(defaultPoint)} }`)}, \`{ budget: ${exampleBudget(manifest)} }\` (the dearest point that costs at most that) or \`{ thresholds: [${exampleThresholds(manifest).join(', ')}] }\`. Operating points, measured on the ${measuredOn} data:`}

| point | accuracy | agreement with the original | relative cost |
|---|---|---|---|
${pointRows(manifest)}${aloneRows(manifest)}| original model${networks ? ' alone' : ''} | ${percent(baseline.accuracy)} | | 1.000 |

\`model.statistics\` counts where samples left: \`counts\`, \`meanRelativeCost\`, and, after 1,000 samples, \`drift\`: \`drift?.alarm\` says that the last 1,000 no
longer leave where they did on the ${measuredOn} data. It never throws.
${
  baked
    ? ''
    : `\`model.governor({ targetRelativeCost: ${exampleBudget(manifest)} })\` or \`({ targetLatencyMs: 2 })\` has a \`classify(input)\` that moves along the operating points so that the
moving average meets the target, within \`fastest\` and \`slowest\` where you name them.
`
}
Calls may overlap: they run one after another. \`release()\` frees the session when those made before it are done.
\`load\` also takes \`{ path }\`, \`{ bytes }\` and \`sessionOptions\`.
${split ? '' : otherLanguages(manifest)}`;
}

/** One model with its exits, or a chain. */
const describeModel = (manifest: Manifest): string =>
  manifest.networks
    ? `A chain of ${inWords(networkNames(manifest).map(markdownText))}`
    : `${markdownText(manifest.source.file)} with ${countExits(manifest)}`;

/** The networks of a chain, what each costs, and where it answers. */
function describeNetworks(manifest: Manifest): string {
  const { networks, exits, leftOut = [] } = manifest;
  if (!networks) return '';
  const rows = networks.map(({ id, relativeCost }, n) => {
    const own = exits.filter(({ network }) => network === n).map((exit) => markdownCode(exit.id));
    const answers = [...own, ...(n === networks.length - 1 ? ['`full`'] : [])].join(', ');
    return `| ${markdownCode(id)} | ${markdownText(networks[n]!.file)} | ${relativeCost.toFixed(3)} | ${answers} |\n`;
  });
  const gone = leftOut.map(({ file }) => markdownText(file));
  const unused = gone.length === 0 ? '' : `\nNot in it: ${inWords(gone)}, which no operating point uses.\n`;
  return `Networks are run in this order, each for the samples that those before it are not sure of. A result says by \`network\` which one answered,
by \`exitId\` where in it.

| network | file | cost relative to the original | exits |
|---|---|---|---|
${rows.join('')}${unused}
`;
}

/** What networks in front are worth by themselves, where it was measured. */
const aloneRows = (manifest: Manifest): string =>
  (manifest.networks ?? [])
    .slice(0, -1)
    .map(({ accuracy, relativeCost }, n) =>
      accuracy === undefined
        ? ''
        : `| ${markdownText(networkName(manifest, n))} alone | ${percent(accuracy)} | | ${relativeCost.toFixed(3)} |\n`,
    )
    .join('');

/** Behind a split only those of a point can be asked for. */
function exampleThresholds({ exits, split, operatingPoints, defaultPoint }: Manifest): number[] {
  const { thresholds } = operatingPoints.find(({ name }) => name === defaultPoint)!;
  const free = split ? exits.findIndex(({ id }) => id === split.after) + 1 : exits.length;
  return exits.map((_, k) => (k < free ? 0.9 : shortestFloat32(thresholds[k]!)));
}

/** One that the default point keeps. */
function exampleBudget({ operatingPoints, defaultPoint }: Manifest): number {
  const { relativeCost } = operatingPoints.find(({ name }) => name === defaultPoint)!;
  return Math.ceil(100 * relativeCost) / 100;
}

function describeInput(manifest: Manifest): string {
  const { inputs, batch, preprocessing } = manifest;
  const pictures = pictureInput(manifest);
  const many = batch === 'dynamic' ? 'any number of samples' : 'one sample';
  const arrays = `Inputs are typed arrays or tensors of ${many}: ${inputs.map(({ name, dataType, dims }) => `${markdownCode(name)} ${tensorType(dataType)} [${dims.join(', ')}]`).join(', ')}.`;
  if (manifest.tokenizer)
    return `${arrays}
\`textEncoder\` makes them of texts as when the model was compiled: cut, padded, and with special tokens, which \`Tokenizer\` alone does not do.`;
  if (!pictures) return arrays;
  const size = `${pictures.width} x ${pictures.height} pixels`;
  const resize = preprocessing!.resize;
  return `${arrays}
${inputs.length === 1 ? 'The input' : markdownCode(pictures.input.name)} may also be ${batch === 'dynamic' ? 'a picture or a list of pictures' : 'a picture'}, \`{ data, width, height }\` with 8-bit RGBA, RGB or gray: an \`ImageData\`, or what
sharp's \`raw()\` gives. They are ${resize ? `brought to ${size} (${resizeWords(resize)}) and normalised` : `of ${size}, and normalised`} as when the model was compiled.`;
}

/** How pictures are fitted, in words. */
function resizeWords(resize: string): string {
  const [side, length] = resize.split(':');
  if (length !== undefined)
    return `the ${side === 'shortest' ? 'shorter' : 'longer'} side at ${length}, then the centre cut out`;
  return /^\d/.test(resize) ? `at ${resize.replace('x', ' x ')}, then the centre cut out` : resize;
}

function describeDropped({ source, outputs: { dropped = [] } }: Manifest): string {
  if (dropped.length === 0) return '';
  const [outputs, them] = dropped.length === 1 ? ['output', 'it'] : ['outputs', 'them'];
  const names = dropped.map(markdownCode).join(', ');
  return `Of ${markdownText(source.file)} it lacks the ${outputs} ${names}: samples that leave early do not compute ${them}.\n`;
}

function pointRows({ operatingPoints, outputs, defaultPoint, split }: Manifest): string {
  return servedPoints(operatingPoints, split)
    .filter(({ name }) => outputs.thresholds !== null || name === defaultPoint)
    .map((point) => {
      const cells = [percent(point.accuracy), percent(point.agreement), point.relativeCost.toFixed(3)];
      return `| ${markdownText(point.name)} | ${cells.join(' | ')} |\n`;
    })
    .join('');
}

const percent = (share: number) => `${(100 * share).toFixed(2)} %`;

/** What makes an input of a text, or of one all-zero sample. */
function exampleInput(manifest: Manifest): string {
  if (manifest.tokenizer)
    return `const encode = textEncoder(Tokenizer, tokenizer);
const input = encode('a text to classify'${manifest.batch === 'dynamic' ? ", 'another'" : ''}); // a pair of texts is a list of two`;
  const pictures = pictureInput(manifest);
  const { inputs } = manifest;
  const zeros = inputs.map((input) => {
    const { name, dataType, dims } = input;
    const size = dims.reduce<number>((n, d) => (d === 'N' ? n : n * d), 1);
    const { width, height } = pictures ?? {};
    const value =
      input === pictures?.input
        ? `{ data: new Uint8Array(${4 * width! * height!}), width: ${width}, height: ${height} }`
        : dataType === 'string'
          ? `Array(${size}).fill('')`
          : `new ${arrayType(dataType)}(${size})`;
    return [name, value, input === pictures?.input ? 'RGBA' : `[${dims.join(', ')}]`] as const;
  });
  const [only] = zeros;
  const shapes = zeros.map(([, , shape]) => shape).join(', ');
  return zeros.length === 1
    ? `const input = ${only![1]}; // one sample, ${shapes}`
    : `const input = { ${zeros.map(([name, value]) => `${propertyName(name)}: ${value}`).join(', ')} }; // ${shapes}`;
}
