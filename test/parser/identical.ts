/** What it means that nothing of a file is lost. */
import { readFileSync } from 'node:fs';
import type { Test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Graph, Model } from '../../src/graph/types.ts';
import { loadModel, parseModel, serializeModel } from '../../src/parser/index.ts';
import { readFields } from '../../src/parser/wire.ts';

export const NODE = 1;
export const INITIALIZER = 5;

/** Fields `number` of the graph in a model file, tags included. */
export function graphFields(bytes: Uint8Array, number: number): Uint8Array[] {
  const graph = readFields(bytes).find((f) => f.number === 7)!.payload;
  return readFields(graph)
    .filter((f) => f.number === number)
    .map((f) => f.raw);
}

export const same = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;

export const withGraph = (m: Model, change: (graph: Graph) => Partial<Graph>): Model => ({
  ...m,
  graph: { ...m.graph, ...change(m.graph) },
});

/** A deep copy that shares no object, and so no source bytes, with `x`. */
export function anew<T>(x: T): T {
  if (Array.isArray(x)) return x.map(anew) as T;
  if (typeof x !== 'object' || x === null || x instanceof Uint8Array) return x;
  return Object.fromEntries(Object.entries(x).map(([key, v]) => [key, anew(v)])) as T;
}

/** Two tests of the model at `path`. */
export function testIdentity(test: Test, path: string): void {
  const name = path.split(/[\\/]/).slice(-2).join('/');

  test(`${name}: untouched, it is the file; with a new graph object, every node and initializer is`, async () => {
    const file = readFileSync(path);
    const { model } = await loadModel(path);
    assert.ok(same(serializeModel(model), file));
    const rebuilt = serializeModel(withGraph(model, () => ({})));
    for (const number of [NODE, INITIALIZER]) {
      const before = graphFields(file, number);
      const after = graphFields(rebuilt, number);
      assert.is(after.length, before.length);
      assert.ok(before.every((bytes, i) => same(bytes, after[i]!)));
    }
  });

  test(`${name}: encoded anew, it says the same`, () => {
    const model = parseModel(readFileSync(path));
    const copy = anew(model);
    const again = parseModel(serializeModel(copy));
    assert.equal(anew(again.graph), copy.graph);
    assert.equal(anew({ ...again, graph: 0 }), { ...copy, graph: 0 });
  });
}
