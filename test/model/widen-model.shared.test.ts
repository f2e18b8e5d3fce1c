import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { observeFacts } from '../../src/model/observe-facts.ts';
import { widenModel } from '../../src/model/widen-model.ts';
import { loadModel } from '../../src/parser/index.ts';
import { sharedData } from '../shared.ts';

const test = suite('widen-model: real models');

test('real models with a fixed batch', async () => {
  for (const name of [
    'burn_mnist',
    'mnist-8',
    'cifar_biasfield_base',
    'cifar10_resnet_resnet_2b',
    'SqueezeNet_fp16',
  ]) {
    const file = sharedData('models', `${name}.onnx`);
    const { model } = await loadModel(file);
    const widened = await widenModel(model);
    const { batch, classes } = await observeFacts(widened);
    assert.is(batch, 'dynamic', name);
    assert.is(classes, (await observeFacts(model)).classes, name);
  }
});

test.run();
