/** A model with thresholds built in: nothing is told of it that was not measured. */
import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { formatCompiled, formatEvaluation } from '../../src/cli/tables.ts';
import { calibrate } from '../../src/commands/calibrate.ts';
import { compare } from '../../src/commands/compare.ts';
import { compile } from '../../src/commands/compile.ts';
import { evaluate } from '../../src/commands/evaluate.ts';
import type { Compiled } from '../../src/commands/steps/describe-and-write.ts';
import { rejectsWith } from '../expect.ts';
import { tinyProject } from '../tiny-project.ts';

const test = suite('baked thresholds');
const TESTED = 40;
const { at, model, writeSamples, compileOptions, remove } = tinyProject('baked', { epochs: 1, seed: 3 });
const data = { test: at('test.npz'), cache: at('cache') };
const notes: string[] = [];
let compiled: Compiled;

test.before(async () => {
  await writeSamples({ train: 400, calibration: 200, test: TESTED });
  compiled = await compile(
    compileOptions('baked', { thresholds: 'baked', at: 'fast', report: true, timing: true }),
    {
      onNote: (note) => notes.push(note.message),
    },
  );
});
test.after(remove);

test('nothing is said of closed exits, which were never run', () => {
  const verified = notes.filter((note) => note.startsWith('Verified'));
  assert.is(verified.length, 1);
  assert.match(
    verified[0]!,
    /^Verified: the emitted model gave \d+ answers as heads and policy do by hand at the thresholds that are built in\.$/,
  );
});

test('only the original and the point that is built in have latencies', () => {
  const { operatingPoints, baseline, latency } = compiled.manifest;
  for (const { name, latencyMsMean, latencyMsP50 } of operatingPoints)
    assert.equal([latencyMsMean !== null, latencyMsP50 !== null], [name === 'fast', name === 'fast'], name);
  assert.ok(baseline.latencyMsMean! > 0);
  assert.equal(Object.keys(latency!.p95s), ['baseline', 'fast']);
  assert.equal([latency!.passes, latency!.runs], [3, 3 * TESTED]);

  const told = formatCompiled(compiled, 'baked');
  assert.match(told, /^exact .* 100\.0 % +– /m);
  assert.match(told, /^fast .* \d+\.\d\d ms /m);
  assert.match(told, /^Latency: one sample a run, the least of 3 runs of each, their mean\.$/m);
  const report = readFileSync(at('baked/report.html'), 'utf8');
  assert.match(report, /<th scope="row">exact<\/th>.*?<td data-clock>–<\/td>/);
  assert.match(report, /only these were run and timed/);
});

test('evaluate tells what it measured, and a dash where it cannot', async () => {
  const evaluation = await evaluate({ folder: at('baked'), ...data });
  const { measured, sameData, largestDifference } = evaluation;
  const [point, ...others] = measured.operatingPoints;
  assert.equal([point!.name, point!.agreement, measured.baseline.accuracy], ['fast', null, null]);
  assert.equal([others.length, measured.latency], [0, null]);
  assert.ok(sameData && largestDifference < 1e-9, `${largestDifference}`);
  const told = formatEvaluation(evaluation, () => true);
  assert.match(told, /^original +– /m);
  assert.match(told, /^fast +\d+\.\d\d % +– /m);
  assert.match(told, /1 point: accuracy and cost within/);
  const { promised } = evaluation;
  const { samples } = promised.data[promised.measuredOn]!;
  const toldOf = (moved: number) =>
    formatEvaluation({ ...evaluation, largestDifference: moved / samples }, () => true);
  assert.match(toldOf(1), /Agrees with the manifest/, 'a sample on a threshold');
  assert.match(toldOf(2), /Differs from the manifest/);
  assert.is(
    (await evaluate({ folder: at('baked'), at: ['fast'], ...data })).measured.operatingPoints.length,
    1,
  );
});

test('another point is refused, and can be built in by the remedy of the error', async () => {
  const error = await rejectsWith('point-not-built-in', () =>
    evaluate({ folder: at('baked'), at: ['fast', 'exact'], ...data }),
  );
  assert.match(error.message, /has the thresholds of fast built in, so exact cannot be run/);
  assert.match(error.hint, "with `at: 'exact'`");
  await rejectsWith('unknown-operating-point', () =>
    evaluate({ folder: at('baked'), at: ['fsat'], ...data }),
  );
  await rejectsWith('point-not-built-in', () =>
    compare({ a: at('baked'), b: model, at: ['exact'], preset: 'unit', ...data }),
  );
  const asked = { folder: at('baked'), model, calibration: at('calibration.npz'), ...data, report: false };
  await calibrate({ ...asked, at: 'exact', out: at('exact') });
  const { measured } = await evaluate({ folder: at('exact'), at: ['exact'], ...data });
  assert.equal(measured.operatingPoints[0]!.exitShares, [0, 0, 0, 1]);
  await calibrate({ ...asked, thresholds: 'input', out: at('input') });
  const both = await evaluate({ folder: at('input'), at: ['fast', 'exact'], ...data });
  assert.is(both.measured.operatingPoints[1]!.agreement, 1);
});

test.run();
