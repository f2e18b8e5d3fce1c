/** Assertions on coded errors. */
import * as assert from 'uvu/assert';
import { OfframpError } from '../src/errors/index.ts';

/** For `assert.throws`: the error has this code. */
export const hasCode = (code: string) => (error: unknown) =>
  error instanceof OfframpError && error.code === code;

/** Fails unless `run` rejects with an OfframpError of this code; returns the error. */
export async function rejectsWith(code: string, run: () => Promise<unknown>): Promise<OfframpError> {
  try {
    await run();
  } catch (error) {
    assert.instance(error, OfframpError, `expected ${code}, got ${error}`);
    assert.is((error as OfframpError).code, code);
    return error as OfframpError;
  }
  throw new Error(`expected ${code}, nothing was thrown`);
}
