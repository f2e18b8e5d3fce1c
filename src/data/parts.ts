import { existsSync } from 'node:fs';
import { ambiguousPart, unknownPart } from '../errors/index.ts';

/** `folder#train` as place and part; a path that is there as it stands has no part. */
export function splitPart(path: string): { place: string; part: string | undefined } {
  const [, place, part] = existsSync(path) ? [] : (/^(.+)#([^#/\\]+)$/.exec(path) ?? []);
  return { place: place ?? path, part };
}

/** Files of `part`, or of the only part there is. */
export function chooseFiles(
  place: string,
  parts: ReadonlyMap<string, readonly string[]>,
  part: string | undefined,
): readonly string[] {
  const names = [...parts.keys()];
  if (part === undefined && names.length > 1) throw ambiguousPart(place, names);
  const files = parts.get(part ?? names[0]!);
  if (!files) throw unknownPart(place, part!, names);
  return files;
}
