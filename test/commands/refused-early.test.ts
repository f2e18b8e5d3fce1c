/** What can be seen before training is refused before it. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { zipSync } from 'fflate';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type CompileOptions, compile } from '../../src/commands/compile.ts';
import { extractShard } from '../../src/commands/extract-shard.ts';
import { npy } from '../data/fixtures.ts';
import { rejectsWith } from '../expect.ts';
import { tinyProject } from '../tiny-project.ts';
import { tinySamples } from '../tiny-samples.ts';

const test = suite('refused early');
const { at, model, writeSamples, compileOptions, remove } = tinyProject('early', { epochs: 1, views: 1 });

test.before(async () => {
  await writeSamples({ calibration: 200 });
  const count = 240;
  const { pixels, labels } = await tinySamples(model, count, 9);
  const right = labels.map((label, n) => (label + (n % 12 === 0 ? 4 : 0)) % 5);
  const arrays = {
    'x.npy': npy('|u1', [count, 8, 8, 3], pixels),
    'y.npy': npy('<i4', [count], new Uint8Array(right.buffer)),
  };
  writeFileSync(at('train.npz'), zipSync(arrays));
});
test.after(remove);

/** The error, and the phases that came before it. */
async function refused(code: string, more: Partial<CompileOptions>) {
  const phases = new Set<string>();
  const { test: _, ...options } = compileOptions('out', more);
  const error = await rejectsWith(code, () =>
    compile(options, { onProgress: ({ phase }) => phases.add(phase) }),
  );
  return { error, phases: [...phases] };
}

test('too few samples for a promise, counted as the promise will have them', async () => {
  // The model knows its training data by heart, so a third of the 200 calibration samples goes to the confidence heads.
  const promise = { maxAccuracyDrops: [0.03], confidence: 0.95 };
  const { error, phases } = await refused('too-few-for-guarantee', promise);
  assert.match(error.message, /the 67 calibration samples .* takes 99$/);
  assert.match(error.hint, 'Give 1.5 times as many calibration samples');
  assert.equal(
    phases.filter((phase) => !phase.startsWith('decoding')),
    [],
  );
  const whole = await refused('too-few-for-guarantee', { maxAccuracyDrops: [0.02], confidence: 0.95 });
  assert.match(whole.error.message, /the 100 calibration samples .* takes 149$/);
});

test('a place for the result that cannot be written, and features that are not there', async () => {
  writeFileSync(at('file'), 'mine');
  mkdirSync(at('full'));
  writeFileSync(at('full/mine'), 'mine');
  for (const [out, code] of [
    ['file', 'output-unusable'],
    ['file/below', 'output-unusable'],
    ['full', 'output-not-empty'],
  ] as const) {
    const { phases } = await refused(code, { out: at(out) });
    assert.equal(phases, []);
  }
  const unmerged = await refused('features-not-merged', { features: at('full') });
  assert.equal(unmerged.phases, []);
  const { test: _, ...options } = compileOptions('file/shards');
  const { model, train, calibration, out, cache, taps } = options;
  const shard = { model, train: train!, calibration: calibration!, out, cache: cache!, taps: taps! };
  await rejectsWith('output-unusable', () => extractShard(shard));
  assert.not.ok(existsSync(at('out')));
});

test.run();
