/** Damages files: at random, as a bad disk does, and on purpose, as somebody who knows the format would. */
import type { Random } from '../../src/graph/random.ts';
import { LEN, VARINT } from '../../src/parser/wire.ts';
import {
  type Field,
  type Kind,
  type Message,
  messagesIn,
  nested,
  number,
  readTree,
  text,
  varint,
  writeTree,
} from './message-tree.ts';

/** Numbers around which arithmetic goes wrong. */
const EDGES = [
  0n, 1n, 2n, 5n, 99n, 127n, 128n, 65_536n, 2n ** 31n - 1n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 32n + 1n,
  2n ** 53n, 2n ** 62n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n,
]; // biome-ignore format: a row

const STRINGS = [
  '', 'x', 'y', '__proto__', 'constructor', 'thresholds', 'a\0b', '\u001b[31m', '\ufffd', 'é', 'A'.repeat(5000),
  'If', 'Loop', 'Constant', 'Identity', 'ai.onnx',
]; // biome-ignore format: a row

/** Where external data should not be, and where they may: see `layOut` in hunt.ts. */
const LOCATIONS = [
  'w.bin', './w.bin', 'weights/deep.bin', 'link.bin', '../outside.bin', '../model/w.bin', '../../../etc/passwd', '/etc/passwd',
  '..\\outside.bin', 'C:\\w.bin', 'w.bin\0', '', '.', 'weights', 'nowhere.bin', 'weights/../../outside.bin',
]; // biome-ignore format: a row
const DECIMALS = ['0', '16', '-1', '4096', '1e3', ' 8', '9223372036854775807', '99999999999999999999', 'x'];

/** A few changes to `seed`; `others` lend parts. */
export function mutate(seed: Uint8Array, others: readonly Uint8Array[], random: Random): Uint8Array {
  const changes = Array.from({ length: random.integer(0, 4) }, () => pick(TREE_CHANGES, random));
  if (changes.length === 0 || random.uniform() < 0.1)
    return pick(BYTE_CHANGES, random)(changed(seed, changes, others, random), others, random);
  return changed(seed, changes, others, random);
}

function changed(
  seed: Uint8Array,
  changes: readonly TreeChange[],
  others: readonly Uint8Array[],
  random: Random,
): Uint8Array {
  if (changes.length === 0) return seed;
  const tree = readTree(seed);
  for (const change of changes) change(tree, others, random);
  return writeTree(tree);
}

export const pick = <T>(list: readonly T[], random: Random): T => list[random.integer(0, list.length)]!;

/** Up to three changes to a file of any format. */
export function mutateBytes(
  bytes: Uint8Array,
  random: Random,
  others: readonly Uint8Array[] = [bytes],
): Uint8Array {
  let changed = bytes;
  for (let left = random.integer(1, 4); left > 0; left--)
    changed = pick(BYTE_CHANGES, random)(changed, others, random);
  return changed;
}

type ByteChange = (bytes: Uint8Array, others: readonly Uint8Array[], random: Random) => Uint8Array;

const join = (...parts: Uint8Array[]) => Uint8Array.from(Buffer.concat(parts));

/** Most bytes of a file are weights, which may be anything: near its ends, and after small bytes, lies structure. */
function place(bytes: Uint8Array, random: Random): number {
  const at = random.integer(0, bytes.length + 1);
  if (random.uniform() < 0.3) return at;
  for (let i = at; i < Math.min(bytes.length, at + 2000); i++)
    if (bytes[i] === 0x0a || bytes[i] === 0x12 || bytes[i] === 0x2a) return i + random.integer(0, 3);
  return at;
}

/** A stretch of up to `most` bytes: where it begins and ends. */
function stretch(bytes: Uint8Array, random: Random, most = 64): [number, number] {
  const from = Math.min(place(bytes, random), bytes.length);
  return [from, Math.min(bytes.length, from + random.integer(0, most))];
}

