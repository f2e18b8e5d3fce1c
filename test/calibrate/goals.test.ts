import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { DEFAULT_WISHES, refuseOdd, settleWishes, type ThresholdOptions } from '../../src/calibrate/goals.ts';
import { hasCode } from '../expect.ts';

const test = suite('wishes');

const lastOf = (options: ThresholdOptions, unlabelled = false, before = DEFAULT_WISHES) =>
  settleWishes(options, unlabelled, before).last;

test('the last answer is joined where auto is for accuracy, and where it is asked for', () => {
  assert.is(lastOf({}), 'original');
  assert.is(lastOf({ policy: 'ensemble' }), 'original');
  assert.is(lastOf({ policy: 'ensemble', last: 'joined' }), 'joined');
  assert.is(lastOf({ policy: 'auto' }), 'joined');
  assert.is(lastOf({ policy: 'auto', last: 'original' }), 'original');
  assert.is(lastOf({ policy: 'auto', target: 'agreement' }), 'original');
  assert.is(lastOf({ policy: 'auto' }, true), 'original', 'nothing is labelled');
});

test('calibrating again leaves it as it was, unless what is asked for now speaks against it', () => {
  const joined = { ...DEFAULT_WISHES, last: 'joined' } as const;
  assert.is(lastOf({ budgets: [0.5] }, false, joined), 'joined');
  assert.is(lastOf({ policy: 'gain' }, false, joined), 'joined');
  assert.is(lastOf({ target: 'agreement' }, false, joined), 'original');
  assert.is(lastOf({ last: 'original' }, false, joined), 'original');
  assert.is(lastOf({ policy: 'auto' }, false, DEFAULT_WISHES), 'joined');
});

test('who joins the original does not agree with it', () => {
  const refused = [
    [{ last: 'joined', target: 'agreement' }, false],
    [{ last: 'joined', target: 'agreement', maxAccuracyDrops: [0.05], confidence: 0.9 }, false],
    [{ last: 'joined' }, true],
  ] as const;
  for (const [options, unlabelled] of refused)
    assert.throws(() => refuseOdd(settleWishes(options, unlabelled), unlabelled), hasCode('bad-option'));
  refuseOdd(settleWishes({ last: 'joined', maxAccuracyDrops: [0.05], confidence: 0.9 }, false), false);
});

test.run();
