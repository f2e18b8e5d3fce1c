/** A compile from a damaged or a bounded cache. `npm run attack -- damage` tries files at random. */
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { compile } from '../../src/commands/compile.ts';
import { Random } from '../../src/graph/random.ts';
import { reproduction } from '../../src/report/reproduction.ts';
import { type Damage, damage, filesIn } from '../damage.ts';
import { assertSamePackage, manifestIn } from '../timeless.ts';
import { tinyProject } from '../tiny-project.ts';

const test = suite('cache: damage');
const { at, writeSamples, compileOptions, remove } = tinyProject('damaged', {
  epochs: 1,
  report: false,
  timing: false,
  taps: ['block1'],
});
test.after(remove);

test.before(async () => {
  await writeSamples({ train: 300, calibration: 60, test: 15 });
  await compile(compileOptions('whole'));
});

/** A compile from the whole cache with these files damaged, all at once, writes what a compile from an empty one does. */
async function mends(name: string, isDamaged: (file: string) => boolean, how: Damage): Promise<void> {
  const cache = at(`${name}-cache`);
  cpSync(at('cache'), cache, { recursive: true });
  const files = filesIn(cache).filter(isDamaged);
  assert.ok(files.length > 0);
  for (const file of files) damage(join(cache, file), how, new Random(2, file));
  await compile(compileOptions(name, { cache }));
  assertSamePackage(at(name), at('whole'));
}

test('a flipped bit in every file of records, features and predictions', () =>
  mends('flipped', (file) => !file.endsWith('.json'), 'flip'));

test('a flipped bit in every file that describes the others', () =>
  mends('marks', (file) => file.endsWith('.json'), 'flip'));

test('a limit that cuts views is noted, kept in the manifest, and needed to do it again', async () => {
  const notes: string[] = [];
  const cacheLimit = 300_000;
  const options = compileOptions('limited', { cacheLimit });
  await compile(options, { onNote: (note) => void notes.push(note.message) });
  assert.ok(notes.some((note) => note.includes(`1 of 2 views fit into \`cacheLimit: ${cacheLimit}\``)));
  const { training } = manifestIn(at('limited'));
  assert.equal([training!.views, training!.cacheLimit], [2, cacheLimit]);
  assert.match(String(reproduction(manifestIn(at('limited'))).content), `--cache-limit ${cacheLimit}`);
  assert.is(manifestIn(at('whole')).training!.cacheLimit, undefined);
});

test.run();
