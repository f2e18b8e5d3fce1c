/** The part of the generated file about a chain: its networks, and which of them answered. */
import { answerAt, networkName } from './chain-words.ts';
import type { Manifest, ManifestNetwork } from './manifest.ts';
import { literal, quoted } from './names.ts';
import { alias, constant, list, type Statement } from './statements.ts';

export const EXITS_DOC = `Exits, in the order samples meet them, each in the network of that index. MACs are per sample; \`relativeCost\` is what a
  sample that leaves there has cost with every exit open, earlier networks and all executed heads counted, as a share of
  the original model.`;

export function networksTable(networks: readonly ManifestNetwork[]): Statement {
  const rows = networks.map(({ id, file, macs, relativeCost, accuracy }) =>
    literal({ id, file, macs, relativeCost, ...(accuracy !== undefined && { accuracy }) }),
  );
  return constant(
    'networks',
    list(rows),
    `Networks of the chain, in the order samples meet them, the original last. Each alone: \`relativeCost\` is its MACs as a share of
     the original's, \`accuracy\` the share of samples that it answers rightly.`,
  );
}

export const networkIdType = (networks: readonly ManifestNetwork[]): Statement =>
  alias(
    'NetworkId',
    networks.map(({ id }) => quoted(id)).join(' | '),
    `A network of the chain: ${networks.map(({ id, file }) => `\`${id}\` is ${file}`).join(', ')}.`,
  );

/** Which network answers at each exit, and where none took a sample. */
export function describeExitIds(manifest: Manifest): string {
  const { exits, networks = [] } = manifest;
  const places = exits.map(({ id }, k) => `\`${id}\` is ${answerAt(manifest, k)}`);
  return `Where a sample left: ${places.join(', ')}; \`full\` is the original, ${networkName(manifest, networks.length - 1)}.`;
}
