import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { OfframpError } from '../../src/errors/index.ts';
import { buildStudent } from '../../src/students/build-student.ts';
import { sizeStudent } from '../../src/students/size-student.ts';
import { type Family, MAP_FAMILIES } from '../../src/students/student.ts';
import { hasCode } from '../expect.ts';
import { inputOf, ofTokens, readsOf, textOf } from './readers.ts';

const test = suite('students: sizes');

const CIFAR = readsOf([inputOf([3, 32, 32])], { preset: 'imagenet' }, 10);
const RESNET56 = 125_485_706;
/** ResNet-50 at 224 × 224. */
const RESNET50 = 4_089_184_256;

test('at a tenth of ResNet-56 a wide student has 32 channels and takes 12.28 M MACs', () => {
  const student = sizeStudent(CIFAR, 0.098, RESNET56, 1);
  assert.equal(student.form, { family: 'wide', width: 2, depth: 1 });
  // Stem at 16 × 16, stages at 16, 8 and 4 with ways around of 1 × 1, classifier.
  const stage = (to: number, side: number) => side ** 2 * (9 * (to / 2) * to + 9 * to * to + (to / 2) * to);
  const macs = 256 * 27 * 32 + 2 * 256 * 9 * 32 * 32 + stage(64, 8) + stage(128, 4) + 1280;
  assert.is(student.macs, macs);
  assert.is(macs, 12_281_088);
});

test('the narrow family is the form of ResNet-8', () => {
  const { macs } = buildStudent(CIFAR, { family: 'narrow', width: 1, depth: 1 }, 1);
  assert.is(macs, 12_501_632);
  assert.equal(sizeStudent(CIFAR, 0.1, RESNET56, 1, { family: 'narrow' }).form.width, 1);
});

for (const [share, width, depth] of [[0.03, 1, 1], [0.22, 3, 1], [0.4, 4, 1], [0.6, 4, 1], [0.7, 5, 1]] as const) {
  test(`${share} of ResNet-56`, () => {
    const { form, macs } = sizeStudent(CIFAR, share, RESNET56, 1);
    assert.equal(form, { family: 'wide', width, depth });
    assert.ok(macs <= share * RESNET56);
  });
} // biome-ignore format: short

test('between the smallest form and twice its width there is one of twice its depth', () => {
  const resnet20 = 40_551_808;
  assert.equal(sizeStudent(CIFAR, 0.1, resnet20, 1).form, { family: 'wide', width: 1, depth: 1 });
  assert.equal(sizeStudent(CIFAR, 0.3, resnet20, 1).form, { family: 'wide', width: 1, depth: 2 });
});

test('pictures of 224 × 224 are small after the stem: a tenth of ResNet-50 and less', () => {
  const reads = readsOf([inputOf([3, 224, 224])], { preset: 'imagenet' }, 1000);
  for (const share of [0.05, 0.1, 0.15]) {
    const { macs } = sizeStudent(reads, share, RESNET50, 1);
    assert.ok(macs <= share * RESNET50 && macs > 0.6 * share * RESNET50, `${macs / RESNET50} of ${share}`);
  }
  const { macs } = buildStudent(reads, { family: 'wide', width: 2, depth: 1 }, 1);
  assert.ok(macs < 0.03 * RESNET50);
});

test('a student of a text takes less than a tenth of one layer of its encoder', () => {
  const [length, size] = [128, 768];
  const layer = 12 * length * size ** 2 + 2 * length ** 2 * size;
  const reads = readsOf(textOf(length));
  const table = {
    name: 'e',
    dataType: 'float16',
    dims: [100, size],
    bytes: new Uint8Array(200 * size),
  } as const;
  for (const family of ['bag', 'conv'] as const)
    for (const embedding of [undefined, { ...ofTokens(100), table }]) {
      const { macs } = sizeStudent({ ...reads, embedding }, 0.1, layer, 1, { family });
      assert.ok(macs < 0.1 * layer && macs > 0, `${family}: ${macs / layer}`);
    }
});

const smallestOf = (family: Family) => buildStudent(CIFAR, { family, width: 1, depth: 1 }, 1).macs;

test('refuses a share that no student is small enough for, and the share that it names is enough', () => {
  for (const family of MAP_FAMILIES) {
    const total = 1.234 * 9 * smallestOf(family);
    const size = (share: number) => sizeStudent(CIFAR, share, total, 1, { family });
    try {
      size(0.01);
      assert.unreachable();
    } catch (error) {
      assert.instance(error, OfframpError);
      const { code, hint } = error as OfframpError;
      assert.is(code, 'student-too-large');
      const named = Number(/share of ([\d.]+) or more/.exec(hint)![1]);
      assert.is(size(named).form.width, 1);
      assert.throws(() => size(named * 0.98), hasCode('student-too-large'));
    }
  }
});

test('of a share that the usual family is too large for, the next one that is small enough', () => {
  const total = 1_171_200;
  assert.equal(sizeStudent(CIFAR, 0.6, total, 1).form, { family: 'separable', width: 1, depth: 1 });
  const { form, macs } = sizeStudent(CIFAR, 0.15, total, 1);
  assert.equal(form, { family: 'patches', width: 1, depth: 1 });
  // Patches at 8 × 8, a block there, one at 4 × 4 with its way around, classifier.
  const separable = (from: number, to: number, side: number) => side ** 2 * (9 * from + from * to);
  const stages = 2 * separable(16, 16, 8) + separable(16, 32, 4) + separable(32, 32, 4) + 16 * 16 * 32;
  assert.is(macs, 64 * 75 * 16 + stages + 320);
  assert.throws(() => sizeStudent(CIFAR, 0.15, total, 1, { family: 'wide' }), hasCode('student-too-large'));
});

test('the next family is one that has places for the exits', () => {
  const small = readsOf([inputOf([3, 5, 5])]);
  const total = 1e5;
  assert.is(sizeStudent(small, 0.6, total, 1).form.family, 'separable');
  const student = sizeStudent(small, 0.6, total, 1, { exits: 2 });
  assert.equal([student.form.family, student.exits.length], ['patches', 1]);
});

test('a family that was asked for is named when it is too large', () => {
  try {
    sizeStudent(CIFAR, 0.01, 2.5e6, 1, { family: 'wide' });
    assert.unreachable();
  } catch (error) {
    const { message, hint } = error as OfframpError;
    assert.match(message, 'no student of the family wide is as small as 1 %');
    assert.match(hint, /heads alone.* or leave `studentFamily` out/);
  }
});

test('says so where a student would cost more than the original', () => {
  assert.throws(
    () => sizeStudent(CIFAR, 0.5, 1e5, 1),
    (error: OfframpError) => error.code === 'student-too-large' && error.hint.includes("`effort: 'low'`"),
  );
});

test.run();
