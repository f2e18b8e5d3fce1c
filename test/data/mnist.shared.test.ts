import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { sharedData } from '../shared.ts';
import { input, openAt } from './fixtures.ts';

const test = suite('data: MNIST');

test('its test images, packed', async () => {
  const path = sharedData('mnist', 't10k-images-idx3-ubyte.gz');
  const data = await openAt(path, input(1, 28, 28), { preset: 'mnist' }, { classes: 10 });
  assert.is(data.size, 10000);
  const counts = [...Array(10).keys()].map((k) => data.labels.filter((l) => l === k).length);
  assert.equal(counts, [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]);
  const ink = (await data.readRecords([0])).reduce((a, b) => a + b, 0) / 784;
  assert.ok(ink > 10 && ink < 60);
  await data.close();
});

test.run();
