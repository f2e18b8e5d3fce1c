/** Two packages, each of whose files says which of them it is. */
import { printManifest } from '../../src/emit/manifest-json.ts';
import { SAMPLE } from './sample.ts';

export type Which = 'old' | 'new';

/** Relative path → text. Each has a file that the other has not. */
export function packageOf(which: Which): Map<string, string> {
  const own = `${which}/weights.bin`;
  const files = new Map<string, string>(['model.onnx', 'index.js', own].map((name) => [name, which]));
  return files.set('manifest.json', printManifest({ ...SAMPLE, seed: seedOf(which), dataFiles: [own] }));
}

export const seedOf = (which: Which): number => (which === 'old' ? 1 : 2);
