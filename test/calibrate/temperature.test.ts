import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { fitTemperature } from '../../src/calibrate/temperature.ts';
import { argMaxRows } from '../../src/policies/rows.ts';
import { normal, uniform } from './simulate.ts';

const test = suite('calibrate: temperature');

test('argMaxRows takes the first of equals', () => {
  assert.equal([...argMaxRows(Float32Array.of(1, 2, 2, 5, 0, 5), 2)], [1, 0]);
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
  const sure = fitTemperature(Float32Array.of(1, 0, 0, 1), [0, 1]);
  assert.ok(Math.abs(sure - 1 / Math.log(3)) < 1e-6, 'as sure as a share of 3 in 4 right');
  assert.ok(fitTemperature(Float32Array.of(0, 1, 1, 0), [0, 1]) > 99, 'all wrong');
});

test.run();
