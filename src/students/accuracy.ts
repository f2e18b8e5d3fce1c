/** How often a student is right. */
import type { Dataset } from '../data/index.ts';
import { makeModel } from '../graph/builder.ts';
import type { Graph } from '../graph/types.ts';
import { type SessionOptions, withSession } from '../ort/session.ts';
import { feedsOf } from '../ort/tensors.ts';
import { argMaxRows } from '../policies/rows.ts';

const BATCH = 128;

/** Share of `count` samples, evenly spread over `dataset`, whose label has the highest score of `graph`, which reads inputs of the dataset's. */
export async function accuracyOn(
  dataset: Dataset,
  count: number,
  graph: Graph,
  session: SessionOptions,
): Promise<number> {
  const asked = new Set(graph.inputs.map((v) => v.name));
  const scores = graph.outputs[0]!.name;
  const picks = Int32Array.from({ length: count }, (_, i) => Math.floor((i * dataset.size) / count));
  let right = 0;
  await withSession(makeModel(graph), session, async (opened) => {
    for (let first = 0; first < count; first += BATCH) {
      const some = picks.subarray(first, first + BATCH);
      const feeds = feedsOf(dataset.inputs, await dataset.read(some), some.length);
      const read = Object.fromEntries(Object.entries(feeds).filter(([name]) => asked.has(name)));
      const outputs = await opened.run(read);
      const classes = argMaxRows(outputs[scores]!.data as Float32Array, some.length);
      right += some.filter((sample, i) => classes[i] === dataset.labels[sample]).length;
    }
  });
  return right / count;
}
