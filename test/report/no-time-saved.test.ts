import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { noTimeSaved, unsteadyLatency } from '../../src/report/index.ts';
import { MANIFEST } from './sample.ts';

const test = suite('report: no time saved');

/** `MANIFEST` with these mean times of a sample at the default point and in the original. */
const timed = (after: number | null, before: number | null) => ({
  ...MANIFEST,
  operatingPoints: MANIFEST.operatingPoints.map((point) => ({ ...point, latencyMsMean: after })),
  baseline: { ...MANIFEST.baseline, latencyMsMean: before },
});

test('who saves no time is told', () => {
  const said = noTimeSaved(timed(0.3, 0.2), '--thresholds baked')!;
  assert.match(said, 'takes 0.3 ms at');
  assert.match(said, '0.2 ms in the original');
  assert.match(said, '--thresholds baked');
  const baked = { ...timed(0.2, 0.2), outputs: { ...MANIFEST.outputs, thresholds: null } };
  assert.not.match(noTimeSaved(baked, '--thresholds baked')!, 'baked');
});

test('who saves some, or measured nothing, is not', () => {
  for (const [after, before] of [
    [0.1, 0.2],
    [null, 0.2],
    [0.2, null],
  ] as const)
    assert.is(noTimeSaved(timed(after, before), ''), undefined);
});

test('times that contradict each other are named', () => {
  const closed = { ...MANIFEST.operatingPoints[0]!, name: 'exact', thresholds: MANIFEST.exits.map(() => 1) };
  const told = (exact: number | null, original: number | null) => {
    const { operatingPoints, ...rest } = timed(0.1, original);
    const others = operatingPoints.filter(({ thresholds }) => thresholds.some((threshold) => threshold < 1));
    return unsteadyLatency({ ...rest, operatingPoints: [...others, { ...closed, latencyMsMean: exact }] });
  };
  assert.match(told(2.69, 0.78)!, 'at exact a sample takes 2.69 ms, and in the original, which does the same, 0.78 ms');
  assert.match(told(11.65, 30)!, 'not to be relied on');
  for (const [exact, original] of [[2.16, 2.1], [0.6, 0.2], [14, 10], [null, 1], [1, null]] as const)
    assert.is(told(exact, original), undefined, `${exact} ${original}`);
}); // biome-ignore format: a table

test.run();
