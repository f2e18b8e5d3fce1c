/** The report's commands for its operating points, given to a shell as they are printed, do what they say. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { compile } from '../../src/commands/compile.ts';
import { manifestIn } from '../timeless.ts';
import { tinyProject } from '../tiny-project.ts';

const test = suite('report: commands for operating points');
const { at, folder, model, writeSamples, compileOptions, remove } = tinyProject('use', {
  epochs: 1,
  views: 1,
});
const BIN = fileURLToPath(new URL('../../bin/offramp.js', import.meta.url));
const ODD = "it's a net, $HOME *.onnx";

test.before(async () => {
  await writeSamples({ train: 140, calibration: 90, test: 40 });
  copyFileSync(model, at(ODD));
});
test.after(remove);

/** Texts to copy that are on the page of `out`, by their names. */
function codesIn(out: string): Map<string, string> {
  const page = readFileSync(at(`${out}/report.html`), 'utf8');
  const found = page.matchAll(/<pre [^>]* aria-label="([^"]*)"><code>([^<]*)<\/code>/g);
  const entities: Record<string, string> = {
    '&#39;': "'",
    '&amp;': '&',
    '&gt;': '>',
    '&lt;': '<',
    '&quot;': '"',
  };
  return new Map(
    [...found].map(([, label, code]) => [label!, code!.replace(/&[#\w]+;/g, (one) => entities[one]!)]),
  );
}

function run(command: string): void {
  const real = command
    .replace(/^npx onnx-offramp /, `"${process.execPath}" "${BIN}" `)
    .replace('CALIBRATION', 'calibration.npz')
    .replace('TEST', 'test.npz');
  const { status, stderr } = spawnSync('sh', ['-c', real], { cwd: folder, encoding: 'utf8' });
  assert.is(status, 0, `${command}\n${stderr}`);
}

for (const thresholds of ['input', 'baked'] as const)
  test(`thresholds: ${thresholds}`, async () => {
    await compile(
      compileOptions('out', { model: at(ODD), report: true, force: true, thresholds, name: 'odd-net' }),
    );
    const codes = codesIn('out');
    for (const name of ['fast', 'balanced']) {
      run(`${codes.get(`Model of ${name} for Triton`)!} --force`);
      run(`${codes.get(`File of ${name}`)!} --force`);
      assert.ok(existsSync(at(`${name}.onnx`)));
      const [served] = readdirSync(at('models'));
      assert.match(readFileSync(at(`models/${served}/config.pbtxt`), 'utf8'), new RegExp(`\\b${name}\\b`));
    }
    assert.is(codes.get('TypeScript for balanced')?.includes('at:'), thresholds === 'input');
    if (thresholds === 'input') return;
    run(codes.get('Package of fast')!);
    const written = manifestIn(at('out-fast'));
    assert.equal([written.defaultPoint, written.outputs.thresholds], ['fast', null]);
  });

test.run();
