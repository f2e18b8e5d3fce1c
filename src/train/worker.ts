/** Entry of a worker thread: trains the heads of its assignment and posts progress and result. */
import { parentPort, workerData } from 'node:worker_threads';
import { OfframpError } from '../errors/index.ts';
import { CachedSource } from './feature-source.ts';
import { trainHeads } from './train.ts';
import type { TrainProgress } from './train-options.ts';
import type { Assignment, Report } from './workers.ts';

const post = (report: Report) => parentPort!.postMessage(report);
const { heads, features, options, stop } = workerData as Assignment;
const stopping = new AbortController();
const source = new CachedSource(features);
try {
  const onProgress = (progress: TrainProgress) => {
    post({ kind: 'progress', progress });
    if (Atomics.load(stop, 0)) stopping.abort();
  };
  const trained = await trainHeads(heads, source, { ...options, onProgress, signal: stopping.signal });
  post({ kind: 'trained', heads: trained });
} catch (error) {
  if (error instanceof OfframpError)
    post({ kind: 'failed', code: error.code, message: error.message, hint: error.hint });
  else if (!stopping.signal.aborted) throw error;
} finally {
  await source.close();
}
