/** The folder that stands in for an output: what it holds, and that nothing of it is left. */
import { spawnSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ownName, self } from '../../src/cache/process.ts';
import { openDataFolder } from '../../src/networks/data-folder.ts';
import { ROOT } from '../house/sources.ts';

const test = suite<{ cache: string }>('networks: data folder');

test.before.each((context) => {
  context.cache = mkdtempSync(join(tmpdir(), 'offramp-cache-'));
});
test.after.each(({ cache }) => rmSync(cache, { recursive: true, force: true }));

const DATA = new Map([['deep/w.bin', [Uint8Array.of(1, 2), Uint8Array.of(3)]]]);

test('pieces are one file at their location, folders are made', async ({ cache }) => {
  const parent = join(cache, 'not/there/yet');
  const { folder, close } = await openDataFolder(DATA, parent);
  assert.equal([...readFileSync(join(folder!, 'deep/w.bin'))], [1, 2, 3]);
  const listeners = process.listenerCount('exit');
  await close();
  assert.is(process.listenerCount('exit'), listeners - 1);
  assert.equal(readdirSync(parent), []);
});

test('what killed processes left is removed, what others use is not', async ({ cache }) => {
  const deadPid = spawnSync(process.execPath, ['-e', '']).pid;
  const dead = JSON.stringify({ ...(await self()), pid: deadPid });
  const far = JSON.stringify({ pid: 1, host: 'another.machine' });
  const owners = {
    'external-data-dead': dead,
    'external-data-mine': await ownName(),
    'external-data-far': far,
    'external-data-far-silent': far,
    'features-dead': dead,
  };
  for (const [name, owner] of Object.entries(owners)) {
    mkdirSync(join(cache, name, 'files'), { recursive: true });
    writeFileSync(join(cache, name, 'owner'), owner);
  }
  utimesSync(join(cache, 'external-data-far-silent/owner'), 1, 1);
  await (await openDataFolder(DATA, cache)).close();
  assert.equal(readdirSync(cache).sort(), ['external-data-far', 'external-data-mine', 'features-dead']);
});

test('a process that ends without closing leaves nothing', ({ cache }) => {
  const code = `
    const { openDataFolder } = await import('./src/networks/data-folder.ts');
    const { folder } = await openDataFolder(new Map([['w.bin', [new Uint8Array(3)]]]), ${JSON.stringify(cache)});
    console.log(folder);
    process.exit(130);`;
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--import', 'tsx', '--input-type=module', '-e', code],
    { cwd: ROOT, encoding: 'utf8' },
  );
  assert.is(status, 130, stderr);
  assert.ok(stdout.startsWith(cache));
  assert.equal(readdirSync(cache), []);
});

test.run();
