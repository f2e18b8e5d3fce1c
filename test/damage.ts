/** Damage to files of a cache, as disks, crashes and people do it. */
import {
  appendFileSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Random } from '../src/graph/random.ts';

export const DAMAGES = ['flip', 'cut', 'empty', 'extend', 'remove', 'garble'] as const;
export type Damage = (typeof DAMAGES)[number];

/** All files below `cache`, relative to it, sorted. */
export function filesIn(cache: string): string[] {
  const names = readdirSync(cache, { recursive: true, encoding: 'utf8' });
  return names.filter((name) => statSync(join(cache, name)).isFile()).sort();
}

/** Damages the file at `path` at a place that `random` draws, and says how. */
export function damage(path: string, how: Damage, random: Random): string {
  const { size } = statSync(path);
  const at = random.integer(0, Math.max(1, size));
  switch (how) {
    case 'flip': {
      const bytes = readFileSync(path);
      const bit = random.integer(0, 8);
      if (size > 0) bytes[at]! ^= 1 << bit;
      writeFileSync(path, bytes);
      return `bit ${bit} of byte ${at} of ${size} flipped`;
    }
    case 'cut':
      truncateSync(path, at);
      return `cut to ${at} of ${size} bytes`;
    case 'empty':
      truncateSync(path);
      return 'emptied';
    case 'extend':
      appendFileSync(path, new Uint8Array(1 + random.integer(0, 64)).fill(7));
      return 'extended';
    case 'remove':
      rmSync(path);
      return 'removed';
    case 'garble': {
      const bytes = readFileSync(path);
      for (let i = at; i < Math.min(size, at + 32); i++) bytes[i] = random.integer(0, 256);
      writeFileSync(path, bytes);
      return `32 bytes from ${at} of ${size} overwritten`;
    }
  }
}
