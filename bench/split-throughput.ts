/** How many samples a second a server answers in time, by what it runs together. For split.ts. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Load, Loaded } from './http-load.ts';
import { markdown } from './markdown.ts';
import { median } from './median.ts';
import type { Places } from './places.ts';
import { type Picture, picturesIn, prepare, SUBJECTS, serve } from './split-subjects.ts';

/** Figures are medians of rounds: fewer where rates have to be searched, which takes longer. */
const LOADS = [
  { clients: 1, rounds: 5 },
  { clients: 32, rounds: 7 },
  { clients: 256, rounds: 3 },
];
/** Milliseconds in which 95 of 100 answers have to be there. */
const IN_TIME = 100;
/** Seconds that are measured. */
const SECONDS = 2;
const PICTURES = 512;
/** Rates are found to within this share. */
const STEP = 1.1;

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
  /** Runs at a time. */
  readonly workers: number;
}

export async function throughputSection(places: Places): Promise<string> {
  const pictures = await picturesIn([join(places.pictures, 'test')], PICTURES);
  const { whole, parts } = await prepare(SUBJECTS[0]!, places);
  const folder = join(parts, 'server');
  const model = await modelIn(folder, whole);
  const inOne = inOnePart(folder);
  const ways: readonly Way[] = [1, 2].flatMap((workers) => [
    { name: 'whole model, requests one by one', folder: inOne, maxBatch: 1, workers },
    { name: 'whole model, batches of up to 32', folder: inOne, maxBatch: 32, workers },
    { name: 'batches of each network', folder, maxBatch: 32, workers },
  ]);
  const servers = [];
  for (const { folder, maxBatch, workers } of ways) {
    const sizes = ['--max-batch', String(maxBatch), '--workers', String(workers)];
    servers.push(await serve(folder, '--max-queue', '1024', '--max-wait-ms', '0', ...sizes));
  }
  const rows: string[][] = [];
  for (const { clients, rounds } of LOADS) {
    // In turn, so that what else the machine does falls on all of them.
    const found: Loaded[][] = ways.map(() => []);
    for (let round = 0; round < rounds; round++)
      for (const [i, { url }] of servers.entries())
        found[i]!.push(await mostInTime(requestsTo(url, model, pictures), clients));
    const ratesOf = (way: number) => found[way]!.map(({ perSecond }) => perSecond);
    for (const [i, { name, workers }] of ways.entries()) {
      const rates = ratesOf(i);
      const base = median(ratesOf(ways.findIndex((way) => way.workers === workers)));
      rows.push([
        String(clients),
        String(workers),
        name,
        median(rates).toFixed(0),
        `${Math.min(...rates).toFixed(0)} … ${Math.max(...rates).toFixed(0)}`,
        (median(rates) / base).toFixed(2),
        median(found[i]!.map(({ p50 }) => p50)).toFixed(1),
        median(found[i]!.map(({ p95 }) => p95)).toFixed(1),
      ]);
    }
  }
  await Promise.all(servers.map((server) => server.close()));
  return markdown([
    [
      'clients',
      'workers',
      'server',
      'samples a second',
      'least … most',
      'of one by one',
      'median, ms',
      'p95, ms',
    ],
    ...rows,
  ]);
}

/**
 * The most that comes in time. Clients that ask as soon as they are answered are all the load that there can be; where answers are late then, they ask at a rate, which is
 * found by halving the way.
 */
async function mostInTime(load: Pick<Load, 'url' | 'headers' | 'bodies'>, clients: number): Promise<Loaded> {
  const at = (rate?: number) => inProcess({ ...load, clients, ...(rate && { rate }), seconds: SECONDS });
  const isInTime = ({ p95, failed }: Loaded) => failed === 0 && p95 <= IN_TIME;
  let best = await at();
  if (isInTime(best)) return best;
  let [low, high] = [0, best.perSecond];
  while (low === 0 || high / low > STEP) {
    const rate = low === 0 ? 0.8 * high : Math.sqrt(low * high);
    const found = await at(rate);
    if (isInTime(found) && found.perSecond >= 0.95 * rate) [low, best] = [rate, found];
    else high = rate;
    if (high < 1) throw new Error(`${load.url} answers nothing in time`);
  }
  return best;
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
