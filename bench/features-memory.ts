/**
 * Peak memory of making a shard, of merging and of reading for training, by the number of samples; each in a process of its own.
 * `npx tsx bench/features-memory.ts`
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { RecordReader } from '../src/cache/record-file.ts';
import { extractShard } from '../src/commands/extract-shard.ts';
import { serializeModel } from '../src/parser/index.ts';
import { filesOf } from '../src/train/feature-identity.ts';
import { mergeShards } from '../src/train/shards.ts';
import { tinyResidual } from '../test/models.ts';

const SAMPLES = [1000, 10_000, 100_000];
const SHARDS = 2;
const BATCH = 128;
const PHASES = ['other', 'shard', 'merge', 'read'] as const;
type Phase = (typeof PHASES)[number];

async function makeShard(folder: string, samples: number, index: number): Promise<unknown> {
  // Roles of their own: nothing is cut off the training samples.
  const splits = {
    train: `random:${samples}`,
    validation: 'random:64',
    calibration: 'random:64',
    test: 'random:64',
  };
  const options = { model: join(folder, 'net.onnx'), ...splits, labels: 'none', preset: 'none' } as const;
  const shard = { index, count: SHARDS };
  return extractShard({ ...options, cache: join(folder, 'cache'), out: join(folder, 'features'), shard });
}

const run: { readonly [phase in Phase]: (folder: string, samples: number) => Promise<unknown> } = {
  other: (folder, samples) => makeShard(folder, samples, 1),
  shard: (folder, samples) => makeShard(folder, samples, 2),
  merge: (folder) => mergeShards(join(folder, 'features')),
  /** Batches of samples from everywhere, as training reads them. */
  async read(folder, samples) {
    const { folder: home, identity } = await mergeShards(join(folder, 'features'));
    const readers = filesOf(identity).map(
      ({ name, recordBytes }) => new RecordReader(join(home, name), recordBytes),
    );
    const targets = readers.map((reader) => new Uint8Array(BATCH * reader.recordBytes));
    for (let first = 0; first + BATCH <= samples; first += BATCH)
      for (const [r, reader] of readers.entries())
        for (let i = 0; i < BATCH; i++)
          reader.read(((first + i) * 7919) % samples, 1, targets[r]!, i * reader.recordBytes);
    for (const reader of readers) reader.close();
  },
};

const [first = '', folder, samples] = process.argv.slice(2);
if (folder && samples) {
  await run[first as Phase](folder, Number(samples));
  console.log(`${process.resourceUsage().maxRSS / 1024}`);
} else {
  const rows = SAMPLES.map((count) => {
    const place = mkdtempSync(join(tmpdir(), 'offramp-memory-'));
    try {
      writeFileSync(join(place, 'net.onnx'), serializeModel(tinyResidual({ seed: 4 })));
      // The first decodes too; what is measured of a shard is the second.
      const [, ...peaks] = PHASES.map((phase) => peakOf(phase, place, count));
      return `| ${count.toLocaleString('en')} | ${peaks.map((mib) => `${Math.round(mib)} MiB`).join(' | ')} |`;
    } finally {
      rmSync(place, { recursive: true, force: true });
    }
  });
  console.log(`# Memory of features against the number of samples

Made by \`npx tsx bench/features-memory.ts\`: peak resident memory of a process that makes the second of ${SHARDS} shards (the samples
decoded already, labelled by the original), merges both, or reads one epoch of merged features in batches of ${BATCH} from all over.
A network of three taps on [3, 8, 8]; the sources run through tsx, which takes most of it. What grows is what is held of
all samples: labels, the order they are in, a hash for every 256 of them.

| samples | shard | merge | read |
|---|---|---|---|
${rows.join('\n')}`);
}

function peakOf(phase: Phase, place: string, count: number): number {
  const args = ['--import', 'tsx', fileURLToPath(import.meta.url), phase, place, `${count}`];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  return Number(stdout.trim().split('\n').at(-1));
}
