/** The example of a build that calls the API, as its readers run it. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readManifest } from '../../src/emit/manifest-json.ts';
import { ROOT } from '../house/sources.ts';

const test = suite('examples: build script');
const folder = mkdtempSync(join(tmpdir(), 'offramp-build-script-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));

const build = (out: string) =>
  spawnSync(process.execPath, ['--import', 'tsx', join(ROOT, 'examples/build-script/build.ts'), out], {
    cwd: ROOT,
    encoding: 'utf8',
  });

test('compiles the demo model, says what it costs, and writes the package', () => {
  const out = join(folder, 'out');
  const { status, stdout, stderr } = build(out);
  assert.is(status, 0, stderr);
  assert.match(stdout, /: balanced loses -?\d\.\d\d points at \d\d\.\d % of the MACs/);
  const manifest = readManifest(readFileSync(join(out, 'manifest.json'), 'utf8'));
  assert.ok(manifest.operatingPoints.some(({ name }) => name === 'budget-0.7'));
  assert.is(manifest.labels?.length, 10);
});

test('an error ends it with what to do', () => {
  const { status, stderr } = build(join(ROOT, 'examples/demo/base.onnx/out'));
  assert.is(status, 1);
  assert.match(stderr, /\[output-[a-z]+\]\n {2}\S/);
});

test.run();
