import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ONNXRUNTIME_VERSION } from '../../src/ort/session.ts';
import { keptPredictions, nameOf, type PredictionsKey } from '../../src/predict/keep-predictions.ts';
import type { Predictions } from '../../src/predict/predict.ts';
import { CLASSES, syntheticData, temporaryFolder } from '../train/synthetic.ts';

const test = suite('predict: kept predictions');
const dataset = syntheticData(10);
const floats = (count: number, first: number) => Float32Array.from({ length: count }, (_, i) => first + i);
const predictions: Predictions = {
  logits: [floats(10 * CLASSES, 0.5)],
  confidence: [floats(10, 100)],
  original: floats(10 * CLASSES, 1000),
  labels: dataset.labels,
};
const keyIn = (cache: string): PredictionsKey => ({
  cache,
  modelHash: 'model',
  heads: 'heads',
  dataset,
  exits: 1,
  classes: CLASSES,
});

test('predicted once; again where a bit, or the length, is not what was written', async () => {
  const key = keyIn(temporaryFolder());
  let asked = 0;
  const kept = () =>
    keptPredictions(key, async () => {
      asked++;
      return predictions;
    });
  assert.equal([await kept(), await kept(), asked], [predictions, predictions, 1]);
  const [name] = readdirSync(join(key.cache, 'judged'));
  const path = join(key.cache, 'judged', name!);
  const good = readFileSync(path);
  const bad = [good.subarray(1), Buffer.alloc(0), Buffer.concat([good, good]), Buffer.from(good)];
  bad[3]![100]! ^= 1;
  for (const [i, bytes] of bad.entries()) {
    writeFileSync(path, bytes);
    assert.equal([await kept(), asked], [predictions, i + 2]);
    assert.ok(readFileSync(path).equals(good));
  }
});

test('another ONNX Runtime has another place', () => {
  const key = keyIn('cache');
  assert.is(nameOf(key), nameOf(key, ONNXRUNTIME_VERSION));
  assert.is.not(nameOf(key), nameOf(key, '1.31.0'));
});

test.run();
