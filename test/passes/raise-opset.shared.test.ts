import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { opsetOf } from '../../src/graph/types.ts';
import { raiseModel } from '../../src/model/raise-model.ts';
import { loadModel } from '../../src/parser/index.ts';
import { sharedData } from '../shared.ts';

const test = suite('raise-opset: real models');

for (const name of [
  'mnist-8',
  'cora_mnist-trades',
  'SqueezeNet_fp16',
  'cifar_biasfield_base',
  'cifar10_resnet_resnet_2b',
  'vit_ibp_3_3_8',
  'marabou-cifar10_cifar10_large',
  'light_resnet50',
  'light_densenet121',
  'light_vgg19',
]) {
  // biome-ignore format: a list
  test(`${name}: the same values everywhere`, async () => {
    const file = sharedData('models', `${name}.onnx`);
    const { model } = await loadModel(file);
    const raised = await raiseModel(model);
    assert.is(opsetOf(raised), 12);
    const before = new Set(model.graph.nodes);
    const made = raised.graph.nodes.filter((n) => !before.has(n)).map((n) => n.opType);
    assert.ok(made.every((type) => ['Constant', 'Slice', 'Identity'].includes(type)), made.join(' '));
  });
}

test.run();
