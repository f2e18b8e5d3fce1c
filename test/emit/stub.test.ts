import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { ts } from 'ts-morph';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { classNameOf } from '../../src/emit/class-name.ts';
import type { Manifest } from '../../src/emit/manifest.ts';
import { printManifest, readManifest } from '../../src/emit/manifest-json.ts';
import { packageNameOf, quoted } from '../../src/emit/names.ts';
import { emitPackage, emitStub } from '../../src/emit/stub.ts';
import type { OfframpError } from '../../src/errors/index.ts';
import { goldenCase } from '../golden.ts';
import { CHAIN, SAMPLE, sampleExits, samplePoint, unlabelled } from './sample.ts';
import { parts } from './split-parts.ts';

const test = suite('emit: stub');
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** The package made from what is read back of the printed manifest, which is what `offramp emit` has. */
function emitted(manifest: Manifest, only?: readonly string[]): Map<string, string> {
  const text = printManifest(manifest);
  const files = new Map([['manifest.json', text], ...emitPackage(readManifest(text))]);
  return new Map([...files].filter(([name]) => !only || only.includes(name)));
}

test('images, labels, dynamic batch: the whole package', () => {
  const latencies = [0.61, 0.9, 1.25];
  const operatingPoints = SAMPLE.operatingPoints.map((point, i) => ({
    ...point,
    latencyMsP50: latencies[i]!,
    latencyMsMean: latencies[i]! + 0.125,
  }));
  goldenCase('stub-image-labels', emitted({ ...SAMPLE, operatingPoints }));
});

test('the version is of the content', () => {
  const versionOf = (manifest: Manifest) => JSON.parse(emitted(manifest).get('package.json')!).version;
  assert.match(versionOf(SAMPLE), /^1\.0\.0\+[0-9a-f]{12}$/);
  assert.is(versionOf({ ...SAMPLE }), versionOf(SAMPLE));
  const other = { ...SAMPLE, baseline: { ...SAMPLE.baseline, accuracy: 0.5 } };
  assert.is.not(versionOf(other), versionOf(SAMPLE));
  const slower = { ...SAMPLE, baseline: { ...SAMPLE.baseline, latencyMsP50: 7, latencyMsMean: 9 } };
  assert.is(versionOf(slower), versionOf(SAMPLE), 'the same run has the same version');
});

test('plain tensor, no labels, one exit, probabilities', () => {
  const manifest: Manifest = {
    ...unlabelled(SAMPLE),
    source: { ...SAMPLE.source, file: '2nd-try_kws.v3.onnx', producer: '' },
    classes: 12,
    inputs: [{ name: 'input.1', dataType: 'double', dims: ['N', 1960] }],
    outputs: { ...SAMPLE.outputs, scores: 'labels_softmax' },
    activation: 'softmax',
    preprocessing: { scale: 1, mean: [0], std: [1], layout: 'flat', channels: 'any' },
    exits: sampleExits(1),
    operatingPoints: [samplePoint('budget 0.6', [0.123456789], 0.6), samplePoint('exact', [1], 1)],
    defaultPoint: 'budget 0.6',
    measuredOn: 'calibration',
    latency: null,
    sessionOptions: { provider: 'cpu', threads: 1, spinning: true, optimization: 'extended' },
  };
  goldenCase('stub-tensor-one-exit', emitted(manifest, ['manifest.json', 'index.ts', 'README.md']));
});

test('gray images, fixed batch, many exits', () => {
  const thresholds = [0.9, 0.8, 1, 0.6, 0.5];
  const manifest: Manifest = {
    ...unlabelled(SAMPLE),
    source: { ...SAMPLE.source, file: 'result.onnx' },
    classes: 10,
    inputs: [{ name: 'image', dataType: 'float', dims: [1, 1, 28, 28] }],
    batch: 'fixed',
    preprocessing: { scale: 255, mean: [0.1307], std: [0.3081], layout: 'NCHW', channels: 'gray' },
    exits: sampleExits(5),
    operatingPoints: [samplePoint('balanced', thresholds, 0.6)],
  };
  goldenCase('stub-fixed-gray', emitted(manifest, ['manifest.json', 'index.ts']));
});

test('baked thresholds, channels last and blue first', () => {
  const manifest: Manifest = {
    ...SAMPLE,
    inputs: [{ name: 'pixels', dataType: 'float', dims: ['N', 4, 2, 3] }],
    outputs: { ...SAMPLE.outputs, thresholds: null },
    activation: 'log-softmax',
    preprocessing: {
      scale: 1,
      mean: [103.5, 116.25, 123.675],
      std: [1, 1, 1],
      layout: 'NHWC',
      channels: 'bgr',
    },
  };
  goldenCase('stub-baked', emitted(manifest, ['manifest.json', 'index.ts', 'README.md']));
});

