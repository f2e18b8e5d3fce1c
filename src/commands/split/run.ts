/** Client and server by hand: the parts of a model one after another, what travels between them included. */
import { stat } from 'node:fs/promises';
import { answersIn, type RunAnswers } from '../../emit/check-baked.ts';
import type { Manifest } from '../../emit/manifest.ts';
import { openDataFolder } from '../../networks/data-folder.ts';
import {
  type Feeds,
  type Outputs,
  type Session,
  type SessionOptions,
  Tensor,
  withSession,
} from '../../ort/session.ts';
import { type PartTensor, STATE_INPUT } from '../../passes/lower-part.ts';
import { thresholdsFeed } from '../../predict/run-emitted.ts';
import type { PartFile } from './parts.ts';

/** Some samples. */
export interface Samples {
  readonly count: number;
  /** As the original takes them. */
  readonly feeds: Feeds;
  /** The same inputs as they travel. */
  readonly sent: Feeds;
}

/** A part in a session. */
export interface Stage {
  readonly session: Session;
  readonly takes: readonly PartTensor[];
  readonly gives: readonly PartTensor[];
}

/** What `client` says, which takes `thresholds`, and what `server` says of the samples that go on. Without a client all do. */
export async function runSplit(
  { count, feeds, sent }: Samples,
  client: Stage | undefined,
  server: readonly Stage[],
  thresholds: readonly number[],
  manifest: Manifest,
): Promise<RunAnswers> {
  const found = await client?.session.run({ ...feeds, ...thresholdsFeed(thresholds) });
  const answers = found && answersIn(found, manifest);
  const going = answers ? rowsInPlay(answers, manifest) : Array.from({ length: count }, (_, row) => row);
  const carried = client && found ? travelling(client, found, going) : {};
  return await runServer(sent, going, carried, answers, server, manifest);
}

/** What `stages` say of the rows `going` of `sent`; `carried`: what came from the part before. Other rows keep their `answers`. */
async function runServer(
  sent: Feeds,
  going: readonly number[],
  carried: Feeds,
  answers: RunAnswers | undefined,
  stages: readonly Stage[],
  manifest: Manifest,
): Promise<RunAnswers> {
  const [stage, ...later] = stages;
  if (going.length === 0 || stage === undefined) return answers!;
  const feeds = stage.takes.map(({ name, role }) => [
    name,
    role === 'input' ? takeRows(sent[name]!, going) : carried[name]!,
  ]);
  const found = await stage.session.run(Object.fromEntries(feeds));
  const own = answersIn(found, manifest);
  const all = answers ? withRows(answers, own, going) : own;
  if (later.length === 0) return all;
  const rows = rowsInPlay(own, manifest);
  const next = rows.map((row) => going[row]!);
  return await runServer(sent, next, travelling(stage, found, rows), all, later, manifest);
}

const rowsInPlay = ({ exits }: RunAnswers, manifest: Manifest): number[] =>
  exits.flatMap((exit, row) => (exit === manifest.exits.length ? [row] : []));

/** What the next part gets of `found`, by the names that it has there. Features come for the samples in play alone, the state for all. */
function travelling({ gives }: Stage, found: Outputs, rows: readonly number[]): Feeds {
  return Object.fromEntries(
    gives.map(({ name, role }) =>
      role === 'state' ? [STATE_INPUT, takeRows(found[name]!, rows)] : [name, found[name]!],
    ),
  );
}

/** `answers` with `own` at `rows`. */
function withRows(answers: RunAnswers, own: RunAnswers, rows: readonly number[]): RunAnswers {
  const width = answers.scores.length / answers.exits.length;
  const exits = [...answers.exits];
  const confidence = answers.confidence.slice();
  const scores = answers.scores.slice();
  for (const [i, row] of rows.entries()) {
    exits[row] = own.exits[i]!;
    confidence[row] = own.confidence[i]!;
    scores.set(own.scores.subarray(i * width, (i + 1) * width), row * width);
  }
  return { exits, confidence, scores };
}

/** `rows` of `tensor`, along its first axis. */
export function takeRows(tensor: Tensor, rows: readonly number[]): Tensor {
  const { type, dims } = tensor;
  const data = tensor.data as Float32Array;
  const size = data.length / dims[0]!;
  const taken = new (data.constructor as Float32ArrayConstructor)(rows.length * size);
  for (const [to, row] of rows.entries()) taken.set(data.subarray(row * size, (row + 1) * size), to * size);
  return new Tensor(type as 'float32', taken, [rows.length, ...dims.slice(1)]);
}

/** How parts are run before they are written. */
export interface Running {
  readonly session: SessionOptions;
  /** Where external data are put together. */
  readonly cache: string;
}

/** Opens a session of each of `files`, hands them to `use`, and releases them whatever happens. */
export async function withStages<T>(
  files: readonly PartFile[],
  running: Running,
  use: (stages: readonly Stage[]) => Promise<T>,
): Promise<T> {
  const [file, ...others] = files;
  if (file === undefined) return await use([]);
  const data = await openDataFolder(file.files, running.cache);
  try {
    const session = { ...running.session, externalDataFolder: data.folder };
    return await withSession(file.bytes, session, (opened) =>
      withStages(others, running, (stages) => use([{ ...file, session: opened }, ...stages])),
    );
  } finally {
    await data.close();
  }
}

/** Bytes of `file` and its external data. */
export async function sizeOf({ bytes, files }: PartFile): Promise<number> {
  const data = await Promise.all(
    Array.from(files.values(), async (content) =>
      'copyOf' in content
        ? (await stat(content.copyOf)).size
        : content.reduce((sum, piece) => sum + piece.byteLength, 0),
    ),
  );
  return data.reduce((sum, size) => sum + size, bytes.byteLength);
}
