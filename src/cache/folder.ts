import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where decoded data and features are kept unless told otherwise: XDG_CACHE_HOME, or ~/.cache. */
export const defaultCache = (): string =>
  join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'offramp');
