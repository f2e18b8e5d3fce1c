import {
  badDataFile,
  badTokenizer,
  beyondFloat,
  fieldsMissing,
  messageOf,
  OfframpError,
  tokenizerMissing,
} from '../errors/index.ts';
import { elementCount } from '../graph/tensor.ts';
import { isReshape } from './align.ts';
import { BLOCK_BYTES, LARGEST_WHOLE_FLOAT } from './arrays.ts';
import { fileStamps, isFile } from './files.ts';
import { labelling, shown } from './labelling.ts';
import { combinedInput } from './preprocessing.ts';
import type { Block, Source, SourceOptions } from './records.ts';
import type { Row, Table } from './table.ts';
import { ENCODED, isEncoded, loadTokenizer, tokenizerFiles } from './tokenizer.ts';
import type { InputSpec } from './types.ts';

/** Fields that hold a text, and its pair where there is one. */
const TEXTS = [
  ['text', 'text_pair'],
  ['sentence1', 'sentence2'],
  ['sentence', 'sentence2'],
] as const;
const INTEGERS = ['int64', 'int32', 'uint8', 'int8', 'bool'];

/**
 * Rows as records: fields named like the model's inputs hold their numbers, flat or nested; or a text is tokenised, when
 * a tokenizer is given. The class is in `label`, `labels` or `fine_label`, as an index or a name.
 */
export async function rowSource(table: Table, options: SourceOptions): Promise<Source> {
  const { inputs } = options;
  const has = (name: string) => table.fields.includes(name);
  const text = TEXTS.find(([first]) => has(first));
  const tokenizer = text && options.tokenizer;
  const columns = tokenizer ? text.filter(has) : inputs.map(({ name }) => name);
  const missing = columns.filter((name) => !has(name));
  if (text && missing.length === columns.length) throw tokenizerMissing(table.path, text[0], columns);
  if (missing.length > 0) throw fieldsMissing(table.head, missing, table.fields);
  if (tokenizer && !isFile(tokenizer)) throw badTokenizer(tokenizer, 'there is no such file');
  const { field, classNames, labelOf } = await labelling(table, options);
  const { dims } = combinedInput(inputs);
  const width = elementCount(dims);

  return {
    format: table.format,
    path: table.path,
    files: [...table.files, ...(tokenizer ? fileStamps(tokenizerFiles(tokenizer)) : [])],
    decode: [inputs, columns],
    count: table.count,
    dims,
    dtype: 'float',
    classNames,
    async *blocks() {
      const valuesOf = tokenizer ? await tokenised(tokenizer, text, inputs) : stored(inputs);
      const perBlock = Math.max(1, Math.floor(BLOCK_BYTES / (4 * width)));
      let rows = new Float32Array(perBlock * width);
      let labels: number[] = [];
      const block = (): Block => ({
        records: new Uint8Array(rows.buffer, 0, 4 * width * labels.length),
        labels,
        skipped: [],
      });
      for await (const row of table.rows(field ? [...columns, field] : columns)) {
        let at = labels.length * width;
        const values = valuesOf(row);
        for (const [k, input] of inputs.entries()) {
          write(values[k], input, row.place, rows, at);
          at += elementCount(input.dims);
        }
        labels.push(labelOf(row));
        if (labels.length < perBlock) continue;
        yield block();
        rows = new Float32Array(perBlock * width);
        labels = [];
      }
      if (labels.length > 0) yield block();
    },
  };
}

/** The value of each input in a row. */
type Values = (row: Row) => readonly unknown[];

const stored =
  (inputs: readonly InputSpec[]): Values =>
  ({ fields }) =>
    inputs.map(({ name }) => fields[name]);

async function tokenised(
  tokenizer: string,
  [first, second]: (typeof TEXTS)[number],
  inputs: readonly InputSpec[],
): Promise<Values> {
  const names = inputs.map(({ name }) => {
    if (!isEncoded(name)) throw badTokenizer(tokenizer, `it makes ${ENCODED.join(', ')}, and no ${name}`);
    return name;
  });
  const encode = await loadTokenizer(tokenizer);
  const length = elementCount(inputs[0]!.dims);
  return ({ fields, place }) => {
    const textOf = (name: string): string => {
      const value = fields[name];
      if (typeof value !== 'string') throw badDataFile(place, `${name} is ${shown(value)}, not a text`);
      return value;
    };
    const pair = fields[second] == null ? undefined : textOf(second);
    const encoded = encodedAt(place, () => encode(textOf(first), pair, length));
    return names.map((name) => encoded[name]);
  };
}

/** What `encode` gives. Throws `bad-data-file` where the tokenizer has no tokens for the text of `place`. */
function encodedAt<T>(place: string, encode: () => T): T {
  try {
    return encode();
  } catch (error) {
    if (error instanceof OfframpError) throw error;
    throw badDataFile(
      place,
      messageOf(error),
      'Leave the text out, or give the tokenizer that the model was trained with.',
    );
  }
}

/** Writes the numbers of `value`, flat or nested, to `out[at]…`. */
function write(value: unknown, input: InputSpec, place: string, out: Float32Array, at: number): void {
  const { name, dims } = input;
  if (value === undefined || value === null) throw badDataFile(place, `${name} is missing`);
  const shape = shapeOf(value);
  if (!isReshape(shape, dims))
    throw badDataFile(
      place,
      `${name} is [${shape.join(', ')}], but the model takes [${dims.join(', ')}]`,
      'Every sample fills the whole input: pad or cut it to that size.',
    );
  let to = at;
  const fill = (part: unknown, depth: number): void => {
    if (depth === shape.length) {
      out[to] = numberOf(part, input, place, to - at);
      to++;
      return;
    }
    if (!Array.isArray(part) || part.length !== shape[depth])
      throw badDataFile(place, `${name} is ragged: lists side by side differ in length`);
    for (const inner of part) fill(inner, depth + 1);
  };
  fill(value, 0);
}

/** Lengths of nested lists, outermost first, as the first of each has it. */
function shapeOf(value: unknown): number[] {
  return Array.isArray(value) ? [value.length, ...shapeOf(value[0])] : [];
}

function numberOf(value: unknown, { name, dataType }: InputSpec, place: string, element: number): number {
  const number = typeof value === 'bigint' || typeof value === 'boolean' ? Number(value) : value;
  const which = `element ${element} of ${name}`;
  if (typeof number !== 'number') throw badDataFile(place, `${which} is ${shown(value)}, not a number`);
  if (INTEGERS.includes(dataType)) {
    if (!Number.isInteger(number)) throw badDataFile(place, `${which} is ${number}, not a whole number`);
    if (Math.abs(number) > LARGEST_WHOLE_FLOAT) throw beyondFloat(place, which);
  }
  // 1e999 is infinite to JSON.parse, and 1e39 to float32.
  if (Math.abs(Math.fround(number)) === Number.POSITIVE_INFINITY)
    throw badDataFile(
      place,
      `${which} is beyond ±3.4e38, the most that float32 holds`,
      'Mend or remove this sample.',
    );
  return number;
}
