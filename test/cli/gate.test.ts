import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type Bound,
  bound,
  bounds,
  checkBounds,
  checkFigures,
  figuresOf,
  figuresOfB,
  metricsOf,
  metricsOfBoth,
} from '../../src/cli/gate.ts';
import { writePackage } from '../../src/cli/write-package.ts';
import type { Comparison } from '../../src/commands/compare.ts';
import type { Events } from '../../src/errors/events.ts';
import type { OfframpError } from '../../src/errors/index.ts';
import { SAMPLE } from '../emit/sample.ts';
import { hasCode } from '../expect.ts';

const test = suite('cli: gate');

const figures = { accuracy: 92.25, agreement: 97, drop: 0.75, cost: 0.6, latency: 1.1 };
const boundsOf = (...texts: string[]) => texts.map(bound.read) as Bound[];
const check = (...texts: string[]) => checkBounds(boundsOf(...texts), { balanced: figures });

test('bounds that hold say nothing, also at the bound itself', () => {
  check(
    'drop > 0.75',
    'drop>1',
    'cost > 60%',
    'cost > 0.6',
    'cost > 0.7x',
    'latency > 1.1x',
    'latency > 110%',
  );
  check('accuracy < 92.25', 'accuracy < 90%', 'agreement<97', 'drop > .8');
});

test('all bounds that do not hold are named with what was measured', () => {
  try {
    check('drop > 0.5', 'cost > 0.7', 'agreement < 98 %', 'latency > 1x');
    assert.unreachable();
  } catch (error) {
    const { code, message } = error as OfframpError;
    assert.is(code, 'gate-failed');
    assert.is(
      message,
      'balanced has drop 0.75 (drop > 0.5); balanced has agreement 97 (agreement < 98 %); balanced has latency 1.1 (latency > 1x)',
    );
  }
});

test('what was not measured, or is not measured here, holds no bound', () => {
  const bounds = boundsOf('drop > 1');
  assert.throws(
    () => checkBounds(bounds, { fast: { ...figures, drop: undefined } }),
    hasCode('not-measured'),
  );
  const here = () => checkFigures(boundsOf('latency > 2x'), ['drop', 'cost'], 'compare measures latency');
  assert.throws(here, hasCode('bad-option'));
  assert.throws(
    () => checkBounds(bounds, { fast: { ...figures, drop: Number.NaN } }),
    hasCode('not-measured'),
  );
});

test('what nobody can mean is no bound', () => {
  const odd = [
    'drop',
    'drop > 1x',
    'speed > 1',
    'drop >= 1',
    'toString > 1',
    'drop > 0,5',
    'drop > NaN',
    'drop > -1',
  ];
  const neverFails = [
    'accuracy < 0.92',
    'agreement < 1',
    'cost > 60',
    'latency > 1100%',
    'drop > 101',
    'drop > 1.01e2',
  ];
  const alwaysFails = ['accuracy < 101', 'cost > 0'];
  const wrongWay = ['accuracy > 92', 'agreement > 97', 'drop < 0.5', 'cost < 0.6', 'latency < 1.1x'];
  for (const text of [...odd, ...neverFails, ...alwaysFails, ...wrongWay, ''])
    assert.not.ok(bound.accepts(bound.read(text)), text);
  for (const text of [
    'drop > 0',
    'cost > 1e-1',
    'cost > 1.5E+0x',
    'accuracy < 9e1',
    'cost > 60 %',
    'cost > 1.5',
    'latency > 2x',
    'accuracy < 100%',
  ])
    assert.ok(bound.accepts(bound.read(text)), text);
});

test('a comma that separates no bounds stays in the word that is refused', () => {
  const read = (given: unknown) => bounds.read(given) as (Bound | string)[];
  assert.equal(read('drop > 0.5, cost > 1e-1'), boundsOf('drop > 0.5', 'cost > 1e-1'));
  assert.equal(read(['drop > 0.5,cost > 60%', 'accuracy < 9']), boundsOf('drop > 0.5', 'cost > 60%', 'accuracy < 9')); // biome-ignore format: a line
  for (const text of ['cost > 0,5', 'drop > 0,5', 'drop > 1, 5'])
    assert.is(bounds.firstBad!(read(`cost > 1, ${text}`)), text);
});

test('a figure at its bound does not break it by what floating point leaves', () => {
  const point = { ...SAMPLE.operatingPoints[0]!, accuracy: 0.905, agreement: 0.29 };
  const found = figuresOf(point, 0.915, true);
  assert.equal([found.drop, found.accuracy, found.agreement], [1, 90.5, 29]);
  checkBounds(boundsOf('drop > 1', 'accuracy < 90.5', 'agreement < 29'), { fast: found });
});