const BYTE_CHANGES: readonly ByteChange[] = [
  function flipBit(bytes, _, random) {
    const changed = Uint8Array.from(bytes);
    const at = place(bytes, random);
    if (at < changed.length) changed[at]! ^= 1 << random.integer(0, 8);
    return changed;
  },
  function setByte(bytes, _, random) {
    const changed = Uint8Array.from(bytes);
    const at = place(bytes, random);
    if (at < changed.length) changed[at] = pick([0, 1, 0x7f, 0x80, 0xff, random.integer(0, 256)], random);
    return changed;
  },
  function removeChunk(bytes, _, random) {
    const [from, to] = stretch(bytes, random);
    return join(bytes.subarray(0, from), bytes.subarray(to));
  },
  function repeatChunk(bytes, _, random) {
    const [from, to] = stretch(bytes, random);
    const times = random.uniform() < 0.9 ? 1 : random.integer(2, 200);
    const again = Array<Uint8Array>(times).fill(bytes.subarray(from, to));
    return join(bytes.subarray(0, to), ...again, bytes.subarray(to));
  },
  function insertNoise(bytes, _, random) {
    const at = place(bytes, random);
    const noise = Uint8Array.from({ length: random.integer(1, 32) }, () => random.integer(0, 256));
    return join(bytes.subarray(0, at), noise, bytes.subarray(at));
  },
  function moveChunk(bytes, _, random) {
    const [from, to] = stretch(bytes, random);
    const rest = join(bytes.subarray(0, from), bytes.subarray(to));
    const at = place(rest, random);
    return join(rest.subarray(0, at), bytes.subarray(from, to), rest.subarray(at));
  },
  function overwriteWithEdge(bytes, _, random) {
    const at = place(bytes, random);
    return join(bytes.subarray(0, at), varint(pick(EDGES, random)), bytes.subarray(at + 1));
  },
  function truncate(bytes, _, random) {
    return bytes.subarray(0, random.integer(0, bytes.length + 1));
  },
  function splice(bytes, others, random) {
    const other = pick(others, random);
    return join(bytes.subarray(0, place(bytes, random)), other.subarray(place(other, random)));
  },
];

type TreeChange = (tree: Message, others: readonly Uint8Array[], random: Random) => void;

/** A random message of `tree` that has what `wanted` asks for. */
function some(tree: Message, random: Random, wanted: (message: Message) => boolean): Message | undefined {
  const found = messagesIn(tree).filter(wanted);
  return found.length ? pick(found, random) : undefined;
}

const hasFields = (message: Message) => message.fields.length > 0;
const isKind = (kind: Kind) => (message: Message) => message.kind === kind;

function someField(tree: Message, random: Random, wanted: (field: Field) => boolean): Field | undefined {
  const message = some(tree, random, (m) => m.fields.some(wanted));
  return message && pick(message.fields.filter(wanted), random);
}

const isMessage = ({ content }: Field) => !(content instanceof Uint8Array);
const isText = ({ wire, content }: Field) => wire === LEN && content instanceof Uint8Array;
const isNumber = ({ wire }: Field) => wire === VARINT;

/** A copy that shares nothing that is changed in place. */
function copy(field: Field): Field {
  const { content } = field;
  if (content instanceof Uint8Array) return { ...field };
  return { ...field, content: { kind: content.kind, fields: content.fields.map(copy) } };
}

const insert = (message: Message, random: Random, ...fields: Field[]) =>
  message.fields.splice(random.integer(0, message.fields.length + 1), 0, ...fields);

