/** Parts of small chains, one after the other, against the whole model and against plain arithmetic. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { checkGraph } from '../../src/graph/check.ts';
import { Tensor } from '../../src/ort/session.ts';
import { type LowerOptions, lowerChain } from '../../src/passes/lower-exits.ts';
import { lowerPart } from '../../src/passes/lower-part.ts';
import { tinyResidual } from '../models.ts';
import { COUNT } from './by-hand.ts';
import { chained, front, type Link, last, pictures, quarters, twoWays } from './chain-by-hand.ts';
import { runParts, runWhole } from './parts-by-hand.ts';

const test = suite('lower-part');
const inputs = { image: new Tensor('float32', pictures, [COUNT, 3, 8, 8]) };

const small = await front(twoWays({ seed: 20 }), 'first_1');
const withTaps = await front(twoWays({ seed: 30 }), 'first_1', ['left', 'right']);
const second = await front(twoWays({ seed: 40, opset: 17 }), 'first_2', ['left'], [1, 2, 3, 4, 0]);
const withExits = await last(tinyResidual({ seed: 5 }), ['block1', 'block2']);

test('two parts are the whole, cut behind every exit', async () => {
  for (const links of [
    [small, withExits],
    [withTaps, second, withExits],
  ]) {
    const networks = chained(links);
    const thresholds = quarters(links);
    const K = thresholds.length;
    for (const final of [0, 0.25])
      for (const baked of [
        undefined,
        thresholds,
        thresholds.map((t, k) => (k % 2 ? 1 : t)),
        thresholds.map((t, k) => (k % 2 ? t : 1)),
      ]) {
        const options: LowerOptions = { policy: 'max-prob', final, baked };
        const whole = lowerChain(networks, options);
        for (let cut = 1; cut <= K; cut++) {
          const parts = [
            lowerPart(networks, { from: 0, to: cut }, options),
            lowerPart(networks, { from: cut }, options),
          ];
          for (const part of parts) checkGraph(part.model.graph);
          for (const batch of [1, 7, 64]) {
            const how = { batch, thresholds: baked ? undefined : thresholds };
            const a = await runWhole(whole, inputs, COUNT, how);
            const b = await runParts(parts, inputs, COUNT, K, how);
            assert.equal(b.exits, a.exits, `cut ${cut} batch ${batch}`);
            const gap = Math.max(...a.scores.map((z, i) => Math.abs(z - b.scores[i]!)));
            assert.ok(gap <= 1e-5 * Math.max(...a.scores.map(Math.abs)), `${gap}`);
              links.length,
              final,
              !!baked,
              cut,
              batch,
              gap,
              parts[1]!.takes.map((t) => t.name + ':' + t.role).join(' '),
            );
          }
        }
      }
  }
});

test.run();
