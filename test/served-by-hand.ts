/** What `split` writes, run by ONNX Runtime alone: the client's model.onnx, and a server that knows nothing but manifest.json. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import type { Manifest } from '../src/emit/manifest.ts';
import type { ServerManifest, ServerModel } from '../src/export/server-manifest.ts';

export interface ByHand {
  readonly exits: number[];
  readonly scores: Float32Array;
}

type Feeds = Record<string, ort.Tensor>;

const sessions = new Map<string, Promise<ort.InferenceSession>>();
function session(path: string): Promise<ort.InferenceSession> {
  const found = sessions.get(path) ?? ort.InferenceSession.create(path, { logSeverityLevel: 3 });
  sessions.set(path, found);
  return found;
}

export const serverManifest = (out: string): ServerManifest =>
  JSON.parse(readFileSync(join(out, 'server/manifest.json'), 'utf8'));

/** Rows of a tensor along its first axis. */
export function rowsOf({ type, data, dims }: ort.Tensor, rows: readonly number[]): ort.Tensor {
  const size = (data as Float32Array).length / dims[0]!;
  const taken = rows.flatMap((row) => [...(data as Float32Array).slice(row * size, (row + 1) * size)]);
  const made = (data.constructor as Float32ArrayConstructor).from(taken);
  return new ort.Tensor(type as 'float32', made, [rows.length, ...dims.slice(1)]);
}

const answersIn = (found: Feeds, { outputs }: Manifest): ByHand => ({
  exits: Array.from(found[outputs.exitIndex]!.data as BigInt64Array, Number),
  scores: found[outputs.scores]!.data as Float32Array,
});

/** The client's answers to `feeds`, and what it would send of the samples in play, features and state: the inputs are in `feeds`. */
export async function askClient(out: string, feeds: Feeds, thresholds: readonly number[]) {
  const manifest: Manifest = JSON.parse(readFileSync(join(out, 'client/manifest.json'), 'utf8'));
  const client = await session(join(out, 'client/model.onnx'));
  const found = (await client.run({
    ...feeds,
    thresholds: new ort.Tensor('float32', Float32Array.from(thresholds), [thresholds.length]),
  })) as Feeds;
  const answers = answersIn(found, manifest);
  const going = answers.exits.flatMap((exit, row) => (exit === manifest.exits.length ? [row] : []));
  const sent: Feeds = {};
  for (const { name, role } of manifest.split!.sends) {
    if (role === 'feature') sent[name] = found[name]!;
    if (role === 'state') sent[name] = rowsOf(found.policy_state_out!, going);
  }
  return { answers, going, sent, manifest };
}

/** What the server answers to a request: `model` in its parts, each asked for the samples that are in play. */
export async function askServer(
  out: string,
  { parts, inPlay }: ServerModel,
  request: Feeds,
  manifest: Manifest,
) {
  const count = Object.values(request)[0]!.dims[0]!;
  const exits = Array<number>(count).fill(inPlay);
  let scores = new Float32Array();
  let going = Array.from({ length: count }, (_, row) => row);
  let state: Feeds = {};
  const asked: number[] = [];
  for (const [n, part] of parts.entries()) {
    if (going.length === 0) break;
    asked.push(going.length);
    const feeds: Feeds = {};
    for (const name of part.inputs) feeds[name] = state[name] ?? rowsOf(request[name]!, going);
    const found = (await (await session(join(out, 'server', part.file))).run(feeds)) as Feeds;
    for (const name of part.outputs) if (!(name in found)) throw new Error(`${part.file} has no ${name}`);
    const own = answersIn(found, manifest);
    const width = own.scores.length / going.length;
    if (scores.length === 0) scores = new Float32Array(count * width);
    for (const [i, row] of going.entries()) {
      exits[row] = own.exits[i]!;
      scores.set(own.scores.subarray(i * width, (i + 1) * width), row * width);
    }
    const next = own.exits.flatMap((exit, i) => (exit === inPlay ? [i] : []));
    state =
      found.policy_state_out && n < parts.length - 1
        ? { policy_state: rowsOf(found.policy_state_out, next) }
        : {};
    going = next.map((i) => going[i]!);
  }
  return { exits, scores, asked };
}

/** Client and server, one after the other; `sent`: the inputs as they travel. */
export async function askBoth(
  out: string,
  at: string,
  feeds: Feeds,
  sent: Feeds,
  thresholds: readonly number[],
) {
  const { answers, going, sent: made, manifest } = await askClient(out, feeds, thresholds);
  const name = manifest.split!.models[at]!;
  const model = serverManifest(out).models.find((one) => one.name === name)!;
  if (going.length === 0) return { ...answers, going, model };
  const request: Feeds = { ...made };
  for (const { name, role } of manifest.split!.sends)
    if (role === 'input' || role === 'pixels') request[name] = rowsOf(sent[name]!, going);
  const own = await askServer(out, model, request, manifest);
  const width = own.scores.length / going.length;
  const scores = answers.scores.slice();
  const exits = [...answers.exits];
  for (const [i, row] of going.entries()) {
    exits[row] = own.exits[i]!;
    scores.set(own.scores.subarray(i * width, (i + 1) * width), row * width);
  }
  return { exits, scores, going, model };
}

/** The package's own model. */
export async function askWhole(folder: string, feeds: Feeds, thresholds: readonly number[]): Promise<ByHand> {
  const manifest: Manifest = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8'));
  const whole = await session(join(folder, 'model.onnx'));
  const given = new ort.Tensor('float32', Float32Array.from(thresholds), [thresholds.length]);
  return answersIn((await whole.run({ ...feeds, thresholds: given })) as Feeds, manifest);
}

export async function closeAll(): Promise<void> {
  for (const opened of sessions.values()) await (await opened).release();
  sessions.clear();
}
