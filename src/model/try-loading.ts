/** Whose fault it is that a session did not open: the file's, or what Offramp made of it. */
import { messageOf, modelNotLoadable, OfframpError } from '../errors/index.ts';
import { type SessionOptions, withSession } from '../ort/session.ts';
import type { LoadedModel } from '../parser/index.ts';

/** `session-failed`, or an error that ONNX Runtime's refusal led to. */
const FAILED = new Set(['session-failed', 'raised-model-differs', 'cannot-raise-opset']);

/**
 * What `work`, which runs models made of the file `source`, gives. Where a session fails, the file is tried by itself: throws
 * `model-not-loadable` if ONNX Runtime cannot load it, else what `work` threw. `who`: as messages call it, where there are several.
 */
export async function orNotLoadable<T>(
  { path, bytes, folder }: LoadedModel,
  session: SessionOptions | undefined,
  who: string | undefined,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof OfframpError) || !FAILED.has(error.code)) throw error;
    const alone: SessionOptions = { ...session, externalDataFolder: folder, optimization: 'disabled' };
    await withSession(bytes, alone, async () => {}).catch((refusal) => {
      throw modelNotLoadable(path, who, messageOf(refusal.cause ?? refusal), refusal);
    });
    throw error;
  }
}
