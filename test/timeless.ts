/** Compiled packages without what a clock says, so that two of them can be compared. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { Manifest } from '../src/emit/manifest.ts';
import { readManifest } from '../src/emit/manifest-json.ts';

/** Everything about a manifest that is not a clock's. */
function timeless(manifest: Manifest) {
  const points = manifest.operatingPoints.map(({ latencyMsP50: _, latencyMsMean: __, ...point }) => point);
  const { latencyMsP50: _, latencyMsMean: __, ...baseline } = manifest.baseline;
  return { ...manifest, operatingPoints: points, baseline, latency: null };
}

export const manifestIn = (folder: string) =>
  readManifest(readFileSync(join(folder, 'manifest.json'), 'utf8'));

/** Every file of a compiled package, but for what is a clock's. */
export function timelessFiles(folder: string): Record<string, unknown> {
  const text = (file: string) =>
    readFileSync(join(folder, file), 'latin1')
      .replace(/(latencyMs\w+): [\d.]+/g, '$1: 0')
      .replace(/<(section|div|td|p)( class="[^"]*")? data-clock>.*?<\/\1>/gs, '');
  return Object.fromEntries(
    readdirSync(folder)
      .sort()
      .map((file) => [file, file === 'manifest.json' ? timeless(manifestIn(folder)) : text(file)]),
  );
}

/** Fails unless both folders hold the same files, byte for byte but for what is a clock's. */
export function assertSamePackage(folder: string, expected: string): void {
  const [found, wanted] = [timelessFiles(folder), timelessFiles(expected)];
  assert.equal(Object.keys(found), Object.keys(wanted));
  for (const file of Object.keys(wanted)) assert.equal(found[file], wanted[file], file);
}
