import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { badDataFile, emptyDataset, messageOf, OfframpError } from '../errors/index.ts';
import { fileStamp, fileStamps } from './files.ts';
import type { Source, SourceOptions } from './records.ts';
import { rowSource } from './rows.ts';
import type { Row } from './table.ts';
import { decodeText, parseJson } from './text.ts';

const NEWLINE = 10;
const SPACE = 32;
/** Of a line. A sample of three million numbers has fewer. */
const MOST_LINE_BYTES = 2 ** 26;
/** Rows that people write shrink to a hundredth at most: a packed file that becomes this many times as large, and larger than that, is none. */
const MOST_UNPACKED = { times: 250, bytes: 2 ** 26 };

export function isJsonl(path: string): boolean {
  return /\.(jsonl|ndjson)(\.gz)?$/.test(path);
}

/** A JSON object a line, UTF-8 (jsonlines.org); empty lines are passed over. */
export async function jsonlSource(path: string, options: SourceOptions): Promise<Source> {
  const first = await firstRow(path);
  if (!first) throw emptyDataset(path);
  const table = {
    format: 'jsonl',
    path,
    files: fileStamps([path]),
    fields: Object.keys(first.fields),
    head: first.place,
    count: () => countLines(path),
    rows: () => rowsOf(path),
  };
  return rowSource(table, options);
}

async function firstRow(file: string): Promise<Row | undefined> {
  for await (const row of rowsOf(file)) return row;
  return undefined;
}

async function countLines(file: string): Promise<number> {
  let count = 0;
  for await (const _ of linesOf(file)) count++;
  return count;
}

async function* rowsOf(file: string): AsyncGenerator<Row> {
  for await (const { bytes, place } of linesOf(file)) yield parseRow(bytes, place);
}

function parseRow(bytes: Uint8Array, place: string): Row {
  let fields: unknown;
  try {
    fields = parseJson(textOf(bytes, place));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw badDataFile(place, `this line is not JSON: ${messageOf(error)}`, 'Write one JSON object a line.');
  }
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields))
    throw badDataFile(place, 'this line is no JSON object', 'Write one JSON object a line.');
  return { fields: fields as Row['fields'], place };
}

function textOf(bytes: Uint8Array, place: string): string {
  try {
    return decodeText(bytes);
  } catch (error) {
    throw badDataFile(place, messageOf(error), 'Save the file as UTF-8.');
  }
}

interface Line {
  /** Without its newline. */
  readonly bytes: Uint8Array;
  /** File and number, for errors. */
  readonly place: string;
}

/** Lines that are not blank. Not by `readline`, which also breaks at U+2028, allowed inside of JSON strings, and holds a line of any length. */
async function* linesOf(file: string): AsyncGenerator<Line> {
  const stored = createReadStream(file);
  const isPacked = file.endsWith('.gz');
  const stream = isPacked ? pipeline(stored, createGunzip(), () => {}) : stored;
  const mostBytes = isPacked
    ? Math.max(MOST_UNPACKED.bytes, MOST_UNPACKED.times * fileStamp(file).sizeBytes)
    : Number.POSITIVE_INFINITY;
  let readBytes = 0;
  let number = 1;
  let begun: Buffer[] = [];
  let begunBytes = 0;
  const add = (part: Buffer) => {
    begunBytes += part.length;
    if (begunBytes > MOST_LINE_BYTES)
      throw badDataFile(
        `${file}:${number}`,
        `this line has more than ${MOST_LINE_BYTES} bytes`,
        'Write one JSON object a line, each a single sample.',
      );
    begun.push(part);
  };
  const line = (): Line => {
    const bytes = begun.length === 1 ? begun[0]! : Buffer.concat(begun);
    [begun, begunBytes] = [[], 0];
    return { bytes, place: `${file}:${number++}` };
  };
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      readBytes += chunk.length;
      if (readBytes > mostBytes)
        throw badDataFile(
          file,
          `unpacked it has more than ${MOST_UNPACKED.times} times its size`,
          'If that is right, unpack it (`gunzip`) and give the unpacked file.',
        );
      let from = 0;
      for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
        if (end > from) add(chunk.subarray(from, end));
        from = end + 1;
        if (begunBytes === 0) {
          number++;
          continue;
        }
        const whole = line();
        if (!isBlank(whole.bytes)) yield whole;
      }
      if (from < chunk.length) add(chunk.subarray(from));
    }
  } catch (error) {
    throw error instanceof OfframpError ? error : badDataFile(file, messageOf(error));
  }
  const last = line();
  if (!isBlank(last.bytes)) yield last;
}

function isBlank(line: Uint8Array): boolean {
  return !line.some((byte) => byte > SPACE);
}
