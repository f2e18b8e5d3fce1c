import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { sharedData } from '../shared.ts';
import { freshFolder, input, openAt } from './fixtures.ts';

const test = suite('data: CIFAR-10 images');

test('lossless WebP in an image folder', async () => {
  const archive = sharedData('cifar10', 'test.tar.gz');
  const names = execFileSync('tar', ['tzf', archive]).toString().split('\n');
  const folder = freshFolder();
  const few = ['airplane', 'truck'].flatMap((c) => names.filter((n) => n.includes(`/${c}/0`)).slice(0, 5));
  execFileSync('tar', ['xzf', archive, '-C', folder, ...few]);
  const path = join(folder, 'test');
  const data = await openAt(path, input(3, 32, 32), { preset: 'cifar10' }, { classes: 2 });
  assert.equal([...data.labels], [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]);
  assert.is(readFileSync(join(folder, few[0]!)).toString('latin1', 8, 12), 'WEBP');
  const values = await data.read([0, 9]);
  assert.ok(values.every((v) => v > -2.5 && v < 2.5));
  await data.close();
});

test.run();
