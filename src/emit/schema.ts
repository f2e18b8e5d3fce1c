/** The part of JSON Schema that schema/manifest.schema.json is written in. */

export interface Schema {
  readonly description?: string;
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: boolean | Schema;
  readonly items?: Schema;
  readonly minItems?: number;
  readonly minLength?: number;
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
}

export interface Violation {
  /** e.g. `exits[0].tap`. */
  readonly where: string;
  readonly problem: string;
}

/** Everything in which `value` departs from `schema`, in document order; keys whose value is undefined count as absent. */
export function* check(value: unknown, schema: Schema, where = ''): Generator<Violation> {
  const place = where || 'the file';
  const types = schema.type === undefined ? [] : [schema.type].flat();
  if (types.length > 0 && !types.some((type) => isOfType(value, type))) {
    yield { where: place, problem: `should be ${types.join(' or ')}, is ${show(value)}` };
    return;
  }
  if ('const' in schema && value !== schema.const)
    yield { where: place, problem: `should be ${show(schema.const)}, is ${show(value)}` };
  if (schema.enum && !schema.enum.includes(value))
    yield {
      where: place,
      problem: `should be one of ${schema.enum.map(show).join(', ')}, is ${show(value)}`,
    };
  if (typeof value === 'string') yield* checkString(value, schema, place);
  if (typeof value === 'number') yield* checkNumber(value, schema, place);
  if (Array.isArray(value)) yield* checkArray(value, schema, where);
  else if (typeof value === 'object' && value !== null) yield* checkObject(value, schema, where);
}

function* checkString(
  value: string,
  { minLength = 0, pattern }: Schema,
  where: string,
): Generator<Violation> {
  if (value.length < minLength) yield { where, problem: 'is empty' };
  if (pattern !== undefined && !new RegExp(pattern, 'u').test(value))
    yield { where, problem: `should match ${pattern}, is ${show(value)}` };
}

function* checkNumber(value: number, schema: Schema, where: string): Generator<Violation> {
  const { minimum, maximum } = schema;
  if (minimum !== undefined && value < minimum) yield { where, problem: `is ${value}, below ${minimum}` };
  if (maximum !== undefined && value > maximum) yield { where, problem: `is ${value}, above ${maximum}` };
}

function* checkArray(value: readonly unknown[], schema: Schema, where: string): Generator<Violation> {
  const { minItems = 0, items = {} } = schema;
  if (value.length < minItems)
    yield { where, problem: `has ${value.length} entries, needs ${minItems} at least` };
  for (const [i, item] of value.entries()) yield* check(item, items, `${where}[${i}]`);
}

function* checkObject(value: object, schema: Schema, where: string): Generator<Violation> {
  const { required = [], properties = {}, additionalProperties = true } = schema;
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  const at = (key: string) => (where ? `${where}.${key}` : key);
  for (const key of required)
    if (!entries.some(([present]) => present === key)) yield { where: at(key), problem: 'is missing' };
  for (const [key, item] of entries) {
    const rule = Object.hasOwn(properties, key) ? properties[key] : additionalProperties;
    if (rule === false) yield { where: at(key), problem: 'is not known' };
    else if (typeof rule === 'object') yield* check(item, rule, at(key));
  }
}

function isOfType(value: unknown, type: string): boolean {
  if (type === 'null') return value === null;
  if (type === 'array') return Array.isArray(value);
  if (type === 'integer') return Number.isInteger(value);
  if (type === 'number') return Number.isFinite(value);
  if (type === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value);
  return typeof value === type;
}

const show = (value: unknown) => JSON.stringify(value) ?? String(value);
