/** The trials themselves: the cheapest of each file once, and that each kind of hostile file begins as one that is read. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { freshFolder, put } from '../data/fixtures.ts';
import { tryEach } from '../fuzz/try-each.ts';
import { ROOT } from '../house/sources.ts';
import { tryHostile } from './hostile.ts';
import { HOSTILE_KINDS } from './hostile-kinds.ts';

const test = suite('attack: trials');
const attack = (...words: string[]) =>
  spawnSync(process.execPath, ['--import', 'tsx', join(ROOT, 'scripts/attack.ts'), ...words], {
    cwd: ROOT,
    encoding: 'utf8',
  });

test('one attempt of one trial of each file ends with 0 and a table', () => {
  const names = ['kill: merge', 'damage: shards', 'full disk: merge', 'locks: six', 'hostile: npz', 'server: restarts'];
  const { status, stdout, stderr } = attack('--attempts', '1', ...names);
  assert.is(status, 0, stdout + stderr);
  for (const name of names)
    assert.match(stdout, new RegExp(`^\\| ${name}.* \\| (\\d+ \\| 0 \\| 0|skipped \\| \\|) \\|$`, 'm'));
}); // biome-ignore format: a list

test('trials that there are not, and options that mean nothing', () => {
  for (const words of [['no-such-trial'], ['--seed', 'x'], ['--minutes', '0'], ['--attempts', '0']])
    assert.is(attack(...words).status, 1);
});

for (const kind of HOSTILE_KINDS)
  test(`the whole files of ${kind.name} are read`, async () => {
    const folder = freshFolder();
    await kind.lay(folder);
    assert.equal(await tryHostile(kind.name, [folder]), { outcomes: { accepted: 1 }, failures: [] });
  });

test('memory beyond what is allowed is a fault', async () => {
  const [whole, folder] = [freshFolder(), freshFolder()];
  const kind = HOSTILE_KINDS.find(({ name }) => name === 'JSONL, compressed')!;
  await kind.lay(whole);
  const row = `{"x": [${Array(6).fill('1.5').join()}], "label": 0, "note": "${'x'.repeat(50_000_000)}"}\n`;
  writeFileSync(join(folder, 'a.jsonl.gz'), gzipSync(row.repeat(2)));
  const { failures } = await tryHostile(kind.name, [whole, folder], 20);
  assert.match(failures.map(({ problem }) => problem).join(), /it took \d+ MiB/);
});

test('so are errors without a code, bugs that say so, crashes, and no end', async () => {
  const script = put(
    join(freshFolder(), 'reader.ts'),
    `import { shardsMixed } from '${ROOT}/src/errors/index.ts';
    import { readEach } from '${ROOT}/test/fuzz/try-each.ts';
    import { whenAsked } from '${ROOT}/test/fuzz/watched.ts';
    whenAsked((batch) => readEach(batch, async (file) => {
      if (file === 'uncoded') throw new RangeError('of the stack');
      if (file === 'bug') { const error = shardsMixed('a', 1, 2); error.hint += ' Please report it.'; throw error; }
      if (file === 'refused') throw shardsMixed('a', 1, 2);
      if (file === 'crash') process.kill(process.pid, 'SIGSEGV');
      if (file === 'endless') for (;;) {}
    }));`,
  );
  const files = ['good', 'uncoded', 'bug', 'crash', 'refused', 'endless', 'good'];
  const limits = { silenceMs: 15_000, heapMb: 256 };
  const { outcomes, failures } = await tryEach(script, { files, time: 600_000 }, limits);
  assert.equal(outcomes, { accepted: 2, failed: 2, 'shards-mixed': 1 });
  assert.equal(
    failures.map(({ file }) => file),
    ['uncoded', 'bug', 'crash', 'endless'],
  );
  const mentions = ['of the stack', 'a fault of Offramp', 'SIGSEGV', 'hangs'];
  for (const [i, mention] of mentions.entries()) assert.match(failures[i]!.problem, mention);
});

test.run();
