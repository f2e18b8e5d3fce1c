/** Compiled packages to try, each with pictures that nothing was fitted on. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { CLASSES, drawSamples, SIDE } from '../../examples/demo/shapes.ts';
import { compile } from '../../src/commands/compile.ts';
import { emit } from '../../src/commands/emit.ts';
import { split } from '../../src/commands/split.ts';
import { REPORT_FILE } from '../../src/emit/file-names.ts';
import { sharedData } from '../shared.ts';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const PICTURES = 200;
/** Not the seeds that the demo's data is drawn with. */
const SEED = 99;

export interface Subject {
  /** What `compile` wrote. */
  readonly folder: string;
  /** An image folder. */
  readonly pictures: string;
}

/** What `npm run demo` wrote; run now where that is missing, or not what this version of the compiler generates. */
export async function demoPackage(): Promise<string> {
  const folder = join(ROOT, 'out/demo');
  try {
    await emit({ folder, check: true });
    statSync(join(folder, REPORT_FILE));
  } catch {
    const { status } = spawnSync('npm', ['run', 'demo'], { cwd: ROOT, stdio: 'inherit' });
    if (status !== 0) throw new Error('npm run demo failed');
  }
  return folder;
}

/** The demo's package cut behind the exit `after`: the folders of client and server, below `out`. */
export async function splitDemo(after: string, out: string): Promise<{ client: string; server: string }> {
  const folder = await demoPackage();
  const { client, server } = await split({
    folder,
    model: join(ROOT, 'examples/demo/base.onnx'),
    after,
    out,
    threads: 1,
  });
  return { client: client!.folder, server: server.folder };
}

/** The demo's package, and 200 drawn pictures as PNG below `folder`. */
export async function drawn(folder: string): Promise<Subject> {
  const { pixels, labels } = drawSamples(PICTURES, SEED);
  const size = SIDE * SIDE * 3;
  const raw = { width: SIDE, height: SIDE, channels: 3 } as const;
  const pictures = join(folder, 'test');
  for (const name of CLASSES) mkdirSync(join(pictures, name), { recursive: true });
  for (const [i, label] of labels.entries())
    await sharp(pixels.subarray(i * size, (i + 1) * size), { raw })
      .png()
      .toFile(join(pictures, CLASSES[label]!, `${i}.png`));
  return { folder: await demoPackage(), pictures };
}

/** ResNet-20, compiled with few data and epochs, and 200 CIFAR-10 pictures (lossless WebP), all below `folder`. */
export async function cifar(folder: string): Promise<Subject> {
  mkdirSync(folder, { recursive: true });
  for (const role of ['calibration', 'test']) {
    const archive = sharedData('cifar10', `${role}.tar.gz`);
    const { status, stderr } = spawnSync('tar', ['-xzf', archive, '-C', folder], { encoding: 'utf8' });
    if (status !== 0) throw new Error(`tar: ${stderr}`);
  }
  const role = (name: string, from: string, first: number, end: number) =>
    someOfEachClass(join(folder, from), join(folder, `${name}-role`), first, end);
  const pictures = role('test', 'test', 0, PICTURES / 10);
  const out = join(folder, 'out');
  await compile({
    model: sharedData('models', 'resnet20.onnx'),
    preset: 'imagenet',
    train: role('train', 'calibration', 0, 150),
    calibration: role('calibration', 'calibration', 150, 250),
    test: pictures,
    exits: 2,
    epochs: 6,
    batch: 64,
    views: 1,
    budgets: [0.8],
    out,
    cache: join(folder, 'cache'),
  });
  return { folder: out, pictures };
}

/** Copies pictures `first` to `end` (in the order of names) of each class folder of `from`; returns `to`. */
function someOfEachClass(from: string, to: string, first: number, end: number): string {
  for (const name of readdirSync(from)) {
    mkdirSync(join(to, name), { recursive: true });
    for (const file of readdirSync(join(from, name)).sort().slice(first, end))
      cpSync(join(from, name, file), join(to, name, file));
  }
  return to;
}
