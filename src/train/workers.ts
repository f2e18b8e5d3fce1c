/**
 * Heads that share no loss train side by side, each worker thread with ONNX Runtime threads of its own: two workers with
 * one thread each see 1.4 times the samples of one session with two (bench/README.md).
 */
import { Worker } from 'node:worker_threads';
import { OfframpError, workerEnded } from '../errors/index.ts';
import type { Head } from '../passes/exits.ts';
import type { CachedFeatures, CachedSource } from './feature-source.ts';
import type { TrainOptions, TrainProgress } from './train-options.ts';

/** What a worker is given: plain data. */
export interface Assignment {
  readonly heads: readonly Head[];
  readonly features: CachedFeatures;
  readonly options: TrainOptions;
  /** One number that all workers share; when it is not 0 they stop between two steps. */
  readonly stop: Int32Array;
}

/** A message of a worker. */
export type Report =
  | { readonly kind: 'progress'; readonly progress: TrainProgress }
  | { readonly kind: 'trained'; readonly heads: Head[] }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string; readonly hint: string };

/** `heads` in at most `count` groups of about the same MACs: the largest first, each to the group with the least so far. */
export function groupByMacs(heads: readonly Head[], count: number): Head[][] {
  const groups = Array.from({ length: Math.min(count, heads.length) }, () => ({
    macs: 0,
    heads: [] as Head[],
  }));
  for (const head of heads.toSorted((a, b) => b.macs - a.macs)) {
    const least = groups.reduce((a, b) => (b.macs < a.macs ? b : a));
    least.heads.push(head);
    least.macs += head.macs;
  }
  return groups.map((group) => group.heads);
}

/** Trains `heads` as `trainHeads` does, one worker for each group, `threads` threads in all. */
export async function trainInWorkers(
  heads: readonly Head[],
  source: CachedSource,
  options: TrainOptions,
  threads: number,
): Promise<Head[]> {
  const { signal, onProgress, ...plain } = options;
  const groups = groupByMacs(heads, threads);
  const session = { ...options.session, threads: Math.floor(threads / groups.length) };
  const report = slowest(groups.length, onProgress);
  const stop = new Int32Array(new SharedArrayBuffer(4));
  const running = groups.map((group, i) =>
    start(
      {
        heads: group,
        features: source.filesOf(group.map((head) => head.exit.id)),
        options: { ...plain, session },
        stop,
      },
      (progress) => report(i, progress),
    ),
  );
  try {
    const finished = Promise.all(running.map(({ heads }) => heads));
    const trained = (await (signal ? Promise.race([finished, abortOf(signal)]) : finished)).flat();
    return heads.map((head) => trained.find(({ exit }) => exit.id === head.exit.id)!);
  } finally {
    // Not `terminate`: a thread that is stopped inside ONNX Runtime takes the process with it (Napi::Error, abort).
    Atomics.store(stop, 0, 1);
    await Promise.all(running.map(({ ended }) => ended));
  }
}

/** Rejects when `signal` aborts. */
function abortOf(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  });
}

/** Merges the progress of all groups: a step is reported when the slowest group has finished it, losses added up. */
function slowest(groups: number, onProgress: TrainOptions['onProgress']) {
  const steps = new Map<number, (TrainProgress | undefined)[]>();
  return (group: number, progress: TrainProgress): void => {
    const step = steps.get(progress.done) ?? new Array<undefined>(groups).fill(undefined);
    step[group] = progress;
    steps.set(progress.done, step);
    const all = step.filter((p) => p !== undefined);
    if (all.length < groups) return;
    steps.delete(progress.done);
    const loss = all.reduce((sum, p) => sum + p.loss, 0);
    const losses = Object.assign({}, ...all.map((p) => p.losses));
    onProgress?.({ ...progress, loss, losses, rate: Math.min(...all.map((p) => p.rate)) });
  };
}

function start(assignment: Assignment, onProgress: (progress: TrainProgress) => void) {
  const worker = open(assignment);
  const heads = new Promise<Head[]>((resolve, reject) => {
    worker.on('message', (report: Report) => {
      if (report.kind === 'progress') onProgress(report.progress);
      else if (report.kind === 'trained') resolve(report.heads);
      else reject(new OfframpError(report.code, report.message, report.hint));
    });
    worker.on('error', reject);
    worker.on('exit', (code) => reject(workerEnded(code)));
  });
  heads.catch(() => {});
  const ended = new Promise<void>((resolve) => worker.on('exit', () => resolve()));
  return { heads, ended };
}

/** The built package has `train/worker.js` in dist/; a clone runs the source, for which the worker needs tsx as well. */
function open(assignment: Assignment): Worker {
  const workerData = assignment;
  if (!import.meta.url.endsWith('.ts'))
    return new Worker(new URL('./train/worker.js', import.meta.url), { workerData });
  const entry = new URL('./worker.ts', import.meta.url).href;
  const tsx = import.meta.resolve('tsx/esm/api');
  const code = `import(${JSON.stringify(tsx)}).then((tsx) => { tsx.register(); return import(${JSON.stringify(entry)}); });`;
  return new Worker(code, { eval: true, workerData });
}
