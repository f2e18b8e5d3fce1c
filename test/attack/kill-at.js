/**
 * Loaded into a process before all else: counts its changes to files from the event `attack` on, prints their number at the end, and at
 * the change KILL_AT, before or after it, sends SIGKILL to the process. So kills hit where they matter, whatever the machine's speed.
 */
import fs from 'node:fs';
import promises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';

const CHANGES = ['appendFile', 'copyFile', 'cp', 'link', 'mkdir', 'rename', 'rm', 'rmdir', 'symlink', 'truncate', 'unlink', 'utimes', 'writeFile']; // biome-ignore format: a list
/** Of an open file. */
const WRITES = ['write', 'writev', 'ftruncate', 'fsync', 'fdatasync'];
const HANDLE_WRITES = ['appendFile', 'datasync', 'sync', 'truncate', 'write', 'writeFile', 'writev'];
const killAt = Number(process.env.KILL_AT ?? 'Infinity');

let changes = -1;
process.once('attack', () => {
  changes = 0;
  process.once('exit', () => fs.writeSync(1, `${changes} changes\n`));
});

/** Counts `name` of `owner` as a change; every second of them is killed behind it. */
function watch(owner, name, isPromise) {
  const original = owner[name];
  if (!original) return;
  owner[name] = function (...args) {
    const isLast = changes >= 0 && ++changes === killAt;
    if (!isLast) return original.apply(this, args);
    if (killAt % 2 === 0) kill();
    const result = original.apply(this, args);
    if (!isPromise) return kill();
    return result.then(kill);
  };
}

const kill = () => process.kill(process.pid, 'SIGKILL');

const handle = await promises.open(process.execPath);
const prototype = Object.getPrototypeOf(handle);
await handle.close();
for (const name of HANDLE_WRITES) watch(prototype, name, true);
for (const name of CHANGES) watch(promises, name, true);
for (const name of [...CHANGES, ...WRITES]) watch(fs, `${name}Sync`, false);
syncBuiltinESMExports();
