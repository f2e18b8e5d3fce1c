/** What is wrong with a value that a JSON Schema describes, in one sentence. */

/** What scripts/validators.ts makes of a schema: true, or false with `errors`. */
export interface Validator {
  (value: unknown): boolean;
  errors?: readonly ValidationError[] | null;
}

/** Of Ajv. */
interface ValidationError {
  readonly keyword: string;
  /** JSON Pointer (RFC 6901) into the value. */
  readonly instancePath: string;
  // biome-ignore lint/suspicious/noExplicitAny: one form a keyword
  readonly params: any;
}

export interface Violation {
  /** e.g. `exits[0].tap`. */
  readonly where: string;
  /** Continues the sentence that `where` begins. */
  readonly problem: string;
  /** `where` is a key that the schema has no place for. */
  readonly isUnknownKey: boolean;
}

/** The first departure of `value` from the schema of `validate`; keys whose value is undefined count as absent. */
export function findViolation(value: unknown, validate: Validator): Violation | undefined {
  if (validate(value)) return undefined;
  const { keyword, instancePath, params } = validate.errors![0]!;
  const key: string | undefined = params.missingProperty ?? params.additionalProperty;
  const [where, found] = follow(value, instancePath, key);
  return {
    where: where || 'the file',
    problem: (PROBLEMS[keyword] ?? (() => `breaks the rule ${keyword}`))(params, found),
    isUnknownKey: keyword === 'additionalProperties',
  };
}

const show = (value: unknown) => JSON.stringify(value) ?? String(value);

// biome-ignore lint/suspicious/noExplicitAny: as above
const PROBLEMS: Readonly<Record<string, (params: any, value: any) => string>> = {
  type: ({ type }, value) => `should be ${[type].flat().join(' or ')}, is ${show(value)}`,
  const: ({ allowedValue }, value) => `should be ${show(allowedValue)}, is ${show(value)}`,
  enum: ({ allowedValues }, value) =>
    `should be one of ${allowedValues.map(show).join(', ')}, is ${show(value)}`,
  minLength: () => 'is empty',
  pattern: ({ pattern }, value) => `should match ${pattern}, is ${show(value)}`,
  minimum: ({ limit }, value) => `is ${value}, below ${limit}`,
  maximum: ({ limit }, value) => `is ${value}, above ${limit}`,
  exclusiveMinimum: ({ limit }, value) => `is ${value}, not above ${limit}`,
  exclusiveMaximum: ({ limit }, value) => `is ${value}, not below ${limit}`,
  minItems: ({ limit }, value) => `has ${value.length} entries, needs ${limit} at least`,
  required: () => 'is missing',
  additionalProperties: () => 'is not known',
};

/** The place that `pointer` and then `key` lead to, as code would name it, and the value there. */
function follow(root: unknown, pointer: string, key: string | undefined): [where: string, value: unknown] {
  const steps = pointer
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
  let where = '';
  let value = root;
  for (const step of key === undefined ? steps : [...steps, key]) {
    where += Array.isArray(value) ? `[${step}]` : where === '' ? step : `.${step}`;
    value = (value as Record<string, unknown>)[step];
  }
  return [where, value];
}
