/** How many pictures are asked for, what that costs in bytes, and what it is worth. For split.ts. */
import { join } from 'node:path';
import { markdown } from './markdown.ts';
import type { Places } from './places.ts';
import { load, picturesIn, prepare, SUBJECTS, serve } from './split-subjects.ts';

const BATCH = 32;
const POINTS = ['fast', 'balanced', 'accurate', 'exact'];

/** All calibration and test pictures, through client and server; thresholds were fitted on the former. */
export async function askedSection(places: Places): Promise<string> {
  const folders = ['calibration', 'test'].map((name) => join(places.pictures, name));
  const pictures = await picturesIn(folders);
  const rows: string[][] = [];
  for (const subject of SUBJECTS) {
    const { split, name } = await prepare(subject, places);
    const server = await serve(join(split, 'server'), '--max-batch', '32');
    for (const at of POINTS) {
      const { model } = await load(join(split, 'client'), server.url);
      const [right, asked] = [new Set<number>(), new Set<number>()];
      for (let first = 0; first < pictures.length; first += BATCH) {
        const some = pictures.slice(first, first + BATCH);
        const answers = await model.classify(some, { at });
        for (const [i, { label, where }] of answers.entries()) {
          if (where !== 'client' && where !== 'server') throw new Error(`not answered: ${where}`);
          if (label === some[i]!.label) right.add(first + i);
          if (where === 'server') asked.add(first + i);
        }
      }
      const { bytesSent = 0 } = model.statistics;
      await model.release();
      const percent = (count: number) => `${((100 * count) / pictures.length).toFixed(2)} %`;
      rows.push([
        name,
        at,
        percent(asked.size),
        percent(right.size),
        (bytesSent / Math.max(1, asked.size)).toFixed(0),
        (bytesSent / pictures.length).toFixed(0),
      ]);
    }
    await server.close();
  }
  return markdown([
    ['chain', 'point', 'asked', 'right', 'bytes a picture that is asked', 'bytes a picture'],
    ...rows,
  ]);
}
