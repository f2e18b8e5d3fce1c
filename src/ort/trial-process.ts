/** One run of a model in a process of its own, which is killed when it takes too long: in this one nothing could, not even Ctrl-C. */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { InferenceSession } from 'onnxruntime-node';
import { type Feeds, type SessionOptions, toOrtOptions } from './session.ts';

/** What the process is given: plain data. */
export interface Trial {
  readonly bytes: Uint8Array;
  readonly options: InferenceSession.SessionOptions;
  readonly feeds: Readonly<
    Record<string, { readonly type: string; readonly data: unknown; readonly dims: readonly number[] }>
  >;
}

/**
 * Whether one run of the model `bytes` on `feeds`, for all its outputs, ends within `limitMs`, the start of the process included: also with an
 * error, which is met again where it is said. A process that is ended from outside counts as one that did not end.
 */
export async function endsWithin(
  bytes: Uint8Array,
  feeds: Feeds,
  options: SessionOptions,
  limitMs: number,
): Promise<boolean> {
  const plain = Object.entries(feeds).map(([name, { type, data, dims }]) => [name, { type, data, dims }]);
  const trial: Trial = { bytes, options: toOrtOptions(options), feeds: Object.fromEntries(plain) };
  const child = start();
  let timer: NodeJS.Timeout | undefined;
  try {
    return await new Promise<boolean>((resolve) => {
      child.once('error', () => resolve(true));
      child.once('exit', (_, signal) => resolve(signal === null));
      child.once('spawn', () => {
        timer = setTimeout(() => resolve(false), limitMs);
        child.send(trial, () => {});
      });
    });
  } finally {
    clearTimeout(timer);
    child.kill('SIGKILL');
  }
}

/** The built package has `ort/trial.js` in dist/; a clone runs the source, for which the process needs tsx as well. */
function start(): ChildProcess {
  const [entry, execArgv] = import.meta.url.endsWith('.ts')
    ? ['./trial.ts', ['--import', import.meta.resolve('tsx')]]
    : ['./ort/trial.js', []];
  return fork(fileURLToPath(new URL(entry, import.meta.url)), [], {
    execArgv,
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
}
