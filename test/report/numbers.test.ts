import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { costPercent } from '../../src/report/numbers.ts';

const test = suite('report: numbers');

test('a cost that is not 0 is not told as 0', () => {
  const told = [1, 0.25, 0.0512, 0.0005, 0.00049, 0.0002, 0.00004, 0].map(costPercent);
  assert.equal(told, ['100.0 %', '25.0 %', '5.1 %', '0.1 %', '0.05 %', '0.02 %', '0.004 %', '0.0 %']);
});

test.run();
