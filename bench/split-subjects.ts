/** Chains that are split, the servers of their rests, and pictures. For split.ts. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath, pathToFileURL } from 'node:url';
import * as ort from 'onnxruntime-node';
import sharp from 'sharp';
import { compile } from '../src/commands/compile.ts';
import { split } from '../src/commands/split.ts';
import type { Places } from './places.ts';

const SERVER = fileURLToPath(new URL('../examples/node-server/server.ts', import.meta.url));

/** A chain of two networks: what is in front of ResNet-56, and how it is compiled. */
export interface Subject {
  readonly name: string;
  readonly options: object;
}

export const SUBJECTS: readonly Subject[] = [
  { name: 'resnet8 → resnet56', options: { first: ['resnet8_mlperf'] } },
  { name: 'student of a tenth → resnet56', options: { student: [0.1] } },
];

/** Folders of a subject: the package, its split after the first network, and the whole of it for a server, a network at a time. */
export interface Prepared {
  readonly name: string;
  readonly whole: string;
  readonly split: string;
  readonly parts: string;
}

/** Compiles and splits what is not there yet. */
export async function prepare(
  subject: Subject,
  { models, pictures, keep, cache }: Places,
): Promise<Prepared> {
  const at = (folder: string) => join(keep, folder, subject.name.replaceAll(' → ', '-').replaceAll(' ', '_'));
  const [whole, halves, parts] = [at('whole'), at('split'), at('parts')];
  const model = join(models, 'resnet56.onnx');
  const { first, ...others } = subject.options as { first?: string[] };
  const firsts = first?.map((file) => ({ model: join(models, `${file}.onnx`), preset: 'none' as const }));
  const data = { calibration: join(pictures, 'calibration'), test: join(pictures, 'test') };
  if (!existsSync(whole))
    await compile({
      model,
      preset: 'imagenet',
      ...data,
      ...(firsts ? { first: firsts } : { train: join(pictures, 'train') }),
      ...others,
      ...(cache && { cache }),
      name: 'resnet56',
      out: whole,
      timing: false,
      report: false,
    });
  const same = { folder: whole, model, ...(firsts && { first: firsts }), ...(cache && { cache }) };
  if (!existsSync(halves)) await split({ ...same, after: 'exit_1', out: halves });
  if (!existsSync(parts)) await split({ ...same, out: parts });
  return { name: subject.name, whole, split: halves, parts };
}

export interface Picture {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly label: string;
}

/** The pictures of some folders of classes, spread over them where `most` are enough. */
export async function picturesIn(
  folders: readonly string[],
  most = Number.POSITIVE_INFINITY,
): Promise<Picture[]> {
  const files = folders.flatMap((folder) =>
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => ({
        label: entry.parentPath.split('/').at(-1)!,
        file: join(entry.parentPath, entry.name),
      }))
      .sort((a, b) => (a.file < b.file ? -1 : 1)),
  );
  const count = Math.min(most, files.length);
  const picked = Array.from({ length: count }, (_, i) => files[Math.floor((i * files.length) / count)]!);
  return await Promise.all(
    picked.map(async ({ file, label }) => {
      const { data, info } = await sharp(file).removeAlpha().raw().toBuffer({ resolveWithObject: true });
      return { data: new Uint8Array(data), width: info.width, height: info.height, label };
    }),
  );
}

export interface Answer {
  readonly label: string;
  readonly where?: string;
}

export interface Classifier {
  classify(picture: Picture | readonly Picture[], options?: { at?: string }): Promise<readonly Answer[]>;
  release(): Promise<void>;
  readonly statistics: { readonly bytesSent?: number; readonly asked?: number };
}

/** The class of the package in `folder`, loaded, and what else its module exports. */
export async function load(folder: string, server?: string) {
  const module = await import(pathToFileURL(join(folder, 'index.js')).href);
  const model: Classifier = await module.default.load(ort, server ? { server } : {});
  return {
    model,
    points: module.operatingPoints as Record<string, { accuracy: number }>,
    defaultPoint: module.defaultPoint as string,
  };
}

/** Starts the example server for `folder`; `pid` and `close` end with it. */
export async function serve(folder: string, ...flags: string[]) {
  const words = ['--import', 'tsx', SERVER, folder, '--port', '0', '--client-share', '1', ...flags];
  const child: ChildProcess = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(createInterface(child.stdout!), 'line')) as [string];
  const url = /http:\S+/.exec(line)![0];
  return {
    url,
    async close() {
      child.kill('SIGTERM');
      await once(child, 'exit');
    },
  };
}

/** A server in front of the one at `url` whose every byte takes `ms` there and back, half of it each way. */
export async function delayed(url: string, ms: number) {
  const { port } = new URL(url);
  const proxy = createServer((near) => {
    const far = connect(Number(port), '127.0.0.1');
    near.setNoDelay();
    far.setNoDelay();
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on('data', (chunk) => setTimeout(() => to.writable && to.write(chunk), ms / 2));
      from.on('end', () => setTimeout(() => to.end(), ms / 2));
      from.on('error', () => to.destroy());
    }
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const own = (proxy.address() as { port: number }).port;
  return { url: `http://127.0.0.1:${own}`, close: async () => void proxy.close() };
}
