/** Protocol-buffer messages in their text form (https://protobuf.dev/reference/protobuf/textformat-spec/). */

/** The name of an enum's value, which stands without quotes. */
export class EnumValue {
  constructor(readonly name: string) {}
}

export interface Message {
  /** Numbers in a list stand in brackets, messages in a list one after the other; undefined is left out. */
  readonly [field: string]: Value | readonly Value[] | undefined;
}
type Value = string | number | boolean | EnumValue | Message;

/** The fields of `message`, one a line, in the order they are given in. */
export function printMessage(message: Message, indent = ''): string {
  return Object.entries(message)
    .map(([field, value]) => {
      if (value === undefined) return '';
      if (!isList(value)) return printField(field, value, indent);
      if (value.some(isMessage)) return value.map((item) => printField(field, item, indent)).join('');
      return `${indent}${field}: [${value.map((item) => printScalar(item as Scalar)).join(', ')}]\n`;
    })
    .join('');
}

type Scalar = Exclude<Value, Message>;

function printField(field: string, value: Value, indent: string): string {
  if (!isMessage(value)) return `${indent}${field}: ${printScalar(value)}\n`;
  const inside = printMessage(value, `${indent}  `);
  return inside === '' ? `${indent}${field} {}\n` : `${indent}${field} {\n${inside}${indent}}\n`;
}

const isList = (value: Value | readonly Value[]): value is readonly Value[] => Array.isArray(value);

function isMessage(value: Value): value is Message {
  return typeof value === 'object' && !(value instanceof EnumValue);
}

function printScalar(value: Scalar): string {
  if (value instanceof EnumValue) return value.name;
  return typeof value === 'string' ? quoted(value) : String(value);
}

function quoted(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must be escaped
  const escaped = text.replace(/[\\"]/g, '\\$&').replace(/[\u0000-\u001f\u007f]/g, (c) => {
    return `\\${c.charCodeAt(0).toString(8).padStart(3, '0')}`;
  });
  return `"${escaped}"`;
}
