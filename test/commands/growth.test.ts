/** What compile grows where nobody says how large. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type GrowthOptions, planGrowth, wantedGrowth } from '../../src/commands/growth.ts';
import type { StudentReader } from '../../src/commands/open-student.ts';
import { inspectFile } from '../../src/model/inspect.ts';
import { serializeModel } from '../../src/parser/index.ts';
import { rejectsWith } from '../expect.ts';
import { tinyResidual } from '../models.ts';
import { inputOf, readsOf } from '../students/readers.ts';

const test = suite('commands: growth');
const folder = mkdtempSync(join(tmpdir(), 'offramp-growth-'));
const model = join(folder, 'tiny.onnx');
writeFileSync(model, serializeModel(tinyResidual()));
test.after(() => rmSync(folder, { recursive: true, force: true }));

const reads = readsOf([inputOf([3, 32, 32])]);

/** What is planned in front of an original of so many MACs. */
async function planned(totalMacs: number, options: GrowthOptions = {}) {
  const inspection = await inspectFile({ model });
  const plan = { ...inspection.plan, totalMacs };
  const original = { ...reads, file: 'x.onnx', inspection: { ...inspection, plan } } as StudentReader;
  const wanted = wantedGrowth({ train: 'train.npz', ...options })!;
  const { growth, note } = await planGrowth(wanted, original, {
    seed: 5,
    dropOutputs: false,
    taken: ['student_1.onnx'],
  });
  return { shares: [...(growth?.students.values() ?? [])].map(({ share }) => share), growth, note };
}

test('by default a student is no smaller than it can be, and heads are trained where that is too large', async () => {
  assert.equal((await planned(125e6)).shares, [0.1]);
  const { shares, growth } = await planned(12e6);
  assert.is(shares.length, 1);
  assert.ok(shares[0]! > 0.2 && shares[0]! < 0.3);
  assert.equal(growth!.students.get('student_2')!.student.form, { family: 'wide', width: 1, depth: 1 });
  const { shares: asked, growth: small } = await planned(6e6, { effort: 'medium' });
  assert.equal(asked, [0.1], 'effort asks for one');
  assert.is(small!.students.get('student_2')!.student.form.family, 'patches');
  const { note, growth: none } = await planned(6e6);
  assert.is(none, undefined);
  assert.match(note!.message, /the smallest student takes [45]\d\.\d % of its MACs/);
});

test('what is asked for is refused where it is smaller than students are, and the error names a share that is not', async () => {
  await rejectsWith('student-too-large', () => planned(12e6, { student: [0.01] }));
  const { shares } = await planned(6e6, { student: [0.6] });
  assert.equal(shares, [0.6]);
});

test('a student that would cost as much as the original is refused before anything is trained', async () => {
  await rejectsWith('student-too-large', () => planned(1e5, { effort: 'high' }));
  await rejectsWith('student-too-large', () => planned(2.5e6, { studentFamily: 'wide' }));
  assert.equal((await planned(2.5e6, { effort: 'high' })).shares, [0.1, 0.22]);
  // Of [3, 32, 32] `patches` takes .067 of it.
  assert.equal((await planned(2.5e6, { studentEpochs: 2 })).shares, [0.1]);
});

test('students that would be the same network are grown once, with seeds in turn', async () => {
  const { shares, growth, note } = await planned(125e6, { student: [0.1, 0.1001, 0.3] });
  assert.equal(shares, [0.1, 0.3]);
  assert.match(note!.message, /^Only 2 are grown/);
  const alone = await planned(125e6, { student: [0.1, 0.3] });
  assert.equal(growth, alone.growth);
});

test.run();
