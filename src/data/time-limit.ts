/** Work that cannot be stopped from inside: a regex may look for a match for ages, and nothing else of the process runs meanwhile. */
import { createContext, Script } from 'node:vm';

/** What stopped a call of `withTimeLimit`. */
export class TooLong extends Error {}

/** What `work` gives. Throws `TooLong` where it is not done after `ms` of wall-clock time, and what `work` throws. */
export function withTimeLimit<T>(ms: number, work: () => T): T {
  // Of Node's ways only a script's timeout stops a regex.
  const before = box.work;
  box.work = work;
  try {
    return CALL.runInContext(context, { timeout: ms }) as T;
  } catch (error) {
    if ((error as { code?: unknown } | null)?.code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error;
    throw new TooLong(`stopped after ${ms / 1000} seconds`);
  } finally {
    box.work = before;
  }
}

const CALL = new Script('work()');
const box: { work?: (() => unknown) | undefined } = {};
const context = createContext(box);
