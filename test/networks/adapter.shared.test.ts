import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openDataset } from '../../src/data/index.ts';
import { opsetOf } from '../../src/graph/types.ts';
import { adaptNetwork } from '../../src/networks/adapt-network.ts';
import { adapterFor, describeAdapter } from '../../src/networks/adapter.ts';
import { refuseOtherTokenizer } from '../../src/networks/same-tokenizer.ts';
import { withSession } from '../../src/ort/session.ts';
import { feedsOf, floatsOf } from '../../src/ort/tensors.ts';
import { loadModel } from '../../src/parser/load-model.ts';
import { cache, freshFolder } from '../data/fixtures.ts';
import { hasCode } from '../expect.ts';
import { sharedData } from '../shared.ts';
import { firstRows, largestGap, outputsOf, readerOf } from './readers.ts';

const test = suite('networks: adapter, real networks and pictures');

const COUNT = 40;

const archive = sharedData('cifar10', 'test.tar.gz');
const folder = freshFolder();
const names = execFileSync('tar', ['tzf', archive]).toString().split('\n');
const files = names.filter((name) => /\/0?0?[0-4]\d*\.webp$/.test(name)).slice(0, 400);
execFileSync('tar', ['xzf', archive, '-C', folder, ...files.filter((_, i) => i % 10 === 0)]);
const path = join(folder, 'test');

test("MLPerf Tiny's ResNet-8, NHWC of raw pixels, behind what ResNet-56 reads", async () => {
  const { model } = await loadModel(sharedData('models', 'resnet8_mlperf.onnx'));
  const [input] = model.graph.inputs;
  const network = readerOf([32, 32, 3], {}, 'float', input!.name);
  const truth = await firstRows(await openDataset(path, { ...network, cache }), COUNT);
  const output = model.graph.outputs[0]!.name;
  const direct = await withSession(model, { threads: 1 }, (s) =>
    s.run(feedsOf(network.inputs, truth, COUNT), [output]),
  );
  for (const dataType of ['float', 'float16'] as const) {
    const original = readerOf([3, 32, 32], { preset: 'imagenet' }, dataType, 'image');
    const rows = await firstRows(await openDataset(path, { ...original, cache }), COUNT);
    assert.equal(describeAdapter(original, network), ['mean and std', 'NHWC']);
    const adapted = adaptNetwork(model, original, network, 'first_1');
    assert.is(opsetOf(adapted), opsetOf(model));
    const made = await withSession(adapted, { threads: 1 }, (s) =>
      s.run(feedsOf(original.inputs, rows, COUNT), [`first_1/${output}`]),
    );
    const gap = largestGap(floatsOf(made[`first_1/${output}`]!), floatsOf(direct[output]!));
    assert.ok(gap <= (dataType === 'float' ? 1e-5 : 0.02), `${dataType}: ${gap}`);
  }
});

test('photographs at other sizes: within 1 of 255 of Pillow', async () => {
  const original = readerOf([3, 32, 32], { preset: 'imagenet' });
  const rows = await firstRows(await openDataset(path, { ...original, cache }), COUNT);
  for (const side of [16, 24, 28, 40, 64]) {
    const network = readerOf([3, side, side], { resize: 'stretch' });
    const truth = await firstRows(await openDataset(path, { ...network, cache }), COUNT);
    const [output] = await outputsOf(adapterFor(original, network), original.inputs, rows, COUNT);
    assert.ok(largestGap(output!.values, truth) <= 1.0001, `${side}: ${largestGap(output!.values, truth)}`);
    const sum = output!.values.reduce((total, v, i) => total + Math.abs(v - truth[i]!), 0);
    assert.ok(sum / truth.length < 0.35, `${side}: ${sum / truth.length}`);
  }
});

test('encoders of one tokenizer, and of two', async () => {
  const read = async (...parts: string[]) => {
    const path = sharedData('text', ...parts);
    return { file: parts.join('/'), graph: (await loadModel(path)).model.graph };
  };
  const news = await read('ag_news', 'encoder.onnx');
  refuseOtherTokenizer(news, await read('ag_news', 'encoder_strong.onnx'));
  const reviews = await read('sst2', 'encoder.onnx');
  assert.throws(() => refuseOtherTokenizer(news, reviews), hasCode('first-tokenizer-unlike'));
});

test.run();
