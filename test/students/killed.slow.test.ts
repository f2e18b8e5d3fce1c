import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Random } from '../../src/graph/random.ts';
import { temporaryFolder } from '../train/synthetic.ts';

const test = suite('students: killed');
const ENTRY = fileURLToPath(new URL('./train-tiny.ts', import.meta.url));

/** Runs a training in `cache`; `killAfter` milliseconds behind its first step it is killed. */
async function train(cache: string, killAfter = Number.POSITIVE_INFINITY) {
  const child = spawn(process.execPath, ['--import', 'tsx', ENTRY, cache], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (text) => {
    if (output === '' && killAfter < Number.POSITIVE_INFINITY)
      setTimeout(() => child.kill('SIGKILL'), killAfter);
    output += text;
  });
  const signal = await new Promise<NodeJS.Signals | null>((resolve) =>
    child.on('close', (_, s) => resolve(s)),
  );
  const steps = [...output.matchAll(/^step (\d+)\n/gm)].map(([, step]) => Number(step));
  return { signal, first: steps[0], last: steps.at(-1), learned: /learned (\w+)/.exec(output)?.[1] };
}

test('a training that was killed five times at random gives the same bytes as an undisturbed one', async () => {
  const undisturbed = await train(temporaryFolder());
  assert.equal([undisturbed.first, undisturbed.last], [1, 1440]);
  const cache = temporaryFolder();
  const random = new Random(Date.now(), 'kills');
  let kills = 0;
  let before = 0;
  while (kills < 5) {
    const { signal, first, last, learned } = await train(cache, random.integer(100, 300));
    assert.is(learned, undefined, `killed only ${kills} times before it had finished`);
    assert.is(signal, 'SIGKILL');
    assert.ok(first! <= before + 1, `went on at ${first} after ${before}`);
    before = last!;
    kills++;
  }
  assert.ok(before > 20);
  const { learned, first } = await train(cache);
  assert.ok(first! > 1);
  assert.is(learned, undisturbed.learned);
});

test.run();
