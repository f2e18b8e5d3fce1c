/** The real @huggingface/transformers, installed into a temporary folder and run in a process of its own. */
import { spawn, spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as assert from 'uvu/assert';

/** What tests were written for. */
export const LIBRARY = '@huggingface/transformers@4.3.2';

let installed: string | undefined;

/** The folder that it is installed in; the first call takes half a minute. */
export function installLibrary(): string {
  if (installed !== undefined) return installed;
  const folder = mkdtempSync(join(tmpdir(), 'offramp-library-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }\n');
  const flags = ['--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'];
  const { status, stderr } = spawnSync('npm', ['install', ...flags, LIBRARY], {
    cwd: folder,
    encoding: 'utf8',
    env: { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'skip' },
  });
  assert.is(status, 0, stderr);
  copyFileSync(fileURLToPath(new URL('run-library.mjs', import.meta.url)), join(folder, 'run-library.mjs'));
  installed = folder;
  return folder;
}

/** What `run-library.mjs` answers to `job`. */
export async function askLibrary<T>(job: object): Promise<T> {
  const child = spawn(process.execPath, ['run-library.mjs'], {
    cwd: installLibrary(),
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  child.stdin.end(JSON.stringify(job));
  const status = await new Promise((done) => child.on('close', done));
  assert.is(status, 0, 'the library ended');
  return JSON.parse(output) as T;
}
