/** Milliseconds a training step of all default heads together, by how ONNX Runtime spends its threads. */

import { Random } from '../src/graph/random.ts';
import { inspectFile } from '../src/model/inspect.ts';
import { Tensor } from '../src/ort/session.ts';
import { attachExits } from '../src/passes/attach-exits.ts';
import { distill, joinHeads } from '../src/train/losses.ts';
import { splitStem } from '../src/train/stem.ts';
import { Stepper } from '../src/train/stepper.ts';

const [model = '../shared/data/models/resnet56.onnx'] = process.argv.slice(2);
const BATCH = 256;
const { plan } = await inspectFile({ model });
const heads = attachExits(plan, { kind: 'strided', seed: 1 });
const ids = heads.map((h) => h.exit.id);
const random = new Random(1, 'bench');
const feeds: Record<string, Tensor> = {
  labels: new Tensor(
    'int64',
    BigInt64Array.from({ length: BATCH }, () => BigInt(random.integer(0, 10))),
    [BATCH],
  ),
  teacher: new Tensor(
    'float32',
    Float32Array.from({ length: BATCH * 10 }, () => random.gaussian()),
    [BATCH, 10],
  ),
  survivors: new Tensor('float32', [1], []),
};
for (const { exit } of heads) {
  const size = BATCH * exit.tap.dims.reduce((a, b) => a * b, 1);
  const halves = Uint16Array.from({ length: size }, () =>
    random.uniform() < 0.5 ? 0 : 0x3800 + random.integer(0, 0x400),
  );
  feeds[`${exit.id}/features`] = new Tensor('float16', halves, [BATCH, ...exit.tap.dims]);
}
const named = heads.map(({ exit, graph }) => ({ id: exit.id, graph: splitStem(graph).body }));
const graph = distill(joinHeads(named, true), ids, 10);
for (const h of heads) console.log(`${h.exit.id} [${h.exit.tap.dims}] ${(h.macs / 1e6).toFixed(2)} M MACs`);
for (const [name, session] of Object.entries({
  'one op, all threads': {},
  'one op, all threads, spinning': { spinning: true },
  'two ops, one thread each, spinning': { parallelOps: 2, spinning: true },
  'one thread': { threads: 1 },
})) {
  const stepper = await Stepper.open(graph, { batch: BATCH, seed: 1, weightDecay: 0.01, session });
  const times: number[] = [];
  for (let i = 0; i < 12; i++) {
    const start = performance.now();
    await stepper.step(feeds, 1e-3);
    times.push(performance.now() - start);
  }
  times.sort((a, b) => a - b);
  console.log(`${name}: median ${times[6]!.toFixed(0)} ms a step, min ${times[0]!.toFixed(0)}`);
  await stepper.close();
}
