/** Protocol-buffer text form, read against a schema: https://protobuf.dev/reference/protobuf/textformat-spec/. */
import protobuf from 'protobufjs';

type Token = { readonly kind: 'word' | 'number' | 'string' | 'sign'; readonly text: string };
export type Read = { [field: string]: unknown };

/**
 * `text` as an object of the message `type`. Throws an Error at what is no text form, unknown to the schema, or of
 * another type.
 */
export function readTextProto(text: string, type: protobuf.Type): Read {
  const reader = new Reader(tokensOf(text));
  const read = reader.message(type, undefined);
  const problem = type.verify(type.toObject(type.fromObject(read), { longs: Number }));
  if (problem) throw new Error(problem);
  return read;
}

function tokensOf(text: string): Token[] {
  const pattern =
    /\s+|#[^\n]*|(?<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|(?<number>-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?<word>[A-Za-z_]\w*)|(?<sign>[{}[\]<>:,;])/y;
  const tokens: Token[] = [];
  while (pattern.lastIndex < text.length) {
    const at = pattern.lastIndex;
    const match = pattern.exec(text);
    if (!match) throw new Error(`no token at ${JSON.stringify(text.slice(at, at + 20))}`);
    for (const kind of ['string', 'number', 'word', 'sign'] as const)
      if (match.groups![kind] !== undefined) tokens.push({ kind, text: match.groups![kind]! });
  }
  return tokens;
}

/** One entry of a map field, as the message it is on the wire. */
function entryType(field: protobuf.MapField): protobuf.Type {
  const entry = new protobuf.Type('Entry');
  entry.add(new protobuf.Field('key', 1, field.keyType)).add(new protobuf.Field('value', 2, field.type));
  const value = entry.fields.value!;
  value.resolvedType = field.resolvedType;
  value.resolved = true;
  entry.fields.key!.resolved = true;
  return entry;
}

class Reader {
  #at = 0;

  constructor(private readonly tokens: readonly Token[]) {}

  /** Fields up to `end`, or to the end of the text. */
  message(type: protobuf.Type, end: string | undefined): Read {
    const read: Read = {};
    while (this.#at < this.tokens.length && !this.#takes(end)) {
      const { kind, text: name } = this.#next();
      const field = Object.hasOwn(type.fields, name) ? type.fields[name]!.resolve() : undefined;
      if (kind !== 'word' || !field) throw new Error(`${type.name} has no field ${name}`);
      const isMessage = field.map || field.resolvedType instanceof protobuf.Type;
      const colon = this.#takes(':');
      if (!colon && !isMessage) throw new Error(`${type.name}.${name}: no colon`);
      this.#put(read, type, field);
      if (!this.#takes(',')) this.#takes(';');
    }
    if (end !== undefined && this.tokens[this.#at - 1]?.text !== end) throw new Error(`${end} is missing`);
    return read;
  }

  #put(read: Read, type: protobuf.Type, field: protobuf.Field): void {
    const { name } = field;
    if (field instanceof protobuf.MapField) {
      const { key, value } = this.#value(field, entryType(field)) as { key: string; value: unknown };
      const map = (read[name] ?? {}) as Read;
      if (key in map) throw new Error(`${type.name}.${name} has ${key} twice`);
      read[name] = { ...map, [key]: value };
      return;
    }
    if (field.repeated) {
      read[name] ??= [];
      (read[name] as unknown[]).push(...(this.#takes('[') ? this.#list(field) : [this.#value(field)]));
      return;
    }
    const siblings = field.partOf?.fieldsArray.map((f) => f.name) ?? [name];
    const taken = siblings.find((sibling) => sibling in read);
    if (taken) throw new Error(`${type.name}.${name}: ${taken} is there already`);
    read[name] = this.#value(field);
  }

  #list(field: protobuf.Field): unknown[] {
    const values: unknown[] = [];
    if (this.#takes(']')) return values;
    do values.push(this.#value(field));
    while (this.#takes(','));
    if (!this.#takes(']')) throw new Error(`${field.name}: ] is missing`);
    return values;
  }

  #value(field: protobuf.Field, as: protobuf.ReflectionObject | null = field.resolvedType): unknown {
    const { kind, text } = this.#next();
    const wrong = () => new Error(`${field.name}: ${text} is no ${field.type}`);
    if (as instanceof protobuf.Type) {
      if (text === '{') return this.message(as, '}');
      if (text === '<') return this.message(as, '>');
      throw wrong();
    }
    if (as instanceof protobuf.Enum) {
      if (kind === 'word' && text in as.values) return as.values[text];
      throw wrong();
    }
    if (field.type === 'string' && kind === 'string') return unquoted(text);
    if (field.type === 'bool' && ['true', 'false'].includes(text)) return text === 'true';
    if (/^u?int(32|64)$/.test(field.type) && kind === 'number') {
      const value = Number(text);
      const bits = field.type.endsWith('32') ? 32 : 53;
      const [least, most] = field.type.startsWith('u')
        ? [0, 2 ** bits - 1]
        : [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];
      if (Number.isInteger(value) && value >= least && value <= most) return value;
    }
    throw wrong();
  }

  #next(): Token {
    const token = this.tokens[this.#at++];
    if (!token) throw new Error('the text ends too early');
    return token;
  }

  #takes(sign: string | undefined): boolean {
    if (sign === undefined || this.tokens[this.#at]?.kind !== 'sign' || this.tokens[this.#at]!.text !== sign)
      return false;
    this.#at++;
    return true;
  }
}

function unquoted(text: string): string {
  const named: Record<string, string> = { n: '\n', r: '\r', t: '\t' };
  return text
    .slice(1, -1)
    .replace(/\\([0-7]{1,3}|.)/g, (_, code: string) =>
      /^[0-7]/.test(code) ? String.fromCharCode(Number.parseInt(code, 8)) : (named[code] ?? code),
    );
}
