/** What people read of a chain: names of its networks and exits, and what leaving at each costs. A model on its own is told as before chains. */
import { chainCosts } from '../runtime/thresholds.ts';
import type { Manifest } from './manifest.ts';

type Named = Pick<Manifest, 'exits' | 'networks'>;

/** What tells a network from the others. */
interface NamedNetworks {
  readonly networks?: readonly { readonly id: string; readonly file: string }[];
}

/** Its file; where several networks come from one file, with its id: `first_1: model.onnx`. */
export function networkName({ networks = [] }: NamedNetworks, n: number): string {
  const { id, file } = networks[n]!;
  return networks.some((other, m) => m !== n && other.file === file) ? `${id}: ${file}` : file;
}

/** Names of all networks of a chain, the original last. */
export const networkNames = (manifest: Pick<Manifest, 'networks'>): string[] =>
  (manifest.networks ?? []).map((_, n) => networkName(manifest, n));

/** Exit k of K, `exit_1`, in a chain with its network: `exit_1 (resnet20.onnx)`. K is the last answer: `full path`, or `original (resnet56.onnx)`. */
export function exitName(manifest: Named, k: number): string {
  const { exits, networks } = manifest;
  const exit = exits[k];
  if (!networks) return exit?.id ?? 'full path';
  const network = exit ? (exit.network ?? 0) : networks.length - 1;
  return `${exit?.id ?? 'original'} (${networkName(manifest, network)})`;
}

/** [K + 1], of all exits and the last answer. */
export const exitNames = (manifest: Named): string[] =>
  Array.from({ length: manifest.exits.length + 1 }, (_, k) => exitName(manifest, k));

/** What answers at exit k, or at the end (K): `resnet20.onnx itself`, `a strided head in resnet20.onnx`. Of chains alone. */
export function answerAt(manifest: Named, k: number): string {
  const { exits, networks = [] } = manifest;
  const exit = exits[k];
  const name = networkName(manifest, exit ? (exit.network ?? 0) : networks.length - 1);
  return !exit || exit.head === 'end' ? `${name} itself` : `a ${exit.head} head in ${name}`;
}

/** `an early exit`, `3 early exits` */
export const countExits = ({ exits }: Pick<Manifest, 'exits'>): string =>
  exits.length === 1 ? 'an early exit' : `${exits.length} early exits`;

/** What the compiled model is: `net.onnx with 2 early exits`, or `chain of small.onnx and net.onnx`. */
export const titleOf = (manifest: Named & Pick<Manifest, 'source'>): string =>
  manifest.networks
    ? `chain of ${inWords(networkNames(manifest))}`
    : `${manifest.source.file} with ${countExits(manifest)}`;

/** `a`, `a and b`, `a, b and c` */
export const inWords = (items: readonly string[]): string =>
  items.length < 2 ? (items[0] ?? '') : `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`;

/** [K + 1]: what a sample that leaves at each exit, or goes to the end, has cost under `thresholds`, relative to the original. */
export const leavingCostsAt = (
  { exits, networks, baseline }: Named & Pick<Manifest, 'baseline'>,
  thresholds: ArrayLike<number>,
): number[] => chainCosts(exits, { network: (networks?.length ?? 1) - 1, macs: baseline.macs }, thresholds);
