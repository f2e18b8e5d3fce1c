/** Where benchmarks find models and pictures, and keep what they trained. */
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Places {
  /** Folder of the ONNX files. */
  readonly models: string;
  /** Folder with train/, calibration/ and test/ of CIFAR-10. */
  readonly pictures: string;
  /** Where what was trained is kept. */
  readonly keep: string;
  readonly cache?: string | undefined;
}

/** For `parseArgs`: options that say where things are. */
export const PLACES = {
  models: { type: 'string', default: process.env.MODELS },
  pictures: { type: 'string', default: process.env.PICTURES },
  cache: { type: 'string' },
  keep: { type: 'string' },
} as const;

/** The places that a command line names; ends the process where it does not say enough. `name` is the benchmark's. */
export function placesOf(
  { models, pictures, cache, keep }: Partial<Record<keyof typeof PLACES, string | undefined>>,
  name: string,
): Places {
  if (models && pictures) return { models, pictures, cache, keep: keep ?? join(tmpdir(), `offramp-${name}`) };
  console.error('--models and --pictures, or MODELS and PICTURES, say where networks and pictures are');
  process.exit(2);
}
