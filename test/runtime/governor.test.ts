import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { uniforms } from '../../src/graph/random.ts';
import { Governor, type GovernorOptions } from '../../src/runtime/governor.ts';

const test = suite('runtime: governor');

type Name = 'fast' | 'balanced' | 'accurate' | 'exact';
/** Costs are what the world below has at hardness 1. */
const POINTS: Record<Name, { relativeCost: number; reach: readonly number[] }> = {
  fast: { relativeCost: 0.442, reach: [0.6, 0.78, 0.9] },
  balanced: { relativeCost: 0.5315, reach: [0.42, 0.67, 0.81] },
  accurate: { relativeCost: 0.628, reach: [0.3, 0.5, 0.7] },
  exact: { relativeCost: 1, reach: [0, 0, 0] },
};
const EXIT_COSTS = [0.25, 0.5, 0.75];
const FULL: Record<Name, number> = { fast: 1.03, balanced: 1.03, accurate: 1.03, exact: 1 };
const WINDOW = 1000;

/** A model of which every sample leaves where its difficulty, u^(1 / hardness), lets it; it takes 3 ms × cost × load. */
class World {
  hardness = 1;
  load = 1;
  /** Milliseconds that the next call takes on top. */
  pause = 0;
  now = 0;
  samples = 0;
  changes = 0;
  readonly costs: number[] = [];
  readonly times: number[] = [];
  readonly visited = new Set<Name>();
  readonly #next: () => number;
  readonly governor: Governor<Name, number, { readonly relativeCost: number }[]>;

  constructor(options: GovernorOptions<Name>, seed = 1) {
    this.#next = uniforms(seed);
    this.governor = new Governor(this.classify, POINTS, options, () => this.now);
  }

