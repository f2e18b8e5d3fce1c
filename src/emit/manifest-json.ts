/** The manifest as JSON: read and printed, checked against schema/manifest.schema.json both ways. */
import schema from '../../schema/manifest.schema.json' with { type: 'json' };
import { combinedInput, imageShape, isFloat32 } from '../data/preprocessing.ts';
import { parseJson } from '../data/text.ts';
import { invalidManifest, manifestVersionUnknown, messageOf } from '../errors/index.ts';
import type { Manifest } from './manifest.ts';
import { validate } from './manifest-validator.ts';
import { findViolation } from './violation.ts';

/** Parses and checks a manifest. Throws `invalid-manifest` or `manifest-version-unknown`. */
export function readManifest(json: string): Manifest {
  let value: unknown;
  try {
    value = parseJson(json);
  } catch (error) {
    throw invalidManifest('the file', `is not JSON: ${messageOf(error)}`);
  }
  const version = (value as { schemaVersion?: unknown } | null)?.schemaVersion;
  if (typeof version === 'number' && version !== 1) throw manifestVersionUnknown(version);
  const manifest = checkManifest(renewed(value));
  const operatingPoints = manifest.operatingPoints.map((point) => ({
    ...point,
    thresholds: point.thresholds.map(Math.fround),
  }));
  return { ...manifest, operatingPoints };
}

/** A manifest of an earlier version with today's names. */
function renewed(value: unknown): unknown {
  if (value === null || typeof value !== 'object' || !('last' in value) || 'final' in value) return value;
  const { last, ...rest } = value;
  return { ...rest, final: last };
}

/** The manifest as JSON: keys in the schema's order, shortest round-trip numbers (thresholds as float32). */
export function printManifest(manifest: Manifest): string {
  const checked = checkManifest(manifest);
  const operatingPoints = checked.operatingPoints.map((point) => ({
    ...point,
    thresholds: point.thresholds.map(shortestFloat32),
  }));
  return `${JSON.stringify(ordered({ ...checked, operatingPoints }, schema as KeyOrder), null, 2)}\n`;
}

/** The decimal with the fewest digits that rounds to the same float32 as `value`. */
export function shortestFloat32(value: number): number {
  const wanted = Math.fround(value);
  for (let digits = 1; digits < 9; digits++) {
    const candidate = Number(wanted.toPrecision(digits));
    if (Math.fround(candidate) === wanted) return candidate;
  }
  return Number(wanted.toPrecision(9));
}

function checkManifest(value: unknown): Manifest {
  const violation = findViolation(value, validate);
  if (violation) throw invalidManifest(violation.where, violation.problem);
  const manifest = value as Manifest;
  const { exits, classes, labels, operatingPoints, defaultPoint } = manifest;
  const expectLength = (where: string, list: readonly unknown[], length: number) => {
    if (list.length !== length)
      throw invalidManifest(where, `has ${list.length} entries, expected ${length}`);
  };
  if (labels) expectLength('labels', labels, classes);
  checkPreprocessing(manifest);
  expectDistinct('inputs', 'name', manifest.inputs);
  expectDistinct('exits', 'id', exits);
  expectDistinct('operatingPoints', 'name', operatingPoints);
  operatingPoints.forEach((point, i) => {
    expectLength(`operatingPoints[${i}].thresholds`, point.thresholds, exits.length);
    expectLength(`operatingPoints[${i}].exitShares`, point.exitShares, exits.length + 1);
  });
  if (!operatingPoints.some((point) => point.name === defaultPoint))
    throw invalidManifest('defaultPoint', `names no operating point: "${defaultPoint}"`);
  return manifest;
}

/** What options of preprocessing may be: dividing by 0, or by what float32 cannot hold, gives no numbers. */
function checkPreprocessing({ preprocessing, networks = [], inputs }: Manifest): void {
  const dims = combinedInput(
    inputs.map(({ dims, ...input }) => ({ ...input, dims: dims.slice(1) as number[] })),
  ).dims;
  const given = networks.map(
    (network, i) => [`networks[${i}].preprocessing`, network.preprocessing] as const,
  );
  for (const [where, one] of [['preprocessing', preprocessing] as const, ...given]) {
    if (!one) continue;
    const { scale, rescale = 1, mean, std } = one;
    for (const [name, values, isDivisor] of [
      ['scale', [scale], true],
      ['rescale', [rescale], true],
      ['mean', mean, false],
      ['std', std, true],
    ] as const) {
      const bad = values.find((value) => !isFloat32(value) || (isDivisor && Math.fround(value) <= 0));
      if (bad !== undefined)
        throw invalidManifest(
          `${where}.${name}`,
          `holds ${bad}, where a number ${isDivisor ? 'above 0 ' : ''}in the range of float32 is needed`,
        );
    }
    // Of a network in front, the number of channels may be another, and flat input has none.
    const shape = one === preprocessing ? imageShape(dims, one.layout) : undefined;
    const count = shape?.channels ?? mean.length;
    for (const [name, values] of [
      ['mean', mean],
      ['std', std],
    ] as const)
      if (values.length !== count)
        throw invalidManifest(
          `${where}.${name}`,
          `has ${values.length} values, expected ${count}: one a channel`,
        );
  }
}

/** Throws `invalid-manifest` where two of `list` have the same `key`. */
function expectDistinct<K extends string>(
  where: string,
  key: K,
  list: readonly Readonly<Record<K, string>>[],
): void {
  const seen = new Set<string>();
  for (const [i, { [key]: name }] of list.entries()) {
    if (seen.has(name)) throw invalidManifest(`${where}[${i}].${key}`, `repeats "${name}"`);
    seen.add(name);
  }
}

/** What of a schema says how keys are ordered. */
interface KeyOrder {
  readonly properties?: Readonly<Record<string, KeyOrder>>;
  readonly items?: KeyOrder;
}

/** `value` with its keys in the order `rule` lists them, the rest after them by name. */
function ordered(value: unknown, rule: KeyOrder | undefined): unknown {
  if (Array.isArray(value)) return value.map((item) => ordered(item, rule?.items));
  if (typeof value !== 'object' || value === null) return value;
  const properties = rule?.properties ?? {};
  const listed = Object.keys(properties).filter((key) => key in value);
  const others = Object.keys(value).filter((key) => !(key in properties));
  const record = value as Record<string, unknown>;
  return Object.fromEntries(
    [...listed, ...others.sort()].map((key) => [key, ordered(record[key], properties[key])]),
  );
}
