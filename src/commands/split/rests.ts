/** What a server has at each operating point, one model wherever it is the same. */
import type { OperatingPoint } from '../../emit/manifest.ts';
import { fileOf, hashOf, lowerServer, type PartFile, partsBehind, type Splitting } from './parts.ts';

/** What comes behind the client at some operating points. */
export interface Rest {
  readonly points: readonly OperatingPoint[];
  readonly file: PartFile;
  /** The same, a part a network; empty where there is one network. */
  readonly parts: readonly PartOfNetwork[];
}

export interface PartOfNetwork extends PartFile {
  /** Id of its network. */
  readonly network: string;
}

/** Changes how features come in; their types with it. */
export type Change = (file: ReturnType<typeof lowerServer>) => ReturnType<typeof lowerServer>;

/** The rest at each of `points`, in their order; points with the same one share it. */
export function restsOf(
  splitting: Splitting,
  points: readonly OperatingPoint[],
  change: Change = (same) => same,
): Rest[] {
  const { cut, manifest } = splitting;
  const byHash = new Map<string, Rest>();
  for (const sharing of groupsOf(points, cut)) {
    const { thresholds } = sharing[0]!;
    const file = fileOf(splitting, change(lowerServer(splitting, { from: cut }, thresholds)));
    const hash = hashOf(file.bytes);
    const same = byHash.get(hash);
    if (same) {
      byHash.set(hash, { ...same, points: [...same.points, ...sharing] });
      continue;
    }
    const parts = partsBehind(manifest, cut, thresholds).map(({ network, ...part }, n) => {
      const lowered = lowerServer(splitting, part, thresholds);
      return { network, ...fileOf(splitting, n === 0 ? change(lowered) : lowered) };
    });
    byHash.set(hash, { points: sharing, file, parts: parts.length > 1 ? parts : [] });
  }
  return [...byHash.values()];
}

/** Points with the same thresholds behind exit `cut`. */
function groupsOf(points: readonly OperatingPoint[], cut: number): OperatingPoint[][] {
  const groups = new Map<string, OperatingPoint[]>();
  for (const point of points) {
    const key = point.thresholds.slice(cut).join();
    groups.set(key, [...(groups.get(key) ?? []), point]);
  }
  return [...groups.values()];
}
