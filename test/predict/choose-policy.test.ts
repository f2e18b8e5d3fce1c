import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Random } from '../../src/graph/random.ts';
import { POLICY_NAMES } from '../../src/policies/index.ts';
import { choosePolicy } from '../../src/predict/choose-policy.ts';
import type { Predictions } from '../../src/predict/predict.ts';
import { ofOriginal } from '../calibrate/simulate.ts';

const test = suite('choose policy');

const COSTS = ofOriginal([0.3, 0.6], [0.05, 0.05]);
const CLASSES = 3;

/** An original that is right nine times in ten, and exits whose confidence is `sure` of being right, while their logits do not show it. */
function draw(samples: number, seed: number, sure: (right: boolean, random: Random) => number): Predictions {
  const random = new Random(seed, 'choose');
  const labels = Int32Array.from({ length: samples }, (_, i) => i % CLASSES);
  const scores = (share: number) => {
    const right = labels.map(() => Number(random.uniform() < share));
    const height = 1 + random.uniform();
    const logits = new Float32Array(samples * CLASSES);
    labels.forEach((label, i) => {
      logits[i * CLASSES + (right[i] ? label : (label + 1) % CLASSES)] = height + random.uniform();
    });
    return { logits, confidence: Float32Array.from(right, (is) => sure(is === 1, random)) };
  };
  const exits = [scores(0.6), scores(0.75)];
  return {
    logits: exits.map((e) => e.logits),
    confidence: exits.map((e) => e.confidence),
    original: scores(0.9).logits,
    labels,
  };
}

const knowing = (right: boolean, random: Random) => (right ? 0.5 : 0.1) + 0.4 * random.uniform();
/** eenet takes seconds to fit, and compile.test.ts has it. */
const policies = POLICY_NAMES.filter((name) => name !== 'eenet');
const options = { target: 'accuracy', budgets: [0.6], haveConfidence: true, seed: 1, policies } as const;

test('takes the policy that knows, near the budget that is asked for', () => {
  const [validation, calibration] = [draw(600, 1, knowing), draw(600, 2, knowing)];
  const { fittedPolicy, compared, range } = choosePolicy(validation, calibration, COSTS, options);
  assert.is(fittedPolicy.policy, 'confidence');
  assert.ok(compared[0]!.mean > compared[1]!.mean + 0.05, JSON.stringify(compared.slice(0, 2)));
  assert.equal(
    range.map((cost) => cost.toFixed(2)),
    ['0.55', '0.65'],
  );
});

test('the whole curve counts when no budget is asked for; what cannot be fitted or has no heads is left out', () => {
  const [validation, calibration] = [draw(300, 3, knowing), draw(300, 4, knowing)];
  const labels = validation.labels.map((label) => (label === 2 ? 0 : label));
  const asked = { ...options, budgets: [], haveConfidence: false };
  const { fittedPolicy, compared, range } = choosePolicy(
    { ...validation, labels },
    calibration,
    COSTS,
    asked,
  );
  assert.equal(range, [0.35, 1]);
  assert.is(fittedPolicy.policy, compared[0]!.policy);
  compared.slice(1).forEach(({ mean }, i) => {
    assert.ok(mean <= compared[i]!.mean);
  });
  const left = policies.filter((name) => !compared.some(({ policy }) => policy === name));
  assert.equal(left, ['confidence', 'class-margin']);
});

test.run();
