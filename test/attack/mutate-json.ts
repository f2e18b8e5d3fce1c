/** Damages JSON as somebody would who knows what it is read for: it is still JSON, mostly. */
import type { Random } from '../../src/graph/random.ts';
import { mutateBytes, pick } from '../fuzz/mutate.ts';

/** JSON texts: some say what no value of JavaScript says. */
const HOSTILE = [
  'null', 'true', 'false', '0', '-0', '-1', '0.5', '1e308', '1e999', '-1e999', '9007199254740993', '4294967296', '2147483648', '99999999999',
  '""', '"\\u0000"', '"\\ud800"', '"\\u001b[31m"', '"../../outside"', '"/dev/zero"', '"/etc/passwd"', '"."', '"__proto__"', '"constructor"', '"NaN"',
  '[]', '{}', '[[]]', '[null]', '{"__proto__":{"a":1}}', '{"length":1e9}', '{"toString":1}', '{"":""}',
  JSON.stringify('A'.repeat(100_000)), `[${Array(10_000).fill(1)}]`,
]; // biome-ignore format: a list
const DEPTHS = [10, 1000, 20_000];

/** A placeholder for what stands in a text and is no value. */
const RAW = '\uE000raw\uE000';

interface Slot {
  readonly of: Record<string, unknown>;
  readonly key: string;
}

/** A few changes to the JSON in `bytes`, or to the bytes themselves. */
export function mutateJson(bytes: Uint8Array, random: Random): Uint8Array {
  if (random.uniform() < 0.2) return mutateBytes(bytes, random);
  let text = Buffer.from(bytes).toString();
  for (let left = random.integer(1, 4); left > 0; left--) text = changed(text, random);
  // At last: nothing can be written of what is as deep as this.
  if (random.uniform() < 0.15) text = deepened(text, random);
  return Buffer.from(text);
}

interface Tree {
  readonly slots: readonly Slot[];
  /** The text, with `raw` where `slot` was. */
  write(slot: Slot, raw: string): string;
  text(): string;
}

/** Undefined where `text` is no JSON. */
function readTree(text: string): Tree | undefined {
  let root: Record<string, unknown>;
  try {
    root = { all: JSON.parse(text) };
  } catch {
    return undefined;
  }
  return {
    slots: slotsIn(root, []),
    write({ of, key }, raw) {
      of[key] = RAW;
      // Without the function `$&` in it would mean something.
      return this.text().replace(JSON.stringify(RAW), () => raw);
    },
    text: () => JSON.stringify(root.all) ?? '',
  };
}

function changed(text: string, random: Random): string {
  const tree = readTree(text);
  if (!tree) return text;
  const slot = pick(tree.slots, random);
  const { of, key } = slot;
  const value = of[key];
  switch (random.integer(0, 6)) {
    case 0:
      if (Array.isArray(of)) of.splice(Number(key), 1);
      else delete of[key];
      return tree.text();
    case 1: {
      const other = pick(tree.slots, random);
      of[key] = structuredClone(other.of[other.key]);
      return tree.text();
    }
    case 2: {
      const name = pick(['x', '__proto__', key], random).replaceAll('"', '');
      return tree.write(slot, `${JSON.stringify(value)},"${name}":${pick(HOSTILE, random)}`);
    }
    case 3:
      if (Array.isArray(value))
        of[key] = Array(pick([2, 1000], random))
          .fill(value)
          .flat();
      else if (typeof value === 'string') of[key] = value.repeat(pick([0, 2, 1000], random));
      else if (typeof value === 'number') of[key] = value * pick([-1, 2, 1e6, 1e-6, 1e300], random);
      return tree.text();
    default:
      return tree.write(slot, pick(HOSTILE, random));
  }
}

function deepened(text: string, random: Random): string {
  const tree = readTree(text);
  if (!tree) return text;
  const depth = pick(DEPTHS, random);
  const [open, end] = pick(
    [
      ['[', ']'],
      ['{"a":', '}'],
    ] as const,
    random,
  );
  return tree.write(pick(tree.slots, random), `${open.repeat(depth)}1${end.repeat(depth)}`);
}

/** Every place of a value below `value`, itself a place of the root. */
function slotsIn(value: object, found: Slot[]): Slot[] {
  for (const key of Object.keys(value)) {
    const of = value as Record<string, unknown>;
    found.push({ of, key });
    const inner = of[key];
    if (typeof inner === 'object' && inner !== null) slotsIn(inner, found);
  }
  return found;
}
