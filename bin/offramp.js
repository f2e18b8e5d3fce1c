#!/usr/bin/env node
// Plain JavaScript, no dependencies: it must live to say that Node.js is too old or a package is missing.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  stop(
    `offramp needs Node.js 20.19 or newer; this is ${process.version}.`,
    'Install a newer Node.js: https://nodejs.org',
  );
}

try {
  process.cwd();
} catch {
  stop(
    'offramp: the working directory is not there any more [working-directory-gone]',
    '  Change to a folder that is there, and run the command again.',
  );
}

try {
  createRequire(import.meta.url)('onnxruntime-node');
} catch (error) {
  const reason = String(error?.message ?? error).split('\n')[0];
  const system = `${process.platform}/${process.arch}`;
  stop(
    `offramp needs onnxruntime-node, and it does not load on this machine (${system}): ${reason}`,
    system === 'darwin/x64'
      ? 'onnxruntime-node has no build for Macs with an Intel processor. Use Linux, Windows, or an Apple-silicon Mac.'
      : 'Run `npm ci` (or `npm install`) again on this machine. It runs on linux, win32 (x64, arm64) and darwin (arm64), with glibc on Linux.',
  );
}

const source = new URL('../src/cli/index.ts', import.meta.url);
if (existsSync(source)) {
  const { register } = await import('tsx/esm/api');
  register();
  await import(source.href);
} else {
  await import('../dist/cli/index.js');
}

function stop(problem, hint) {
  process.stderr.write(`${problem}\n${hint}\n`);
  process.exit(1);
}