test('figures of a point are relative to the original', () => {
  const point = { ...SAMPLE.operatingPoints[0]!, accuracy: 0.9, agreement: 0.95, relativeCost: 0.4 };
  assert.equal(figuresOf(point, 0.925, true), { accuracy: 90, agreement: 95, drop: 2.5, cost: 0.4 });
  assert.equal(figuresOf({ ...point, agreement: null }, null, true), {
    accuracy: 90,
    agreement: undefined,
    drop: undefined,
    cost: 0.4,
  });
  assert.equal(figuresOf(point, 1, false), {
    accuracy: undefined,
    agreement: 95,
    drop: undefined,
    cost: 0.4,
  });
});

test('metrics of a package: the original and points with names, numbers alone', () => {
  const curve = { ...SAMPLE.operatingPoints[0]!, name: 'cost-0.5' };
  const metrics = metricsOf({ ...SAMPLE, operatingPoints: [...SAMPLE.operatingPoints, curve] }, true);
  assert.ok(Object.values(metrics).every(Number.isFinite));
  for (const { name, accuracy, relativeCost } of SAMPLE.operatingPoints) {
    assert.is(metrics[`${name}/accuracy`], accuracy);
    assert.is(metrics[`${name}/cost`], relativeCost);
    assert.ok(Math.abs(metrics[`${name}/drop`]! - 100 * (SAMPLE.baseline.accuracy - accuracy)) < 1e-9);
  }
  assert.is(metrics['original/accuracy'], SAMPLE.baseline.accuracy);
  assert.not.ok(Object.keys(metrics).some((name) => name.startsWith('cost-')));
  const unlabelled = Object.keys(metricsOf(SAMPLE, false));
  assert.ok(unlabelled.includes('fast/agreement'));
  assert.equal(
    unlabelled.filter((name) => /accuracy|drop/.test(name)),
    [],
  );
});

test('of two models B is held against A', () => {
  const side = {
    path: 'a',
    point: null,
    relativeCost: 1,
    exitShares: [],
    latencyMsMean: 2,
    macs: 10,
    latencyMsP50: 2,
  };
  const comparison: Comparison = {
    samples: 100,
    hash: 'h',
    a: { ...side, accuracy: 0.94 },
    b: { ...side, path: 'b', accuracy: 0.93, macs: 5, latencyMsP50: 3 },
    agreement: 0.97,
    accuracy: { samples: 100, onlyA: 3, onlyB: 2, difference: -0.01, interval: [-0.05, 0.03], pValue: 1 },
    macsRatio: 0.5,
    latencyRatio: 1.5,
  };
  assert.equal(figuresOfB(comparison), { accuracy: 93, agreement: 97, drop: 1, cost: 0.5, latency: 1.5 });
  const metrics = metricsOfBoth(comparison);
  assert.equal([metrics['b/accuracy'], metrics['a/macs'], metrics.drop, metrics.latency], [0.93, 10, 1, 1.5]);
  const unlabelled = { ...comparison, accuracy: null, b: { ...comparison.b, accuracy: null } };
  assert.is(figuresOfB(unlabelled).drop, undefined);
  assert.not.ok('b/accuracy' in metricsOfBoth(unlabelled));
});

test('--strict ends with an error where a name was broken, after all is written and told', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'offramp-gate-'));
  const metrics = join(folder, 'metrics.json');
  const compiled = { manifest: SAMPLE, shown: [] };
  const work = (events: Events) => {
    events.onNote?.({ code: 'losses-beyond-names', level: 'warning', message: 'drop-0.01 lost 3 points' });
    return Promise.resolve(compiled);
  };
  const run = (strict: boolean) => writePackage({ json: true, quiet: true, metrics, strict }, folder, work);
  await run(false);
  assert.equal(JSON.parse(readFileSync(metrics, 'utf8')), metricsOf(SAMPLE, true));
  rmSync(metrics);
  const error = await run(true).catch((e: unknown) => e);
  assert.ok(hasCode('names-broken')(error as Error));
  assert.match((error as Error).message, 'drop-0.01 lost 3 points');
  assert.ok(existsSync(metrics));
  await writePackage({ json: true, quiet: true, strict: true }, folder, () => Promise.resolve(compiled));
  const useless = (events: Events) => {
    events.onNote?.({ code: 'never-pays', level: 'warning', message: 'Do not use this: no named point …' });
    return Promise.resolve(compiled);
  };
  const never = await writePackage({ json: true, strict: true }, folder, useless).catch((e: unknown) => e);
  assert.ok(hasCode('never-pays')(never as Error));
  rmSync(folder, { recursive: true });
});

test.run();
