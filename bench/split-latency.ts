/** How long an answer takes where the network is slow: all here, all there, or split. For split.ts. */

import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { quantile } from '../src/predict/measure-latency.ts';
import { markdown } from './markdown.ts';
import type { Places } from './places.ts';
import { delayed, load, picturesIn, prepare, SUBJECTS, serve } from './split-subjects.ts';

const DELAYS = [5, 40, 200];
const PICTURES = 200;

/** One picture after the other, each asked of all ways in turn. */
export async function latencySection(places: Places): Promise<string> {
  const pictures = await picturesIn([join(places.pictures, 'test')], PICTURES);
  const rows: string[][] = [];
  for (const subject of SUBJECTS) {
    const { whole, split, name } = await prepare(subject, places);
    const here = await load(whole);
    const rest = await serve(join(split, 'server'));
    for (const ms of DELAYS) {
      const toRest = await delayed(rest.url, ms);
      const client = await load(join(split, 'client'), toRest.url);
      // Everything is asked for where the front's only exit is closed: there the rest is the original itself.
      const ways = [
        { way: 'all here', model: here.model, at: here.defaultPoint },
        { way: 'split', model: client.model, at: here.defaultPoint },
        { way: 'all there', model: client.model, at: 'exact' },
      ];
      const times = ways.map(() => [] as number[]);
      let asked = 0;
      for (const picture of pictures)
        for (const [i, { way, model, at }] of ways.entries()) {
          const start = performance.now();
          const [answer] = await model.classify(picture, { at });
          times[i]!.push(performance.now() - start);
          if (way === 'split' && answer!.where === 'server') asked++;
        }
      for (const [i, { way }] of ways.entries()) {
        const sorted = Float64Array.from(times[i]!);
        const mean = sorted.reduce((sum, time) => sum + time, 0) / sorted.length;
        rows.push([
          name,
          String(ms),
          way === 'split' ? `split, ${((100 * asked) / pictures.length).toFixed(1)} % asked` : way,
          mean.toFixed(1),
          quantile(sorted, 0.95).toFixed(1),
        ]);
      }
      await client.model.release();
      await toRest.close();
    }
    await here.model.release();
    await rest.close();
  }
  return markdown([['chain', 'delay, ms', 'way', 'mean, ms', 'p95, ms'], ...rows]);
}
