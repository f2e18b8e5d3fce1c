import { homedir } from 'node:os';
import { join } from 'node:path';

/** The default folder of decoded data and features: XDG_CACHE_HOME, or ~/.cache. */
export const defaultCache = (): string =>
  join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'offramp');