test('several inputs, float16 scores, names that need care', () => {
  const manifest: Manifest = {
    ...SAMPLE,
    source: { ...SAMPLE.source, file: "a b's\nmodel.onnx" },
    labels: ['__proto__', 'back\\slash', 'two\nlines'],
    inputs: [
      { name: 'input_ids', dataType: 'int64', dims: ['N', 16] },
      { name: "attention'mask", dataType: 'bool', dims: ['N', 16] },
      { name: '__proto__', dataType: 'float16', dims: [4] },
    ],
    outputs: { ...SAMPLE.outputs, dataType: 'float16' },
    dataFiles: ["it's weights.bin"],
    preprocessing: null,
    operatingPoints: [samplePoint('*/|', [0.5, 0.5], 0.7)],
    defaultPoint: '*/|',
  };
  goldenCase('stub-several-inputs', emitted(manifest, ['manifest.json', 'index.ts', 'README.md']));
});

test('texts, by the tokenizer beside the model', () => {
  const manifest: Manifest = {
    ...SAMPLE,
    source: { ...SAMPLE.source, file: 'mood.onnx' },
    inputs: ['input_ids', 'attention_mask'].map((name) => ({ name, dataType: 'int64', dims: ['N', 16] })),
    tokenizer: { sha256: '7e'.repeat(32) },
    preprocessing: null,
  };
  goldenCase('stub-texts', emitted(manifest, ['manifest.json', 'index.ts', 'package.json', 'README.md']));
});

test('a chain of networks: which one answered, what each costs, and which was left out', () => {
  goldenCase('stub-chain', emitted(CHAIN, ['manifest.json', 'index.ts', 'package.json', 'README.md']));
});

test('the client of a split: who answered, what is sent, how the server is asked', () => {
  const { manifest } = parts({ state: true, feature: 'int8' });
  const shown = ['manifest.json', 'index.ts', 'index.d.ts', 'README.md', 'package.json'];
  goldenCase('stub-split', emitted(manifest, shown));
});

test('a split that does not fit its manifest is refused by name', () => {
  const { manifest } = parts();
  const split = manifest.split!;
  const refused = (changed: Partial<Manifest>) => {
    try {
      emitPackage({ ...manifest, ...changed });
    } catch (error) {
      return (error as Error).message;
    }
    return 'nothing was thrown';
  };
  const with_ = (changed: Partial<typeof split>) => refused({ split: { ...split, ...changed } });
  assert.match(with_({ after: 'exit_9' }), 'split.after names no exit: "exit_9"');
  assert.match(
    with_({ models: { ...split.models, quick: 'x' } }),
    'split.models names no operating point: "quick"',
  );
  const { fast } = split.models;
  assert.match(
    with_({ models: { fast: fast! } }),
    'split.models has no model for the default point "balanced"',
  );
  const input = { name: 'sound', dataType: 'float', dims: ['N', 3], role: 'input' } as const;
  assert.match(with_({ sends: [input] }), 'split.sends[0] names no input: "sound"');
  const { resize: _, ...rest } = manifest.preprocessing!;
  const flat = { ...rest, channels: 'any', layout: 'flat' } as const;
  assert.match(
    refused({ preprocessing: flat }),
    'split.sends[0] sends pixels of "pixels", an input that takes no pictures',
  );
  assert.match(refused({ outputs: { ...manifest.outputs, thresholds: null } }), 'outputs.thresholds is null');
});

test('a split has the operating points that something is served for', () => {
  const { manifest } = parts();
  const { fast: _, ...models } = manifest.split!.models;
  const files = emitPackage({ ...manifest, split: { ...manifest.split!, models } });
  assert.match(files.get('index.ts')!, "export type OperatingPointName = 'balanced' | 'exact';");
  assert.not.match(files.get('README.md')!, '| fast |');
});

test('the same manifest gives the same bytes', () => {
  assert.equal([...emitPackage(SAMPLE)], [...emitPackage(structuredClone(SAMPLE))]);
  for (const [name, text] of emitPackage(SAMPLE)) assert.not(text.includes('\r'), name);
});

const CASES = [
  'image-labels',
  'tensor-one-exit',
  'fixed-gray',
  'baked',
  'several-inputs',
  'texts',
  'chain',
  'split',
];

test('golden stubs and their use pass strict tsc, in Node and in the browser; declarations need no types of Node', async () => {
  const sources = CASES.map((name) => `golden/stub-${name}/index.ts`);
  await Promise.all([
    tsc(['--types', 'node', ...sources, 'test/emit/stub-usage.ts']),
    tsc(['--types', '', '--lib', 'es2022,dom', ...sources, 'test/emit/stub-browser-usage.ts']),
    tsc(['--types', '', '--lib', 'es2022,dom', 'golden/stub-image-labels/index.d.ts']),
    tsc(['--types', '', '--lib', 'es2022,dom', 'golden/stub-split/index.d.ts']),
  ]);
});

