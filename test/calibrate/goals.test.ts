import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  CHAIN_AUTO_SAMPLES,
  DEFAULT_GOALS,
  refuseContradictions,
  settleGoals,
  type ThresholdOptions,
} from '../../src/calibrate/goals.ts';
import { hasCode } from '../expect.ts';

const test = suite('calibrate: goals');

const finalOf = (options: ThresholdOptions, unlabelled = false, before = DEFAULT_GOALS) =>
  settleGoals(options, unlabelled, before).final;

test('the final answer is an ensemble with auto for accuracy, and where it is asked for', () => {
  assert.is(finalOf({}), 'original');
  assert.is(finalOf({ policy: 'ensemble' }), 'original');
  assert.is(finalOf({ policy: 'ensemble', final: 'ensembled' }), 'ensembled');
  assert.is(finalOf({ policy: 'auto' }), 'ensembled');
  assert.is(finalOf({ policy: 'auto', final: 'original' }), 'original');
  assert.is(finalOf({ policy: 'auto', target: 'agreement' }), 'original');
  assert.is(finalOf({ policy: 'auto' }, true), 'original', 'nothing is labelled');
});

test('calibrating again keeps the final answer, unless the new goals exclude it', () => {
  const ensembled = { ...DEFAULT_GOALS, final: 'ensembled' } as const;
  assert.is(finalOf({ budgets: [0.5] }, false, ensembled), 'ensembled');
  assert.is(finalOf({ policy: 'gain' }, false, ensembled), 'ensembled');
  assert.is(finalOf({ target: 'agreement' }, false, ensembled), 'original');
  assert.is(finalOf({ final: 'original' }, false, ensembled), 'original');
  assert.is(finalOf({ policy: 'auto' }, false, DEFAULT_GOALS), 'ensembled');
});

test('a chain answers together when nothing is asked for, by the best policy where samples are enough to find it', () => {
  const inChain = (options: ThresholdOptions, samples: number, unlabelled = false) => {
    const { policy, final } = settleGoals(options, unlabelled, DEFAULT_GOALS, { samples });
    return [policy, final];
  };
  assert.equal(inChain({}, CHAIN_AUTO_SAMPLES), ['auto', 'ensembled']);
  assert.equal(inChain({}, CHAIN_AUTO_SAMPLES - 1), ['max-prob', 'ensembled']);
  assert.equal(inChain({ policy: 'max-prob' }, CHAIN_AUTO_SAMPLES), ['max-prob', 'ensembled']);
  assert.equal(inChain({ policy: 'auto' }, 10), ['auto', 'ensembled']);
  assert.equal(inChain({ final: 'original' }, CHAIN_AUTO_SAMPLES), ['auto', 'original']);
  assert.equal(inChain({ target: 'agreement' }, CHAIN_AUTO_SAMPLES), ['max-prob', 'original']);
  assert.equal(inChain({}, CHAIN_AUTO_SAMPLES, true), ['max-prob', 'original'], 'nothing is labelled');
  assert.equal(settleGoals({}, false), DEFAULT_GOALS, 'no chain');
});

test('an ensemble is refused where agreement with the original is the target', () => {
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
