/** A worker thread's whole life: train the heads it was given, say how it goes, end. */
import { parentPort, workerData } from 'node:worker_threads';
import { OfframpError } from '../errors.ts';
import { CachedSource } from './feature-source.ts';
import { trainHeads } from './train.ts';
import type { Assignment, Report } from './workers.ts';

const say = (report: Report) => parentPort!.postMessage(report);
const { heads, features, options } = workerData as Assignment;
const source = new CachedSource(features);
try {
  const onProgress = (progress: Extract<Report, { kind: 'progress' }>['progress']) =>
    say({ kind: 'progress', progress });
  say({ kind: 'trained', heads: await trainHeads(heads, source, { ...options, onProgress }) });
} catch (error) {
  if (!(error instanceof OfframpError)) throw error;
  say({ kind: 'failed', code: error.code, message: error.message, hint: error.hint });
} finally {
  await source.close();
}
