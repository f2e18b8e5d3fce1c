import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { maxProb, POLICIES } from '../../src/calibrate/scores.ts';
import { fitTemperature } from '../../src/calibrate/temperature.ts';
import { argMaxRows } from '../../src/train/batches.ts';
import { normal, uniform } from './simulate.ts';

const test = suite('calibrate: scores and temperature');

test('maxProb is the largest softmax probability, however large the logits', () => {
  const logits = Float32Array.of(0, Math.log(3), 1000, 900, -1000, -1000);
  assert.equal(
    [...maxProb(logits, 3, 2)].map((p) => Math.round(p * 1e6) / 1e6),
    [0.75, 1, 0.5],
  );
});

test('a row with NaN scores NaN, which never leaves', () => {
  assert.ok(Number.isNaN(maxProb(Float32Array.of(1, Number.NaN, 2), 1, 3)[0]));
});

test('argMaxRows takes the first of equals', () => {
  assert.equal([...argMaxRows(Float32Array.of(1, 2, 2, 5, 0, 5), 2)], [1, 0]);
});

test('policies read what they are named after', () => {
  const exit = { logits: Float32Array.of(0, 0, 0, Math.log(9)), confidence: Float32Array.of(0.2, 0.7) };
  assert.equal(
    [...POLICIES['max-prob'].score(exit)].map((p) => Math.round(p * 100)),
    [50, 90],
  );
  assert.is(POLICIES.confidence.score(exit), exit.confidence);
});

test('recovers the temperature that logits were heated by', () => {
  const random = uniform(1);
  const samples = 4000;
  const logits = Float32Array.from({ length: samples * 3 }, () => 2 * normal(random));
  const labels = Array.from({ length: samples }, (_, i) => {
    const odds = [...logits.subarray(3 * i, 3 * i + 3)].map(Math.exp);
    const draw = random() * odds.reduce((a, b) => a + b);
    return odds.findIndex((_, c) => odds.slice(0, c + 1).reduce((a, b) => a + b) > draw);
  });
  assert.ok(Math.abs(fitTemperature(logits, labels) - 1) < 0.06);
  const heated = fitTemperature(
    logits.map((z) => 4 * z),
    labels,
  );
  assert.ok(Math.abs(heated / fitTemperature(logits, labels) - 4) < 1e-5);
});

test('stays finite where every answer is right', () => {
  assert.ok(Math.abs(fitTemperature(Float32Array.of(1, 0, 0, 1), [0, 1]) - 0.01) < 1e-6);
});

test.run();
