/** A short run of what `npm run fuzz` does at length: random models both ways, and damaged files as far as ONNX Runtime's door. */
import { mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { serializeModel } from '../../src/parser/index.ts';
import { beforeRuntime } from '../fuzz/before-runtime.ts';

import { fuzzParser } from '../fuzz/fuzz-parser.ts';
import { readTree, writeTree } from '../fuzz/message-tree.ts';
import { checkFile, checkMade, extras, models, withExtras } from '../fuzz/round-trip.ts';
import { seedModels } from '../fuzz/seeds.ts';
import { tryEach } from '../fuzz/try-each.ts';
import { watched } from '../fuzz/watched.ts';

const test = suite('parser: fuzz');
const SEED = 1;
let folder = '';

test.before(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'offramp-')));
});

test.after(() => rmSync(folder, { recursive: true }));

test('the seeds are whole, and written again as they were', async () => {
  for (const [i, seed] of seedModels().entries()) {
    assert.equal(Buffer.from(writeTree(readTree(seed))), Buffer.from(seed));
    const path = join(folder, `${i}.onnx`);
    writeFileSync(path, seed);
    writeFileSync(join(folder, 'w.bin'), new Uint8Array(64));
    assert.match(await beforeRuntime(path), /^(accepted|input-shape-unknown)$/);
  }
});

test('300 mutants: a coded error or a model, in no time, and three of them in ONNX Runtime', async () => {
  const hunt = { seed: SEED, folder: join(folder, 'hunt'), from: 0, count: 300, time: 60_000, keep: 3 };
  const { mutants, outcomes, failures } = await fuzzParser(hunt);
  assert.equal(failures, []);
  assert.is(mutants, 300);
  assert.ok(outcomes.accepted! > 30 && outcomes['malformed-file']! > 30, JSON.stringify(outcomes));
  const model = join(hunt.folder, 'model');
  const kept = readdirSync(model).filter((name) => name.startsWith('accepted-'));
  const files = kept.map((name) => join(model, name));
  assert.is(files.length, 3);
  const accepted = await tryEach('inspect-each.ts', { files, time: 60_000 });
  assert.equal(accepted.failures, []);
  assert.is(
    Object.values(accepted.outcomes).reduce((sum, n) => sum + n, 0),
    files.length,
  );
});

test('a process that crashes is told from one that ends', async () => {
  const endings = { end: 'process.disconnect()', crash: "process.kill(process.pid, 'SIGSEGV')" };
  const said: Record<string, string | undefined> = {};
  for (const [name, code] of Object.entries(endings)) {
    const script = join(folder, `${name}.mjs`);
    writeFileSync(script, `process.once('message', (m) => process.send(m, () => ${code}));`);
    const cries: unknown[] = [];
    said[name] = await watched(script, 'here', (cry) => cries.push(cry));
    assert.equal(cries, [{ argument: 'here' }]);
  }
  assert.is(said.end, undefined);
  assert.match(said.crash!, 'ended with SIGSEGV');
});

test('made here, read and written: the same bytes', () => {
  fc.assert(fc.property(models, checkMade), { seed: SEED, numRuns: 60 });
});

test('from elsewhere, with fields and functions that we do not know: nothing is lost', () => {
  const file = fc.tuple(models, extras).map(([model, list]) => withExtras(serializeModel(model), list));
  fc.assert(fc.property(file, checkFile), { seed: SEED, numRuns: 60 });
});

test.run();
