import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { badDataFile, emptyDataset, messageOf } from '../errors/index.ts';
import { fileStamps } from './files.ts';
import type { Source, SourceOptions } from './records.ts';
import { rowSource } from './rows.ts';
import type { Row } from './table.ts';

const NEWLINE = 10;
const SPACE = 32;
const utf8 = new TextDecoder();

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
  for await (const text of linesOf(file)) if (!isBlank(text)) count++;
  return count;
}

async function* rowsOf(file: string): AsyncGenerator<Row> {
  let line = 0;
  for await (const text of linesOf(file)) {
    line++;
    if (!isBlank(text)) yield parseRow(utf8.decode(text), `${file}:${line}`);
  }
}

function parseRow(text: string, place: string): Row {
  let fields: unknown;
  try {
    fields = JSON.parse(text);
  } catch (error) {
    throw badDataFile(place, `this line is not JSON: ${messageOf(error)}`, 'Write one JSON object a line.');
  }
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields))
    throw badDataFile(place, 'this line is no JSON object', 'Write one JSON object a line.');
  return { fields: fields as Row['fields'], place };
}

function isBlank(line: Buffer): boolean {
  return !line.some((byte) => byte > SPACE);
}

/** Lines without their newline. Not by `readline`, which also breaks at U+2028, allowed inside of JSON strings. */
async function* linesOf(file: string): AsyncGenerator<Buffer> {
  const stored = createReadStream(file);
  const stream = file.endsWith('.gz') ? pipeline(stored, createGunzip(), () => {}) : stored;
  let begun: Buffer[] = [];
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      let from = 0;
      for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
        yield Buffer.concat([...begun, chunk.subarray(from, end)]);
        begun = [];
        from = end + 1;
      }
      if (from < chunk.length) begun.push(chunk.subarray(from));
    }
  } catch (error) {
    throw badDataFile(file, messageOf(error));
  }
  if (begun.length > 0) yield Buffer.concat(begun);
}
