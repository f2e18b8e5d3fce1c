import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  DEFAULT_GOALS,
  refuseContradictions,
  settleGoals,
  type ThresholdOptions,
} from '../../src/calibrate/goals.ts';
import { hasCode } from '../expect.ts';

const test = suite('wishes');

const lastOf = (options: ThresholdOptions, unlabelled = false, before = DEFAULT_GOALS) =>
  settleGoals(options, unlabelled, before).final;

test('the last answer is joined where auto is for accuracy, and where it is asked for', () => {
  assert.is(lastOf({}), 'original');
  assert.is(lastOf({ policy: 'ensemble' }), 'original');
  assert.is(lastOf({ policy: 'ensemble', final: 'ensembled' }), 'ensembled');
  assert.is(lastOf({ policy: 'auto' }), 'ensembled');
  assert.is(lastOf({ policy: 'auto', final: 'original' }), 'original');
  assert.is(lastOf({ policy: 'auto', target: 'agreement' }), 'original');
  assert.is(lastOf({ policy: 'auto' }, true), 'original', 'nothing is labelled');
});

test('calibrating again leaves it as it was, unless what is asked for now speaks against it', () => {
  const joined = { ...DEFAULT_GOALS, final: 'ensembled' } as const;
  assert.is(lastOf({ budgets: [0.5] }, false, joined), 'ensembled');
  assert.is(lastOf({ policy: 'gain' }, false, joined), 'ensembled');
  assert.is(lastOf({ target: 'agreement' }, false, joined), 'original');
  assert.is(lastOf({ final: 'original' }, false, joined), 'original');
  assert.is(lastOf({ policy: 'auto' }, false, DEFAULT_GOALS), 'ensembled');
});

test('who joins the original does not agree with it', () => {
  const refused = [
    [{ final: 'ensembled', target: 'agreement' }, false],
    [{ final: 'ensembled', target: 'agreement', maxAccuracyDrops: [0.05], confidence: 0.9 }, false],
    [{ final: 'ensembled' }, true],
  ] as const;
  for (const [options, unlabelled] of refused)
    assert.throws(
      () => refuseContradictions(settleGoals(options, unlabelled), unlabelled),
      hasCode('bad-option'),
    );
  refuseContradictions(
    settleGoals({ final: 'ensembled', maxAccuracyDrops: [0.05], confidence: 0.9 }, false),
    false,
  );
});

test.run();
