/** Networks in front of the original, as options of the command line: the k-th `--first-…` belongs to the k-th `--first`. */
import { CLOSED, isNamed } from '../calibrate/index.ts';
import type { Preprocessing } from '../data/types.ts';
import type { Manifest, ManifestNetwork } from '../emit/manifest.ts';

export type Words = readonly [name: string, value: string | number | readonly number[] | true];

const NUMBERS = [
  'scale', 'rescale', 'mean', 'std', 'layout', 'channels', 'resize', 'resample',
] as const; // biome-ignore format: a list
/** What is said of all networks or of none: what one does not say does not matter to it. */
const USUAL = { channels: 'rgb', resize: 'stretch', resample: 'bilinear' } as const;

/** What asks for the networks of a chain again; nothing of a model on its own. Those that were left out are not asked for. */
export function firstOptions(manifest: Manifest): Words[] {
  const firsts = (manifest.networks?.slice(0, -1) ?? []).filter(({ grown }) => !grown);
  const each = (name: string, values: readonly (Words[1] | undefined)[]): Words[] =>
    values.every((value) => value !== undefined) ? values.map((value) => [name, value] as const) : [];
  const sizes = firsts.map((first) => sizeOf(first, manifest));
  return [
    ...firsts.map(({ file }): Words => ['first', file.startsWith('-') ? `./${file}` : file]),
    ...(firsts.every((first) => readsAsOriginal(first, manifest)) ? [] : NUMBERS).flatMap((name) =>
      each(`first-${name}`, valuesOf(name, firsts)),
    ),
    ...(sizes.some((size) => size !== undefined)
      ? each(
          `first-size`,
          sizes.map((size) => size ?? originalSize(manifest)),
        )
      : []),
    ...each(
      'first-output',
      firsts.map(({ output }) => output),
    ),
    ...(firsts.some(({ classOrder }) => classOrder)
      ? each(
          'first-labels',
          firsts.map(() => 'NAMES'),
        )
      : []),
    ...(keepsAll(manifest) ? [['keep-all', true] as const] : []),
  ];
}

/** Whether the command line has no words for how some network was read: a settings file has. */
export const needsSettings = ({ networks = [] }: Manifest): boolean =>
  networks
    .slice(0, -1)
    .filter(({ grown }) => !grown)
    .some(({ set, externalDataFolder, output }, _, firsts) =>
      Boolean(
        set ??
          externalDataFolder ??
          (output === undefined && firsts.some((other) => other.output !== undefined)),
      ),
    );

function valuesOf(name: (typeof NUMBERS)[number], firsts: readonly ManifestNetwork[]) {
  const given = firsts.map(({ preprocessing }) => preprocessing?.[name]);
  const isSaid = given.some((value) => value !== undefined && value !== 'any');
  return given.map((value) =>
    isSaid && (value === undefined || value === 'any')
      ? (USUAL as Record<string, string>)[name]
      : value === 'any'
        ? undefined
        : value,
  );
}

function readsAsOriginal({ preprocessing }: ManifestNetwork, manifest: Manifest): boolean {
  const key = (one: Preprocessing | null | undefined) => JSON.stringify(NUMBERS.map((name) => one?.[name]));
  return preprocessing === undefined || key(preprocessing) === key(manifest.preprocessing);
}

/** Height and width that were given to a network that takes any, where they are not the original's. */
function sizeOf({ dims = {}, preprocessing }: ManifestNetwork, manifest: Manifest): number[] | undefined {
  const axes = preprocessing?.layout === 'NHWC' ? [1, 2] : [2, 3];
  const size = axes.map((axis) => Object.entries(dims).find(([name]) => name.endsWith(`.${axis}`))?.[1]);
  const known = size.every((side) => side !== undefined) ? (size as number[]) : undefined;
  return known && String(known) !== String(originalSize(manifest)) ? known : undefined;
}

function originalSize({ inputs: [input], preprocessing }: Manifest): number[] | undefined {
  if (input?.dims.length !== 4) return undefined;
  return (preprocessing?.layout === 'NHWC' ? input.dims.slice(1, 3) : input.dims.slice(2)) as number[];
}

/** Whether there are exits that no named point uses, and others that some point does: such are left out unless all are kept. */
function keepsAll({ networks, exits, operatingPoints }: Manifest): boolean {
  const isUsed = exits.map((_, k) =>
    operatingPoints.some(({ name, thresholds }) => isNamed(name) && thresholds[k]! < CLOSED),
  );
  return networks !== undefined && isUsed.includes(true) && isUsed.includes(false);
}
