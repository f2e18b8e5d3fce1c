/**
 * Accuracy against honest cost on CIFAR-10: trains heads for every seed, calibrates on one part and reports on the other,
 * both ways round, and writes the table to bench/cifar10.md. Takes about ten minutes a seed on two cores.
 *
 *   npx tsx bench/cifar10.ts --pictures DIR [--model FILE] [--seeds 1,2,3] [--epochs N] [--exits N | --taps …] [--head KIND,…] [--views N]
 *
 * DIR holds the unpacked ../shared/data/cifar10 archives: train/, calibration/, test/.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { serialize } from 'node:v8';
import { defaultCache } from '../src/cache/folder.ts';
import { costsOf } from '../src/calibrate/costs.ts';
import { openDataset, resolvePreprocessing } from '../src/data/index.ts';
import { inputsOf } from '../src/data/splits.ts';
import { inspectFile } from '../src/model/inspect.ts';
import { attachExits } from '../src/passes/attach-exits.ts';
import type { HeadKind } from '../src/passes/exits.ts';
import type { Placement } from '../src/passes/plan-exits.ts';
import { predict } from '../src/predict/predict.ts';
import { openFeatures } from '../src/train/features.ts';
import { SURVIVORS } from '../src/train/recipes.ts';
import { trainHeads } from '../src/train/train.ts';
import { trainingViews } from '../src/train/views.ts';
import type { Kept } from './budgets.ts';

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: '../shared/data/models/resnet56.onnx' },
    pictures: { type: 'string', default: '/tmp/cifar10' },
    seeds: { type: 'string', default: '1,2,3' },
    epochs: { type: 'string' },
    exits: { type: 'string' },
    taps: { type: 'string' },
    placement: { type: 'string' },
    head: { type: 'string', default: 'strided' },
    share: { type: 'string' },
    keep: { type: 'string', default: '/tmp/cifar10-outcomes' },
    survivors: { type: 'string' },
    batch: { type: 'string' },
    rate: { type: 'string' },
    threads: { type: 'string' },
    views: { type: 'string', default: '2' },
    limit: { type: 'string', default: '2e10' },
  },
});

mkdirSync(values.keep, { recursive: true });
const { source, typed, plan } = await inspectFile({
  model: values.model,
  ...(values.exits && { exits: Number(values.exits) }),
  ...(values.taps && { taps: values.taps.split(',') }),
  ...(values.placement && { placement: values.placement as Placement }),
});
const inputs = inputsOf(typed);
const preset = { preset: 'imagenet' as const };
const opening = {
  inputs,
  preprocessing: resolvePreprocessing(preset, inputs),
  cache: defaultCache(),
  classes: 10,
};
const [train, calibration, test] = await Promise.all(
  ['train', 'calibration', 'test'].map((split) => openDataset(join(values.pictures, split), opening)),
);
for (const seed of values.seeds.split(',').map(Number)) {
  const file = join(values.keep, `${basename(values.model, '.onnx')}-${seed}.bin`);
  if (existsSync(file)) {
    console.log(`${file} is there already`);
    continue;
  }
  const started = performance.now();
  const share = values.share ? { maxShare: Number(values.share) } : {};
  const kind = values.head.split(',') as HeadKind[];
  const heads = attachExits(plan, { kind, seed, ...share });
  for (const h of heads)
    console.log(
      `${h.exit.id} ${h.exit.tap.value} prefix ${(h.exit.prefixMacs / plan.totalMacs).toFixed(3)} head ${(h.macs / plan.totalMacs).toFixed(4)}`,
    );
  const session = values.threads ? { threads: Number(values.threads) } : {};
  const predicting = { typed, modelHash: source.sha256, session };
  const features = await openFeatures({
    ...predicting,
    heads,
    dataset: train!,
    cacheFolder: defaultCache(),
    cacheLimitBytes: Number(values.limit),
    ...trainingViews(train!, Number(values.views)),
    onProgress: every(20, (done, total) => console.log(`features ${done}/${total}`)),
  });
  console.log(
    `features ready after ${((performance.now() - started) / 1000).toFixed(0)} s, ${features.storage}, ${features.views.length} views`,
  );
  const trained = await trainHeads(heads, features, {
    seed,
    session,
    ...(values.batch && { batch: Number(values.batch) }),
    ...(values.rate && { learningRate: Number(values.rate) }),
    ...(values.epochs && { epochs: Number(values.epochs) }),
    ...(values.survivors === 'on' && { survivors: SURVIVORS }),
    onProgress: every(20, (done, total, p) =>
      console.log(`step ${done}/${total} loss ${p!.loss.toFixed(3)} ${p!.rate.toFixed(0)} samples/s`),
    ),
  });
  await features.close();
  const kept: Kept = {
    costs: costsOf([plan], trained),
    calibration: await predict(trained, calibration!, predicting),
    test: await predict(trained, test!, predicting),
    seconds: (performance.now() - started) / 1000,
  };
  writeFileSync(file, serialize(kept));
  console.log(`seed ${seed}: ${kept.seconds.toFixed(0)} s`);
}

function every(
  seconds: number,
  print: (done: number, total: number, event?: { loss: number; rate: number }) => void,
) {
  let last = performance.now();
  const report = (done: number, total: number, event?: { loss: number; rate: number }) => {
    if (performance.now() - last < seconds * 1000 && done < total) return;
    last = performance.now();
    print(done, total, event);
  };
  return ((first: number | { done: number; total: number; loss: number; rate: number }, total?: number) =>
    typeof first === 'number' ? report(first, total!) : report(first.done, first.total, first)) as never;
}
