/** What a student saves in front of a network of 224 × 224 pictures, measured on the emitted model. For students.ts. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { zipSync } from 'fflate';
import { compile } from '../src/commands/compile.ts';
import type { Manifest } from '../src/emit/manifest.ts';
import { uniforms } from '../src/graph/random.ts';
import { type Feeds, Session, Tensor } from '../src/ort/session.ts';
import { npy } from '../test/data/fixtures.ts';
import { markdown } from './markdown.ts';
import { median } from './median.ts';
import type { StudentPlaces } from './students-data.ts';

const FILE = 'light_resnet50.onnx';
const DIMS = [3, 224, 224];
const SIZE = 3 * 224 * 224;
const SHARES = [0.05, 0.1];
const SAMPLES = 60;
const RUNS = 60;

/** Drawn numbers, since only times are told. */
function drawn(file: string, seed: number): string {
  const next = uniforms(seed);
  const x = Float32Array.from({ length: SAMPLES * SIZE }, () => 255 * next());
  writeFileSync(file, zipSync({ 'x.npy': npy('<f4', [SAMPLES, ...DIMS], x) }, { level: 0 }));
  return file;
}

export async function largeSection({ models }: StudentPlaces): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'students-large-'));
  const model = join(models, FILE);
  const data = {
    train: drawn(join(folder, 'train.npz'), 1),
    calibration: drawn(join(folder, 'calibration.npz'), 2),
    labels: 'none' as const,
  };
  const rows: string[][] = [];
  try {
    for (const share of SHARES) {
      const out = join(folder, `out-${share}`);
      const options = {
        model,
        ...data,
        preset: 'imagenet',
        widenBatch: true,
        student: [share],
        keepAll: true,
      } as const;
      await compile({ ...options, steps: 2, out, cache: join(folder, 'cache') });
      const { exits } = JSON.parse(readFileSync(join(out, 'manifest.json'), 'utf8')) as Manifest;
      for (const threads of [1, 2])
        rows.push(await rowOf(model, join(out, 'model.onnx'), exits[0]!.relativeCost, threads));
      console.error(rows.at(-1)!.join(' '));
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return `\`${FILE}\`, pictures of 224 × 224, drawn; the emitted model where every sample leaves at its first exit, the end of a student, beside the original. One sample a run, medians of ${RUNS} runs, sessions without spinning.
*In turn*: a run of the original between two of the model, which leaves nothing of it in the processor's caches. *In a row*: as where samples leave early one after another.

${markdown([['share of the MACs', 'threads', 'original, ms', 'first exit, ms, in turn', 'of its share', 'in a row', 'of its share'], ...rows])}
`;
}

async function rowOf(original: string, model: string, share: number, threads: number): Promise<string[]> {
  const sessions = await Promise.all(
    [original, model].map((file) => Session.open(file, { threads, spinning: false })),
  );
  const [whole, early] = sessions as [Session, Session];
  const next = uniforms(3);
  const picture = () =>
    new Tensor(
      'float32',
      Float32Array.from({ length: SIZE }, () => 4 * next() - 2),
      [1, ...DIMS],
    );
  const feedsOf = ({ inputMetadata: [image, thresholds] }: Session): Feeds => ({
    [image!.name]: picture(),
    // Any confidence is above 0.
    ...(thresholds && { [thresholds.name]: new Tensor('float32', [0], [1]) }),
  });
  const timed = async (session: Session) => {
    const feeds = feedsOf(session);
    const started = performance.now();
    await session.run(feeds);
    return performance.now() - started;
  };
  const [full, inTurn, inRow]: [number[], number[], number[]] = [[], [], []];
  for (let run = -3; run < RUNS; run++) {
    const [a, b] = [await timed(whole), await timed(early)];
    if (run < 0) continue;
    full.push(a);
    inTurn.push(b);
  }
  for (let run = 0; run < RUNS; run++) inRow.push(await timed(early));
  for (const session of sessions) await session.release();
  const ms = median(full);
  const cells = [inTurn, inRow].flatMap((times) => {
    const own = median(times);
    return [own.toFixed(2), (own / ms / share).toFixed(3)];
  });
  return [share.toFixed(3), `${threads}`, ms.toFixed(1), ...cells];
}
