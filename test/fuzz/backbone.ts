/** Random classifiers, whole by construction: a recipe is a list of steps, and every list of steps can be built. */
import * as fc from 'fast-check';
import type { Model } from '../../src/graph/types.ts';
import { ENDS, Net, type Recipe } from './net.ts';
import { STEPS } from './steps.ts';

export const recipes: fc.Arbitrary<Recipe> = fc.record({
  opset: fc.integer({ min: 11, max: 21 }),
  batch: fc.constantFrom('N', 'N', 'N', 1),
  input: fc.constantFrom([3, 8, 8], [1, 6, 5], [4, 8, 8], [5, 6], [4, 8], [7], [12]),
  steps: fc.array(
    fc.record({
      op: fc.constantFrom(...Object.keys(STEPS)),
      which: fc.nat({ max: 3 }),
      other: fc.nat({ max: 15 }),
    }),
    { minLength: 2, maxLength: 14 },
  ),
  classes: fc.integer({ min: 2, max: 6 }),
  end: fc.constantFrom(...ENDS),
  weights: fc.constantFrom('initializers', 'initializers', 'inputs', 'constants'),
  measured: fc.boolean(),
  oddNames: fc.boolean(),
  seed: fc.nat({ max: 1e6 }),
}) as fc.Arbitrary<Recipe>;

export function buildBackbone(recipe: Recipe): Model {
  const net = new Net(recipe);
  const input = net.sample();
  net.values.push(input);
  // So that taps stand behind the measured batch size, and what follows them needs it again.
  if (recipe.measured) net.values.push(net.reshaped(input, recipe.input));
  for (const { op, which, other } of recipe.steps) {
    const nearest = net.values.toReversed();
    for (const value of [...nearest.slice(which), ...nearest.slice(0, which)]) {
      const made = STEPS[op]!(net, value, other);
      if (!made) continue;
      net.values.push(made);
      break;
    }
  }
  return net.finish(net.values.at(-1)!);
}
