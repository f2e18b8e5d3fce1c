import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import * as assert from 'uvu/assert';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/**
 * The most memory, in MiB, that a process has while it runs `script`, a module in the repository's root, with `env` added. On Linux only. Not by
 * `resourceUsage`, whose peak a process begins with that of its parent.
 */
export async function peakOfScript(script: string, env: Record<string, string> = {}): Promise<number> {
  const measured = `${script}
    import { readFileSync } from 'node:fs';
    console.log(/VmHWM:\\s*(\\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))[1]);`;
  const args = ['--import', 'tsx', '--input-type=module', '-e', measured];
  const child = spawn(process.execPath, args, {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const closed = once(child, 'close');
  let text = '';
  for await (const chunk of child.stdout) text += chunk;
  const [exitCode] = await closed;
  assert.is(exitCode, 0);
  return Number(text) / 1024;
}
