/** A short run of what `npm run fuzz -- lowering` does at length. */
import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { cases, checkCase, type Seen } from '../fuzz/lowering.ts';

const test = suite('passes: random classifiers');

test('closed exits leave the original, open ones do what heads and policy do by hand', async () => {
  const all: Seen[] = [];
  const property = fc.asyncProperty(cases, async (c) => void all.push(await checkCase(c)));
  await fc.assert(property, { seed: 1, numRuns: 15 });
  assert.ok(all.filter((seen) => seen.ways > 1).length > 4, 'batches leave at several places');
});

test.run();
