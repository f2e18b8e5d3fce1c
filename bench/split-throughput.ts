/** How many samples a second a server answers in time, by what it runs together. For split.ts. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Load, Loaded } from './http-load.ts';
import { markdown } from './markdown.ts';
import type { Places } from './places.ts';
import { type Picture, picturesIn, prepare, SUBJECTS, serve } from './split-subjects.ts';

const CLIENTS = [1, 32, 256];
/** Milliseconds in which 95 of 100 answers have to be there. */
const IN_TIME = 100;
/** Seconds of a trial, and of the one that a figure is taken from. */
const SECONDS = 3;
const PICTURES = 512;
/** Rates are found to within this share. */
const STEP = 1.08;

/** A model that is asked, at the default operating point. */
interface Asked {
  readonly name: string;
  readonly input: string;
  /** Of a picture, as the model takes it. */
  readonly bytesOf: (picture: Picture) => Uint8Array;
}

/** What a server runs together. */
interface Way {
  readonly name: string;
  readonly folder: string;
  readonly maxBatch: number;
}

export async function throughputSection(places: Places): Promise<string> {
  const pictures = await picturesIn([join(places.pictures, 'test')], PICTURES);
  const { whole, parts } = await prepare(SUBJECTS[0]!, places);
  const folder = join(parts, 'server');
  const model = await modelIn(folder, whole);
  const ways: readonly Way[] = [
    { name: 'whole model, requests one by one', folder: inOnePart(folder), maxBatch: 1 },
    { name: 'whole model, batches of up to 32', folder: inOnePart(folder), maxBatch: 32 },
    { name: 'batches of each network', folder, maxBatch: 32 },
  ];
  const rows: string[][] = [];
  for (const clients of CLIENTS) {
    let base: number | undefined;
    for (const { name, folder, maxBatch } of ways) {
      const flags = ['--max-queue', '1024', '--max-wait-ms', '0', '--max-batch', String(maxBatch)];
      const server = await serve(folder, ...flags);
      const found = await mostInTime(requestsTo(server.url, model, pictures), clients);
      await server.close();
      base ??= found.perSecond;
      rows.push([
        String(clients),
        name,
        found.perSecond.toFixed(0),
        (found.perSecond / base).toFixed(2),
        found.p50.toFixed(1),
        found.p95.toFixed(1),
      ]);
    }
  }
  return markdown([
    ['clients', 'server', 'samples a second', 'of one by one', 'median, ms', 'p95, ms'],
    ...rows,
  ]);
}

/** The highest rate at which answers come in time, found by doubling and then halving the way. */
async function mostInTime(load: Pick<Load, 'url' | 'headers' | 'bodies'>, clients: number): Promise<Loaded> {
  const at = (rate: number) => inProcess({ ...load, clients, rate, seconds: SECONDS });
  // A machine has hiccups: what is missed once is tried again.
  const inTime = async (rate: number): Promise<Loaded | undefined> => {
    for (let attempt = 0; attempt < 2; attempt++) {
      const found = await at(rate);
      const { p95, failed, perSecond } = found;
      if (failed === 0 && p95 <= IN_TIME && perSecond >= 0.95 * rate) return found;
    }
    return undefined;
  };
  let [low, high] = [0, 400];
  let best: Loaded | undefined;
  for (;;) {
    const found = await inTime(high);
    if (!found) break;
    [low, best, high] = [high, found, 2 * high];
  }
  while (low === 0 || high / low > STEP) {
    const rate = low === 0 ? high / 2 : Math.sqrt(low * high);
    const found = await inTime(rate);
    if (found) [low, best] = [rate, found];
    else high = rate;
    if (high < 1) throw new Error(`${load.url} answers nothing in time`);
  }
  return best!;
}

/** A copy of a split's server folder whose models are not in parts: each is one file that runs all networks. */
function inOnePart(folder: string): string {
  const copy = `${folder}-in-one-part`;
  cpSync(folder, copy, { recursive: true });
  const file = join(copy, 'manifest.json');
  const manifest = JSON.parse(readFileSync(file, 'utf8'));
  for (const model of manifest.models) {
    const namesOf = (tensors: { name: string }[]) => tensors.map(({ name }) => name);
    const own = { inputs: namesOf(model.inputs), outputs: namesOf(model.outputs) };
    model.parts = [{ network: 'whole', file: `${model.name}/1/model.onnx`, ...own }];
  }
  writeFileSync(file, JSON.stringify(manifest));
  return copy;
}

/** The model of a split's server at the default point of `whole`. */
async function modelIn(folder: string, whole: string): Promise<Asked> {
  const { defaultPoint } = JSON.parse(readFileSync(join(whole, 'manifest.json'), 'utf8'));
  const { models } = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8'));
  const { name, inputs } = models.find(({ points }: { points: string[] }) => points.includes(defaultPoint));
  const planes = (data: Uint8Array) => {
    const size = data.length / 3;
    return Uint8Array.from(data, (_, i) => data[(i % size) * 3 + Math.floor(i / size)]!);
  };
  return { name, input: inputs[0].name, bytesOf: ({ data }) => planes(data) };
}

async function inProcess(load: Load): Promise<Loaded> {
  const child = fork(fileURLToPath(new URL('./http-load.ts', import.meta.url)), {
    execArgv: ['--import', 'tsx'],
  });
  child.send(load);
  const [loaded] = (await once(child, 'message')) as [Loaded];
  return loaded;
}

/** Requests of one picture each: what the server's model with the default point takes. */
function requestsTo(
  server: string,
  model: Asked,
  pictures: readonly Picture[],
): Pick<Load, 'url' | 'headers' | 'bodies'> {
  const bodies = pictures.map((picture) => Buffer.from(model.bytesOf(picture)));
  const head = Buffer.from(
    JSON.stringify({
      inputs: [
        {
          name: model.input,
          datatype: 'UINT8',
          shape: [1, 3, 32, 32],
          parameters: { binary_data_size: bodies[0]!.length },
        },
      ],
      parameters: { binary_data_output: true },
    }),
  );
  return {
    url: `${server}/v2/models/${model.name}/infer`,
    headers: { 'Content-Type': 'application/octet-stream', 'Inference-Header-Content-Length': head.length },
    bodies: bodies.map((body) => Buffer.concat([head, body]).toString('base64')),
  };
}
