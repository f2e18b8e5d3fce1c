import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Feeds, Session } from '../../src/ort/session.ts';
import { measureLatency, quantile, summarize } from '../../src/predict/measure-latency.ts';

const test = suite('measure latency');

test('median and 95th percentile are of all timed runs, the mean of the least of each sample', () => {
  // Two samples, ten passes: one run in ten is a hiccup.
  const times = Float64Array.from({ length: 20 }, (_, i) => (i >= 18 ? 50 : i % 2 === 0 ? 1 : 3));
  const { runs, p50, p95, least, mean } = summarize(times, 2);
  assert.equal([runs, p50, p95], [20, 3, 50]);
  assert.equal([...least], [1, 3]);
  assert.is(mean, 2);
});

test('a quantile is the least value that so many do not exceed', () => {
  const values = Float64Array.from({ length: 100 }, (_, i) => 100 - i);
  assert.equal(
    [0, 0.005, 0.5, 0.95, 1].map((share) => quantile(values, share)),
    [1, 1, 50, 95, 100],
  );
});

test('every sample is run by every candidate in turn, once a pass', async () => {
  const ran: string[] = [];
  const candidate = (name: string) => ({
    name,
    extra: {},
    session: { run: async ({ x }: { x: string }) => void ran.push(`${name}${x}`) } as unknown as Session,
  });
  const samples = ['1', '2', '3'].map((x) => ({ x }) as unknown as Feeds);
  const found = await measureLatency([candidate('a'), candidate('b')], samples, { warmup: 1, passes: 2 });
  const pass = ['a1', 'b1', 'a2', 'b2', 'a3', 'b3'];
  assert.equal(ran, ['a1', 'b1', ...pass, ...pass]);
  assert.equal([found.get('a')!.runs, found.get('b')!.least.length], [6, 3]);
});

test.run();
