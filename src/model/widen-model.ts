/** A model with its batch fixed at 1 is widened, and both are run: a rewriting that mixes samples or fails is not used. */
import { batchNotWidened, messageOf } from '../errors/index.ts';
import type { Model } from '../graph/types.ts';
import { relativeGap } from '../ort/gap.ts';
import { type Outputs, type SessionOptions, Tensor, withSession } from '../ort/session.ts';
import { numbersOf } from '../ort/tensors.ts';
import { findUnsteady } from '../passes/find-unsteady.ts';
import { runPasses } from '../passes/pass.ts';
import { widenBatch } from '../passes/widen-batch.ts';
import { describeMixing, type ObserveOptions } from './observe-facts.ts';
import { randomFeeds } from './random-inputs.ts';

const BATCH = 3;
/** How far an output may deviate in a batch, relative to its largest element: other batch sizes may take other kernels. */
const MOST_WIDENED_DEVIATION = 1e-5;

/**
 * `model` taking any number of samples, after a batch of three gave what the samples give one by one; the very same model when it does so
 * already. Throws `batch-not-widened`.
 */
export async function widenModel(model: Model, options: ObserveOptions = {}): Promise<Model> {
  const graph = runPasses(model.graph, [widenBatch]);
  if (graph === model.graph) return model;
  const widened = { ...model, graph };
  const outputs = graph.outputs.map((v) => v.name);
  const { mixing } = findUnsteady(widened, outputs, Object.keys(randomFeeds(widened, options.dims ?? {}, 1)));
  if (mixing) throw batchNotWidened(describeMixing(mixing));
  const session: SessionOptions = { ...options.session, optimization: 'disabled' };
  const feeds = randomFeeds(widened, options.dims ?? {}, BATCH);
  try {
    const together = await withSession(widened, session, (s) => s.run(feeds));
    await withSession(model, session, async (s) => {
      for (let row = 0; row < BATCH; row++) compare(await s.run(sampleOf(feeds, row)), together, row);
    });
  } catch (error) {
    throw batchNotWidened(messageOf(error), error);
  }
  return widened;
}

/** Sample `row` of every tensor that has a batch of three. */
function sampleOf(tensors: Outputs, row: number): Outputs {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, tensor]) => {
      if (tensor.dims[0] !== BATCH) return [name, tensor];
      const size = tensor.data.length / BATCH;
      const data = (tensor.data as Float32Array).slice(row * size, (row + 1) * size);
      return [name, new Tensor(tensor.type as 'float32', data, [1, ...tensor.dims.slice(1)])];
    }),
  );
}

function compare(alone: Outputs, together: Outputs, row: number): void {
  for (const [name, b] of Object.entries(sampleOf(together, row))) {
    const a = alone[name]!;
    if (`${a.dims}` !== `${b.dims}`)
      throw new Error(`output ${name} is [${together[name]!.dims}] for ${BATCH} samples`);
    const [x, y] = [numbersOf(a), numbersOf(b)];
    const isSame = x && y ? relativeGap(x, y) <= MOST_WIDENED_DEVIATION : `${a.data}` === `${b.data}`;
    if (!isSame) throw new Error(`output ${name} of a sample depends on the batch around it`);
  }
}