  readonly classify = async (count: number, { at }: { readonly at: Name }) => {
    const began = this.now;
    const results = Array.from({ length: count }, () => {
      const difficulty = this.#next() ** (1 / this.hardness);
      const exit = POINTS[at].reach.findIndex((reach) => difficulty < reach);
      return { relativeCost: EXIT_COSTS[exit] ?? FULL[at] };
    });
    for (const { relativeCost } of results) {
      this.costs.push(relativeCost);
      this.now += 3 * this.load * relativeCost * (0.9 + 0.2 * this.#next());
    }
    this.now += 0.02 + this.pause;
    this.pause = 0;
    for (let i = 0; i < count; i++) this.times.push((this.now - began) / count);
    this.samples += count;
    return results;
  };

  /** `count` samples in calls of `batch`. */
  async run(count: number, batch = 1, before?: (done: number) => void): Promise<void> {
    for (let done = 0; done < count; done += batch) {
      before?.(done);
      const at = this.governor.at;
      this.visited.add(at);
      await this.governor.classify(batch);
      this.changes += Number(this.governor.at !== at);
    }
  }
}

const mean = (values: readonly number[]) => values.reduce((sum, v) => sum + v, 0) / values.length;
function assertNear(value: number, target: number, share: number, what = ''): void {
  assert.ok(Math.abs(value / target - 1) < share, `${what} ${value} is not within ${share} of ${target}`);
}

test('a stationary stream meets every cost within reach, in batches of any size', async () => {
  for (const batch of [1, 7, 32, 200, 2000])
    for (const target of [0.46, 0.5, 0.58, 0.7, 0.85, 0.95]) {
      const world = new World({ targetRelativeCost: target }, batch);
      const calls = Math.max(30_000, 120 * batch);
      await world.run(calls, batch);
      assertNear(mean(world.costs), target, 0.035, `batches of ${batch}:`);
      assertNear(
        mean(world.costs.slice(-Math.max(4 * WINDOW, 40 * batch))),
        target,
        0.06,
        `batches of ${batch}, at the end:`,
      );
      assert.ok(world.changes * (WINDOW / 8) <= world.samples, 'steps too often');
    }
});

test('it begins at the dearest point that the target affords, or where times are shortest', () => {
  assert.is(new World({ targetRelativeCost: 0.6 }).governor.at, 'balanced');
  assert.is(new World({ targetRelativeCost: 0.1 }).governor.at, 'fast');
  assert.is(new World({ targetRelativeCost: 3 }).governor.at, 'exact');
  assert.is(new World({ targetLatencyMs: 3 }).governor.at, 'fast');
  assert.is(new World({ targetLatencyMs: 3, fastest: 'accurate' }).governor.at, 'accurate');
  assert.ok(Number.isNaN(new World({ targetLatencyMs: 3 }).governor.average));
});

test('it stays between two neighbouring points, and a point whose own cost is the target is not left', async () => {
  const between = new World({ targetRelativeCost: 0.8 });
  await between.run(2000);
  between.visited.clear();
  between.changes = 0;
  await between.run(20_000);
  assert.equal([...between.visited].sort(), ['accurate', 'exact']);
  // To and fro takes 0.54 windows where it is exponential: two changes.
  assert.ok(between.changes < (20_000 / WINDOW) * 5, `${between.changes} changes`);

  const still = new World({ targetRelativeCost: POINTS.balanced.relativeCost }, 3);
  await still.run(20_000);
  assert.ok(still.changes < 20_000 / WINDOW, `${still.changes} changes`);
});

test('harder samples are answered earlier, easier ones later: the average comes back', async () => {
  const world = new World({ targetRelativeCost: 0.58 });
  await world.run(5000);
  world.hardness = 1.25;
  await world.run(1500);
  world.costs.length = 0;
  await world.run(10_000);
  assertNear(mean(world.costs), 0.58, 0.03);
  world.hardness = 0.6;
  await world.run(1500);
  world.costs.length = 0;
  await world.run(10_000);
  assertNear(mean(world.costs), 0.58, 0.03);
});

test('a slow drift is followed: no window is far from the target', async () => {
  const world = new World({ targetRelativeCost: 0.6 }, 9);
  await world.run(60_000, 4, (done) => {
    world.hardness = 1 + 0.35 * Math.sin((2 * Math.PI * done) / 20_000);
  });
  assertNear(mean(world.costs), 0.6, 0.02);
  for (let from = 2000; from < 60_000; from += 2000)
    assertNear(mean(world.costs.slice(from, from + 2000)), 0.6, 0.06, `from ${from}:`);
});

test('a load that doubles the time is made good, and given back when it ends', async () => {
  const world = new World({ targetLatencyMs: 2.4 }, 4);
  await world.run(6000, 4);
  world.times.length = 0;
  await world.run(10_000, 4);
  assertNear(mean(world.times), 2.4, 0.03, 'before:');
  const before = mean(world.costs.slice(-5000));
  world.load = 1.7;
  await world.run(1500, 4);
  world.times.length = 0;
  await world.run(10_000, 4);
  assertNear(mean(world.times), 2.4, 0.03, 'under load:');
  world.load = 1;
  await world.run(2000, 4);
  assertNear(mean(world.costs.slice(-1200)), before, 0.1, 'afterwards:');
});

test('what is out of reach leaves it at its bound, and it comes back within two windows', async () => {
  const world = new World({ targetRelativeCost: 0.2, fastest: 'balanced' });
  await world.run(3000, 8);
  world.visited.clear();
  await world.run(10_000, 8);
  assert.equal([...world.visited], ['balanced']);

  const above = new World({ targetRelativeCost: 0.9, slowest: 'accurate' });
  await above.run(10_000);
  assert.is(above.governor.at, 'accurate');
  assert.is(above.changes, 0);

  const busy = new World({ targetLatencyMs: 2.4 });
  await busy.run(4000, 4);
  busy.load = 20;
  await busy.run(10_000, 4);
  assert.is(busy.governor.at, 'fast');
  assert.ok(busy.governor.average > 20);
  busy.load = 1;
  await busy.run(2 * WINDOW, 4);
  assert.is.not(busy.governor.at, 'fast');
});

test('never past the bounds, whatever happens', async () => {
  const world = new World({ targetLatencyMs: 1.7, fastest: 'balanced', slowest: 'accurate', window: 64 }, 6);
  const next = uniforms(8);
  await world.run(40_000, 5, () => {
    if (next() < 0.01) world.load = 0.2 + 4 * next();
    if (next() < 0.01) world.hardness = 0.3 + 2 * next();
    if (next() < 0.05) world.pause = 500 * next();
  });
  assert.equal([...world.visited].sort(), ['accurate', 'balanced']);
});

test('a single outlier moves nothing, in calls of any size', async () => {
  for (const batch of [1, 8, 64, 1024]) {
    const world = new World({ targetLatencyMs: 1.9 });
    await world.run(12 * batch + 4000, batch);
    for (let times = 0; times < 3; times++) {
      const { at, average } = world.governor;
      world.pause = 50 * 3 * batch;
      await world.run(batch, batch);
      assert.is(world.governor.at, at);
      assert.is(world.governor.average, average);
      await world.run(12 * batch, batch);
    }
    assertNear(world.governor.average, 1.9, 0.15);
  }
});

test('a lasting load of many times the usual is believed at once', async () => {
  const world = new World({ targetLatencyMs: 2.4 });
  await world.run(4000, 8);
  assert.ok(world.governor.average < 3);
  world.load = 10;
  await world.run(160, 8);
  assert.ok(world.governor.average > 4);
  await world.run(240, 8);
  assert.is(world.governor.at, 'fast');
});

test('calls that overlap count for the point they were made at', async () => {
  const waiting: (() => void)[] = [];
  const seen: Name[] = [];
  const classify = (count: number, { at }: { readonly at: Name }) => {
    seen.push(at);
    const results = Array.from({ length: count }, () => ({ relativeCost: POINTS[at].relativeCost }));
    return new Promise<typeof results>((done) => waiting.push(() => done(results)));
  };
  const options = { targetRelativeCost: 0.8, window: 64 } as const;
  const governor = new Governor(classify, POINTS, options);
  const calls = Array.from({ length: 6 }, () => governor.classify(8));
  assert.equal(seen, Array(6).fill('accurate'));
  for (const done of waiting.splice(0)) done();
  await Promise.all(calls);
  // Eight samples are an eighth of the window: the first answer was enough for a step, the others were not of the new point.
  assert.is(governor.at, 'exact');
});

test('no samples and failures count nothing', async () => {
  let failing = false;
  const classify = async (): Promise<{ relativeCost: number }[]> => {
    if (failing) throw new Error('released');
    return [];
  };
  const governor = new Governor(classify, POINTS, { targetLatencyMs: 1 });
  assert.equal(await governor.classify(undefined), []);
  failing = true;
  try {
    await governor.classify(undefined);
    assert.unreachable();
  } catch (error) {
    assert.is((error as Error).message, 'released');
  }
  assert.ok(Number.isNaN(governor.average));
});

test('odd options are refused', () => {
  const refused = (options: object, message: RegExp) =>
    assert.throws(
      () => new World(options as never),
      (error: unknown) => error instanceof RangeError && message.test(error.message),
    );
  refused({}, /takes one target/);
  refused({ targetRelativeCost: 0.5, targetLatencyMs: 2 }, /takes one target/);
  refused({ targetRelativeCost: 0 }, /positive number, not 0/);
  refused({ targetLatencyMs: Number.NaN }, /positive number, not NaN/);
  refused({ targetLatencyMs: 1, window: 4 }, /8 samples or more, not 4/);
  refused({ targetLatencyMs: 1, fastest: 'quick' }, /no operating point "quick"; there are fast, balanced/);
  refused({ targetLatencyMs: 1, fastest: 'exact', slowest: 'fast' }, /"exact" is dearer than "fast"/);
});

test.run();
