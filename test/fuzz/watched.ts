/** Scripts that may hang or crash, in a process of their own. */
import { spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Of anything, where the shell can limit it: what a model asks for beyond it is refused to ONNX Runtime, not taken from the machine. */
const DATA_KB = 4_000_000;

const HERE = fileURLToPath(new URL('.', import.meta.url));

export interface Limits {
  /** A process that says nothing for so long hangs. */
  readonly silenceMs: number;
  /** Of JavaScript's own. */
  readonly heapMb: number;
}

const LIMITS: Limits = { silenceMs: 30_000, heapMb: 256 };

/** In a script: what it was started for. */
export function whenAsked<Argument>(work: (argument: Argument) => Promise<void>): void {
  process.once('message', async ({ argument }: { argument: Argument }) => {
    await work(argument);
    process.disconnect();
  });
}

/**
 * Runs the module `script`, a path from this folder on, sends it `argument`, and hands on what it sends. Resolves with how it ended, undefined
 * when it disconnected by itself.
 */
export function watched<Cry>(
  script: string,
  argument: unknown,
  onCry: (cry: Cry) => void,
  { silenceMs, heapMb }: Limits = LIMITS,
): Promise<string | undefined> {
  return new Promise((done) => {
    const module = resolve(HERE, script);
    const node = [process.execPath, '--import', 'tsx', `--max-old-space-size=${heapMb}`, module];
    const limited = process.platform === 'linux' ? ['sh', '-c', `ulimit -d ${DATA_KB}; exec "$@"`, 'sh'] : [];
    const [command, ...args] = [...limited, ...node];
    const child = spawn(command!, args, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
    // Not on the command line: ONNX Runtime 1.30 crashes when that is longer than some 50,000 characters.
    child.send({ argument });
    let silent = false;
    let said = '';
    const kill = () => {
      silent = true;
      child.kill('SIGKILL');
    };
    let watchdog = setTimeout(kill, silenceMs);
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-2000);
    });
    child.on('message', (cry: Cry) => {
      clearTimeout(watchdog);
      watchdog = setTimeout(kill, silenceMs);
      onCry(cry);
    });
    child.on('close', (code, signal) => {
      clearTimeout(watchdog);
      if (silent) return done(`hangs: nothing heard for ${silenceMs / 1000} s`);
      done(code === 0 ? undefined : `ended with ${signal ?? `exit code ${code}`}\n${said}`);
    });
  });
}
