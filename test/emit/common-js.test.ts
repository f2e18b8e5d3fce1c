/** A compiled package in a CommonJS program, as TypeScript checks it under `module: node16` and Node runs it. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { compile } from '../../src/commands/compile.ts';
import { tinyProject } from '../tiny-project.ts';

const MODULES = fileURLToPath(new URL('../../node_modules', import.meta.url));
const PROGRAM = `
import * as ort from 'onnxruntime-node';
import ByDefault, { type OperatingPointName, Pets, type Result, operatingPoints } from 'pets';

const at: OperatingPointName = 'exact';
async function main(): Promise<void> {
  const model: Pets = await Pets.load(ort);
  const [result]: readonly Result[] = await model.classify(new Float32Array(3 * 8 * 8), { at });
  // @ts-expect-error: there is no such point
  await model.classify(new Float32Array(3 * 8 * 8), { at: 'none' }).catch(() => undefined);
  await model.release();
  console.log(ByDefault === Pets, result!.exitId, operatingPoints.exact.relativeCost);
}
void main();
`;

const test = suite('emit: from CommonJS');
const tiny = tinyProject('common-js', { epochs: 1 });

test.after(tiny.remove);

test('`require` gets the package, and .cts files its types', async () => {
  await tiny.writeSamples({ train: 64, calibration: 32, test: 32 });
  await compile({ ...tiny.compileOptions('out'), name: 'pets' });
  mkdirSync(tiny.at('node_modules'));
  renameSync(tiny.at('out'), tiny.at('node_modules/pets'));
  for (const name of ['onnxruntime-node', 'onnxruntime-common'])
    symlinkSync(join(MODULES, name), tiny.at(`node_modules/${name}`), 'junction');
  writeFileSync(tiny.at('user.cts'), PROGRAM);

  const tsc = join(dirname(fileURLToPath(import.meta.resolve('typescript/package.json'))), 'bin/tsc');
  const types = ['--typeRoots', join(MODULES, '@types'), '--types', 'node'];
  run([tsc, '--strict', '--module', 'node16', '--target', 'es2022', ...types, 'user.cts']);
  assert.is(run(['user.cjs']), 'true full 1\n');
});

test.run();

function run(args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: tiny.folder,
    encoding: 'utf8',
  });
  if (status !== 0) assert.unreachable(`${stdout}\n${stderr}`);
  return stdout;
}
