import { suite } from 'uvu';
import { inferenceForm } from '../../src/autodiff/training-form.ts';
import { inspectFile } from '../../src/model/inspect.ts';
import { attachExits } from '../../src/passes/attach-exits.ts';
import { lowerExits } from '../../src/passes/lower-exits.ts';
import { runPasses } from '../../src/passes/pass.ts';
import { sharedData } from '../shared.ts';
import { expectOriginal } from './closed.ts';

const test = suite('close-exits: real models');

for (const name of ['resnet20', 'densenet40', 'resnet8_mlperf', 'SqueezeNet_fp16']) {
  test(`${name} comes back`, async () => {
    const session = { threads: 1 };
    const { typed, plan } = await inspectFile({ model: sharedData('models', `${name}.onnx`), session });
    const heads = attachExits(plan, { seed: 1 }).map((head) => ({
      ...head,
      graph: runPasses(head.graph, [inferenceForm]),
    }));
    for (const baked of [undefined, heads.map((_, k) => (k === 0 ? 1 : 0.5))])
      await expectOriginal(typed.model, lowerExits(typed, heads, { policy: 'max-prob', baked }), session);
  });
}

test.run();
