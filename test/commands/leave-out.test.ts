/** What is kept of how heads were trained, once exits are left out. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { trainingOf } from '../../src/commands/steps/leave-out.ts';
import type { Training } from '../../src/emit/manifest.ts';
import type { Head } from '../../src/passes/exits.ts';

const test = suite('commands: leaving exits out');

const head = (id: string, network: number, tap: string, kind = 'pool') =>
  ({ exit: { id, network, tap: { value: tap } }, kind }) as Head;
/** Two networks: the end of the first, and two heads on the original. */
const BEFORE = [head('exit_1', 0, 'end', 'end'), head('exit_2', 1, 'a'), head('exit_3', 1, 'b')];
const base = { epochs: 1, batch: 8, learningRate: 0.1, views: 1, steps: [1] };
const TRAINING: Training = { ...base, losses: { exit_2: [2], exit_3: [3] } };
const TRAINED = [
  { tap: 'a', head: 'pool' },
  { tap: 'b', head: 'pool' },
];

test('losses go by the names that exits have now, and all that were trained are named', () => {
  const now = [head('exit_1', 0, 'end', 'end'), head('exit_2', 1, 'b')];
  const left = trainingOf(TRAINING, BEFORE, [0, 2], now, 1);
  assert.equal(left, { ...TRAINING, exits: TRAINED, losses: { exit_2: [3] } });
  const none = trainingOf(left, now, [0], [now[0]!], 1);
  assert.equal(none, { ...TRAINING, exits: TRAINED, losses: {} }, 'the first list stays');
});

test('where all of them are left nothing is named, and a joint loss goes with the last', () => {
  const now = [head('exit_1', 0, 'a'), head('exit_2', 0, 'b')];
  assert.equal(trainingOf(TRAINING, BEFORE, [1, 2], now, 1), {
    ...TRAINING,
    losses: { exit_1: [2], exit_2: [3] },
  });
  const joint: Training = { ...base, losses: { joint: [4] } };
  assert.equal(trainingOf(joint, BEFORE, [1], [now[0]!], 1).losses, { joint: [4] });
  assert.equal(trainingOf(joint, BEFORE, [0], [BEFORE[0]!], 1).losses, {});
});

test.run();