test('no class can be named like something that generated code declares or uses', () => {
  for (const name of CASES) {
    const text = readFileSync(join(ROOT, `golden/stub-${name}/index.ts`), 'utf8');
    const source = ts.createSourceFile('index.ts', text, ts.ScriptTarget.Latest, true);
    const own = source.statements.find(ts.isClassDeclaration)!.name!.text;
    const names = new Set<string>();
    const visit = (node: ts.Node): void => {
      if (ts.isIdentifier(node) && isReference(node) && /^[A-Z]/.test(node.text)) names.add(node.text);
      ts.forEachChild(node, visit);
    };
    visit(source);
    names.delete(own);
    for (const className of names)
      assert.throws(() => emitPackage(SAMPLE, { className }), isBadName, className);
  }
});

const isReference = ({ parent, text }: ts.Identifier) =>
  !(ts.isPropertyAccessExpression(parent) && parent.name.text === text) &&
  !(ts.isQualifiedName(parent) && parent.right.text === text);
const isBadName = (error: OfframpError) => error.code === 'bad-class-name';

test('a bundle for the browser needs nothing of Node', async () => {
  const { warnings, outputFiles } = await build({
    absWorkingDir: ROOT,
    stdin: {
      contents: "export { Pets } from './golden/stub-image-labels/index.js';",
      resolveDir: ROOT,
    },
    bundle: true,
    format: 'esm',
    platform: 'browser',
    write: false,
    logLevel: 'silent',
  });
  assert.equal(warnings, []);
  const { text } = outputFiles[0]!;
  assert.match(text, /new URL\("\.\/model\.onnx", import\.meta\.url\)/);
  assert.not.match(text, /\bimport\s*[({*]|\brequire\(/);
});

test('the one file finds the model in the folder that it is told', () => {
  assert.is(emitStub(SAMPLE, '.'), emitPackage(SAMPLE).get('index.ts'));
  const elsewhere = emitStub({ ...SAMPLE, dataFiles: ['w.bin'] }, '../out');
  assert.match(elsewhere, "file: () => new URL('../out/model.onnx', import.meta.url)");
  assert.match(elsewhere, "data: () => ({ 'w.bin': new URL('../out/w.bin', import.meta.url) })");
});

async function tsc(args: readonly string[]): Promise<void> {
  const flags =
    `--ignoreConfig --noEmit --strict --exactOptionalPropertyTypes --noUncheckedIndexedAccess --verbatimModuleSyntax
    --isolatedModules --noUnusedLocals --noUnusedParameters --noImplicitOverride --noImplicitReturns --target es2022
    --module nodenext --skipLibCheck --allowImportingTsExtensions`.split(/\s+/);
  const command = ['node_modules/typescript/bin/tsc', ...flags, ...args];
  await promisify(execFile)(process.execPath, command, { cwd: ROOT }).catch((error) => {
    throw new Error(`tsc: ${error.stdout}${error.stderr}`);
  });
}

test('names of classes and packages', () => {
  assert.is(classNameOf('resnet56.onnx'), 'Resnet56');
  assert.is(classNameOf('my-net_v2.1.onnx'), 'MyNetV21');
  assert.is(classNameOf('3d.onnx'), 'Model3d');
  assert.is(classNameOf('.onnx'), 'Model');
  assert.is(classNameOf('promise.onnx'), 'PromiseModel');
  assert.is(classNameOf('größe.onnx'), 'Größe');
  assert.is(packageNameOf('My Net.v2.onnx'), 'my-net-v2');
  assert.is(packageNameOf('模型.onnx'), 'model');
  assert.is(quoted('it\'s \\ "so"\u2028\\'), "'it\\'s \\\\ \"so\"\\u2028\\x5c'");
});

test('options name the package and the class; a bad class name is refused', () => {
  const files = emitPackage(SAMPLE, { name: '@me/pets', className: 'PetNet' });
  assert.match(files.get('index.ts')!, 'export class PetNet {');
  assert.is(JSON.parse(files.get('package.json')!).name, '@me/pets');
  const named = emitPackage({ ...SAMPLE, name: '@me/small-pets.v2' });
  assert.match(named.get('index.ts')!, 'export class SmallPetsV2 {');
  assert.match(named.get('README.md')!, "import { SmallPetsV2 } from '@me/small-pets.v2';");
  assert.is(JSON.parse(named.get('package.json')!).name, '@me/small-pets.v2');
  for (const className of ['petNet', 'Pet-Net', '', 'Result', '1Net']) {
    assert.throws(() => emitPackage(SAMPLE, { className }), isBadName, className);
  }
});

test.run();
