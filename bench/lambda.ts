/**
 * PTEENet's own recipe on ResNet-20: full-width conv2 heads, loss v2, confidence heads, one threshold of 0.5 for all
 * exits; one training per λ. Writes bench/lambda.md. A tenth of the published length: the shape of the curve is the point.
 *
 *   npx tsx bench/lambda.ts --pictures DIR [--lambdas 0.1,0.5,…] [--samples 10000] [--epochs 5]
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { defaultCache } from '../src/cache/folder.ts';
import { costsOf } from '../src/calibrate/costs.ts';
import { measure } from '../src/calibrate/index.ts';
import { formatTable } from '../src/cli/tables.ts';
import { openDataset, partition, resolvePreprocessing } from '../src/data/index.ts';
import { inputsOf } from '../src/data/splits.ts';
import { inspectFile } from '../src/model/inspect.ts';
import { attachExits } from '../src/passes/attach-exits.ts';
import { outcomesOf } from '../src/predict/outcomes.ts';
import { predict } from '../src/predict/predict.ts';
import { openFeatures } from '../src/train/features.ts';
import { trainHeads } from '../src/train/train.ts';
import { trainingViews } from '../src/train/views.ts';
import { markdown } from './markdown.ts';

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: '../shared/data/models/resnet20.onnx' },
    pictures: { type: 'string', default: '/tmp/cifar10' },
    lambdas: { type: 'string', default: '0.9,2.3,2.8,3.4,4' },
    samples: { type: 'string', default: '10000' },
    epochs: { type: 'string', default: '6' },
    out: { type: 'string', default: 'bench/lambda.md' },
  },
});
const THRESHOLD = 0.5;
const seed = 1;

const { source, typed, plan } = await inspectFile({ model: values.model, placement: 'linear', exits: 3 });
const inputs = inputsOf(typed);
const opening = {
  inputs,
  preprocessing: resolvePreprocessing({ preset: 'imagenet' }, inputs),
  cache: defaultCache(),
  classes: 10,
};
const all = await openDataset(join(values.pictures, 'train'), opening);
const test = await openDataset(join(values.pictures, 'test'), opening);
const { part } = partition(all, { part: Number(values.samples) / all.size }, seed);
const predicting = { typed, modelHash: source.sha256, session: {} };
const heads = attachExits(plan, { kind: 'conv2', seed });
const costs = costsOf([plan], heads);
const features = await openFeatures({
  ...predicting,
  heads,
  dataset: part,
  cacheFolder: defaultCache(),
  ...trainingViews(part),
});

const rows: string[][] = [];
const percent = (v: number) => `${(100 * v).toFixed(1)} %`;
for (const lambda of values.lambdas.split(',').map(Number)) {
  const started = performance.now();
  const trained = await trainHeads(heads, features, {
    recipe: 'pteenet-v2',
    targets: 'original',
    lambda,
    epochs: Number(values.epochs),
    seed,
  });
  const outcomes = outcomesOf(await predict(trained, test, predicting), {
    policy: 'confidence',
    parameters: {},
  });
  const at = measure(
    outcomes,
    costs,
    heads.map(() => THRESHOLD),
  );
  const published = at.exitShares.reduce(
    (sum, share, k) => sum + share * (k < heads.length ? costs.exits[k]!.prefix + costs.exits[k]!.head : 1),
    0,
  );
  rows.push([
    String(lambda),
    percent(at.relativeCost),
    percent(published),
    percent(at.agreement),
    percent(at.accuracy),
    ...at.exitShares.map(percent),
  ]);
  console.log(
    `λ ${lambda}: ${((performance.now() - started) / 1000).toFixed(0)} s ${rows.at(-1)!.join('  ')}`,
  );
}
await features.close();

const header = [
  'λ',
  'honest cost',
  'cost as PTEENet counts it',
  'agreement',
  'accuracy',
  ...heads.map((h) => h.exit.id),
  'full path',
];
writeFileSync(
  values.out,
  `# PTEENet's recipe: a λ sweep on ResNet-20, CIFAR-10

Made by \`npx tsx bench/lambda.ts --pictures DIR\`: \`--head conv2 --recipe pteenet-v2 --policy confidence\`, exits at
${costs.exits.map(({ prefix, head }) => `${percent(prefix)} (head ${percent(head)})`).join(', ')} of the backbone's MACs. ${part.size} training pictures with
their mirror images, ${values.epochs} epochs (PTEENet: 50,000 pictures, 30 epochs), Adam 5e-4, batch 128, targets are the
original's answers, seed ${seed}. One threshold of ${THRESHOLD} for all exits, as in PTEENet's code. Reported on the 3,000 pictures of \`test\`.

${markdown([header, ...rows])}

"Cost as PTEENet counts it" leaves out heads that were run and did not let the sample go.
`,
);
console.log(formatTable([header, ...rows]));