const TREE_CHANGES: readonly TreeChange[] = [
  function remove(tree, _, random) {
    const message = some(tree, random, hasFields);
    message?.fields.splice(random.integer(0, message.fields.length), 1);
  },
  function duplicate(tree, _, random) {
    const message = some(tree, random, hasFields);
    if (!message) return;
    const times = random.uniform() < 0.9 ? 1 : random.integer(2, 100);
    const field = pick(message.fields, random);
    insert(message, random, ...Array.from({ length: times }, () => copy(field)));
  },
  function swap(tree, _, random) {
    const message = some(tree, random, (m) => m.fields.length > 1);
    if (!message) return;
    const [i, j] = [random.integer(0, message.fields.length), random.integer(0, message.fields.length)];
    [message.fields[i], message.fields[j]] = [message.fields[j]!, message.fields[i]!];
  },
  function setNumber(tree, _, random) {
    const field = someField(tree, random, isNumber);
    if (field) field.content = varint(pick(EDGES, random));
  },
  function addNumber(tree, _, random) {
    const message = some(tree, random, () => true)!;
    insert(message, random, number(pick([1, 2, 3, 5, 8, 14, 20], random), pick(EDGES, random)));
  },
  function setText(tree, _, random) {
    const field = someField(tree, random, isText);
    if (field) field.content = text(0, pick(STRINGS, random)).content;
  },
  /** Double names, cycles, inputs of another type. */
  function renameLikeAnother(tree, _, random) {
    const field = someField(tree, random, isText);
    const other = someField(tree, random, (f) => isText(f) && (f.content as Uint8Array).length < 100);
    if (field && other) field.content = other.content;
  },
  function renumber(tree, _, random) {
    const field = someField(tree, random, () => true);
    if (field) field.number = pick([1, 2, 5, 6, 7, 11, 15, 25, 2 ** 29 - 1, random.integer(0, 30)], random);
  },
  function rewire(tree, _, random) {
    const field = someField(tree, random, () => true);
    if (field) field.wire = random.integer(0, 8);
  },
  function lieAboutLength(tree, _, random) {
    const field = someField(tree, random, ({ wire }) => wire === LEN);
    if (field) field.lie = pick([-1n, 1n, -1000n, 1000n, ...EDGES], random);
  },
  /** A message in the place of another of its kind: nodes in functions, subgraphs in themselves. */
  function graft(tree, _, random) {
    const field = someField(tree, random, isMessage);
    const donor = field && some(tree, random, isKind((field.content as Message).kind));
    if (donor) field.content = copy({ number: 0, wire: LEN, content: donor }).content;
  },
  function graftFromAnother(tree, others, random) {
    const field = someField(tree, random, isMessage);
    const kind = field && (field.content as Message).kind;
    const donor = kind && some(readTree(pick(others, random)), random, isKind(kind));
    if (donor) field.content = donor;
  },
  function nestDeeply(tree, _, random) {
    const graph = some(tree, random, isKind('Graph'));
    let inner = graph && copy({ number: 6, wire: LEN, content: graph });
    for (let depth = pick([1, 2, 10, 31, 33, 100, 300], random); inner && depth > 1; depth--) {
      const attribute = nested(5, 'Attribute', text(1, 'body'), inner, number(20, 5n));
      inner = nested(6, 'Graph', nested(1, 'Node', text(4, 'If'), attribute));
    }
    if (graph && inner)
      graph.fields.push(nested(1, 'Node', text(4, 'If'), nested(5, 'Attribute', text(1, 'b'), inner)));
  },
  function lieAboutDims(tree, _, random) {
    const message = some(tree, random, (m) => ['Tensor', 'Dim', 'Sparse'].includes(m.kind));
    if (!message) return;
    const field = message.kind === 'Sparse' ? 3 : 1;
    const times = pick([1, 1, 2, 50], random);
    insert(message, random, ...Array.from({ length: times }, () => number(field, pick(EDGES, random))));
  },
  function moveDataOutside(tree, _, random) {
    const tensor = some(tree, random, isKind('Tensor'));
    if (!tensor) return;
    if (random.uniform() < 0.9) tensor.fields.splice(0, Infinity, ...tensor.fields.filter(isKept));
    const entry = (key: string, value: string) => nested(13, 'Entry', text(1, key), text(2, value));
    const chance = (share: number, field: () => Field) => (random.uniform() < share ? [field()] : []);
    tensor.fields.push(
      ...chance(0.95, () => entry('location', pick(LOCATIONS, random))),
      ...chance(0.1, () => entry('location', pick(LOCATIONS, random))),
      ...chance(0.4, () => entry('offset', pick(DECIMALS, random))),
      ...chance(0.4, () => entry('length', pick(DECIMALS, random))),
      ...chance(0.95, () => number(14, 1n)),
      ...chance(0.1, () => number(14, pick(EDGES, random))),
    );
  },
];

/** Dims, type and name of a tensor: not its data. */
const isKept = (field: Field) => [1, 2, 8].includes(field.number);
