/** The command line without a process of its own, whose start takes longer than most commands. */
import { register } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from './house/sources.ts';

export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** cli.ts reads its arguments when it is loaded, and cli/ keeps state: each run loads both anew, under a `?run=` of its own. */
const loadAnew = `export async function resolve(specifier, context, next) {
  const found = await next(specifier, context);
  const run = context.parentURL?.match(/\\/src\\/cli\\b.*(\\?run=\\d+)$/)?.[1];
  return run && found.url.includes('/src/cli/') ? { ...found, url: found.url + run } : found;
}`;
register(`data:text/javascript,${encodeURIComponent(loadAnew)}`);
let runs = 0;

const STREAMS = ['stdout', 'stderr'] as const;

/** The command line itself, anew: what yargs knows of it. */
export async function loadCli(): Promise<typeof import('../src/cli/index.ts').cli> {
  return (await loadedCli()).cli;
}

export async function loadedCli(): Promise<typeof import('../src/cli/index.ts')> {
  await runCli(tmpdir(), []);
  return await import(`../src/cli/index.ts?run=${runs}`);
}

/** Runs `offramp ...words` in `folder`. */
export async function runCli(folder: string, words: readonly string[]): Promise<Ended> {
  const told = { stdout: '', stderr: '' };
  const before = {
    argv: process.argv,
    folder: process.cwd(),
    exitCode: process.exitCode,
    listeners: process.listeners('SIGINT'),
    errorListeners: STREAMS.map((name) => process[name].listeners('error') as (() => void)[]),
    stdout: process.stdout.write,
    stderr: process.stderr.write,
  };
  process.argv = [process.execPath, join(ROOT, 'bin/offramp.js'), ...words];
  process.chdir(folder);
  process.exitCode = undefined;
  for (const name of STREAMS)
    process[name].write = (text: unknown) => {
      told[name] += text;
      return true;
    };
  try {
    await import(`../src/cli/index.ts?run=${++runs}`);
    return { ...told, status: Number(process.exitCode ?? 0) };
  } finally {
    process.argv = before.argv;
    process.chdir(before.folder);
    process.stdout.write = before.stdout;
    process.stderr.write = before.stderr;
    process.exitCode = before.exitCode;
    for (const [i, name] of STREAMS.entries())
      for (const listener of process[name].listeners('error') as (() => void)[])
        if (!before.errorListeners[i]!.includes(listener)) process[name].off('error', listener);
    for (const listener of process.listeners('SIGINT'))
      if (!before.listeners.includes(listener)) process.off('SIGINT', listener);
  }
}
