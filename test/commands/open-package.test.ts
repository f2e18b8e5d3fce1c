/** A compiled package opened without the file that it was compiled from: its network and its heads answer as they did in the compile. */
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type CompileOptions, compile } from '../../src/commands/compile.ts';
import { openPackage } from '../../src/commands/open-package.ts';
import { reopen } from '../../src/commands/reopen.ts';
import { openDataset, type Preprocessing } from '../../src/data/index.ts';
import { inputsOf } from '../../src/data/splits.ts';
import { type Inspected, inspectLoaded } from '../../src/model/inspect.ts';
import { parseModel, serializeModel } from '../../src/parser/index.ts';
import { bundleHeads } from '../../src/passes/bundle-heads.ts';
import type { Head } from '../../src/passes/exits.ts';
import { predict } from '../../src/predict/predict.ts';
import { rejectsWith } from '../expect.ts';
import { branchyNet, tinyResidual } from '../models.ts';
import { manifestIn } from '../timeless.ts';
import { tinyProject, withoutTraining, writeWithExternalData } from '../tiny-project.ts';

const test = suite('open-package');
const { model, at, writeSamples, compileOptions, remove } = tinyProject('open-package', {
  epochs: 1,
  views: 1,
});
const session = { threads: 1 };

test.before(async () => {
  await writeSamples({ train: 200, calibration: 150, test: 60 });
  writeFileSync(at('labels.txt'), 'ant\nbee\ncat\ndog\nemu\n');
  await compile(compileOptions('out', { labels: at('labels.txt') }));
});
test.after(remove);

/** The package's model, inspected as a network of a chain is. */
async function opened(folder: string) {
  const found = await openPackage(folder, session);
  const inspection = await inspectLoaded(found.source, { ...found.reading, session });
  return { ...found, inspection, heads: await found.readHeads(inspection.plan) };
}

/** What everything says of the test samples. */
async function predicted(
  { typed, hash, source }: Inspected,
  heads: readonly Head[],
  preprocessing: Preprocessing,
) {
  const inputs = inputsOf(typed);
  const cache = at('cache');
  const dataset = await openDataset(at('test.npz'), {
    inputs,
    preprocessing,
    cache,
    classes: 5,
    split: 'test',
  });
  try {
    const where = { ...session, externalDataFolder: source.folder };
    return await predict(heads, dataset, { typed, modelHash: hash, session: where });
  } finally {
    await dataset.close();
  }
}

/** Fails unless the package in `folder` says by itself what it says together with `file`, the model that it was compiled from. */
async function expectSame(folder: string, file: string) {
  const manifest = manifestIn(folder);
  const preprocessing = manifest.preprocessing as Preprocessing;
  const before = await reopen(folder, manifest, { model: file, session });
  const now = await opened(folder);
  assert.equal(now.preprocessing, preprocessing);
  assert.equal(now.inspection.plan.exits, before.inspection.plan.exits);
  assert.is(now.inspection.plan.totalMacs, manifest.baseline.macs);
  assert.equal(
    now.heads.map(({ exit, kind, macs }) => [exit.id, exit.tap.value, kind, macs]),
    manifest.exits.map(({ id, tap, head, headMacs }) => [id, tap, head, headMacs]),
  );
  const [got, expected] = [
    await predicted(now.inspection, now.heads, preprocessing),
    await predicted(before.inspection, before.chain.heads, preprocessing),
  ];
  assert.equal(got.original, expected.original);
  assert.equal(got.logits, expected.logits);
  assert.equal(got.confidence, expected.confidence);
  assert.not.equal(now.inspection.hash, before.inspection.hash);
  return now;
}

test('network and heads say what they said in the compile', async () => {
  const { labels, reading } = await expectSame(at('out'), model);
  assert.equal(labels, ['ant', 'bee', 'cat', 'dog', 'emu']);
  assert.equal([reading.output, reading.taps], ['scores', ['stem', 'block1', 'block2']]);
});

test('so too with thresholds built in, external data and a batch that was widened', async () => {
  const file = at('outside.onnx');
  writeWithExternalData(tinyResidual({ seed: 4, batch: 1, softmax: true }), file);
  await compile(
    compileOptions('outside', {
      model: file,
      thresholds: 'baked',
      at: 'fast',
      widenBatch: true,
      final: 'ensembled',
    }),
  );
  const { source, inspection } = await expectSame(at('outside'), file);
  assert.equal([source.externalFiles, inspection.typed.batch], [['weights.bin'], 'dynamic']);
});

test('heads go to exits by other ids, at taps whose names have a prefix', async () => {
  const { inspection, heads, readHeads } = await opened(at('out'));
  const { plan } = inspection;
  const exits = plan.exits.map((exit, k) => ({
    ...exit,
    id: `exit_${k + 4}`,
    tap: { ...exit.tap, value: `first_1/${exit.tap.value}` },
  }));
  const found = await readHeads({ ...plan, exits: [...exits, exits[0]!] });
  assert.equal(
    found.map((head) => head.exit),
    exits,
  );
  assert.equal(
    found.map(({ graph }) => graph),
    heads.map(({ graph }) => graph),
  );
  await rejectsWith('unusable-heads', () => readHeads({ ...plan, exits: exits.toReversed() }));
  await rejectsWith('unusable-heads', () => readHeads({ ...plan, exits: exits.slice(1) }));
  assert.equal(bundleHeads(heads), parseModel(readFileSync(at('out/heads.onnx'))).graph);
});

/** A copy of the compiled folder, as `change` leaves it. */
function copied(change: (folder: string) => void): string {
  const folder = at('copy');
  rmSync(folder, { recursive: true, force: true });
  cpSync(at('out'), folder, { recursive: true });
  change(folder);
  return folder;
}

test('what is no package, damaged or of two compiles is refused', async () => {
  const refused = async (code: string, folder: string) =>
    (await rejectsWith(code, () => opened(folder))).message;
  await refused('not-a-package', at('nowhere'));
  await refused(
    'package-damaged',
    copied((folder) => rmSync(join(folder, 'model.onnx'))),
  );
  await refused(
    'package-damaged',
    copied((folder) => cpSync(model, join(folder, 'model.onnx'))),
  );
  const { model: _, ...unhashed } = manifestIn(at('out'));
  const source = { ...unhashed.source, sha256: '0'.repeat(64) };
  const other = copied((folder) =>
    writeFileSync(join(folder, 'manifest.json'), JSON.stringify({ ...unhashed, source })),
  );
  assert.match(await refused('package-damaged', other), /different originals/);
  await refused(
    'unusable-heads',
    copied((folder) => writeFileSync(join(folder, 'heads.onnx'), 'no heads')),
  );
});

test('exits that came with the model are refused: the package keeps no heads', async () => {
  const branchy = at('branchy.onnx');
  writeFileSync(branchy, serializeModel(branchyNet()));
  const options: Partial<CompileOptions> = { model: branchy, exitOutputs: ['exit1', 'exit2', 'logits'] };
  await compile(withoutTraining(compileOptions('branchy', options)));
  assert.not.ok(readdirSync(at('branchy')).includes('heads.onnx'));
  const error = await rejectsWith('package-without-heads', () => openPackage(at('branchy'), session));
  assert.match(error.hint!, /branchy\.onnx/);
});

test.run();
