/** The parts of a chain run one after the other, as a client and servers would: what each sample travels with is kept here. */
import * as assert from 'uvu/assert';
import type { Model } from '../../src/graph/types.ts';
import { type Feeds, Tensor, withSession } from '../../src/ort/session.ts';
import { floatsOf } from '../../src/ort/tensors.ts';
import type { LoweredPart } from '../../src/passes/lower-part.ts';

export interface Answers {
  readonly exits: number[];
  readonly scores: number[];
  readonly confidences: number[];
}

type Known = Map<string, Tensor>;

/** Rows `rows` of `tensor`, along its first axis. */
function gather(tensor: Tensor, rows: readonly number[]): Tensor {
  const size = tensor.dims.slice(1).reduce((n, d) => n * d, 1);
  const data = tensor.data as Float32Array;
  const Kind = data.constructor as Float32ArrayConstructor;
  const kept = new Kind(rows.length * size);
  for (const [i, row] of rows.entries()) kept.set(data.subarray(row * size, (row + 1) * size), i * size);
  return new Tensor(tensor.type as 'float32', kept, [rows.length, ...tensor.dims.slice(1)]);
}

/** Where the samples of `inputs`, `count` of them, leave, and with what; `inPlay`: the number of all exits. */
export async function runParts(
  parts: readonly LoweredPart[],
  inputs: Feeds,
  count: number,
  inPlay: number,
  { batch, thresholds }: { readonly batch: number; readonly thresholds?: readonly number[] | undefined },
): Promise<Answers> {
  const found: Answers = { exits: [], scores: [], confidences: [] };
  const sessions = parts.map(
    ({ model }) =>
      <T>(use: (run: (feeds: Feeds) => Promise<Readonly<Record<string, Tensor>>>) => Promise<T>) =>
        withSession(model, { threads: 1 }, (session) => use((feeds) => session.run(feeds) as never)),
  );
  const limit = thresholds && new Tensor('float32', Float32Array.from(thresholds), [thresholds.length]);
  let known: { rows: number[]; tensors: Known }[] = [];
  for (let at = 0; at < count; at += batch) {
    const rows = Array.from({ length: Math.min(batch, count - at) }, (_, i) => at + i);
    const tensors = Object.entries(inputs).map(
      ([name, tensor]) => [name, gather(tensor as Tensor, rows)] as const,
    );
    known.push({ rows, tensors: new Map(tensors) });
  }
  const classes = { value: 0 };
  for (const [p, part] of parts.entries()) {
    const isLast = p === parts.length - 1;
    known = await sessions[p]!(async (run) => {
      const next: typeof known = [];
      for (const { rows, tensors } of known) {
        const feeds: Feeds = Object.fromEntries(part.takes.map(({ name }) => [name, tensors.get(name)!]));
        const out = await run(limit ? { ...feeds, thresholds: limit } : feeds);
        const index = [...(out.exit_index!.data as BigInt64Array)].map(Number);
        const scores = floatsOf(out.scores!);
        assert.equal(out.exit_index!.dims, [rows.length]);
        classes.value = scores.length / rows.length;
        const isOn = (i: number) => !isLast && index[i] === inPlay;
        rows.forEach((row, i) => {
          if (isOn(i)) return;
          found.exits[row] = index[i]!;
          found.confidences[row] = (out.exit_confidence!.data as Float32Array)[i]!;
          for (let c = 0; c < classes.value; c++)
            found.scores[row * classes.value + c] = scores[i * classes.value + c]!;
        });
        const on = rows.map((_, i) => i).filter(isOn);
        const features = part.gives.filter(({ role }) => role === 'feature');
        for (const { name, dims } of features) {
          const expected = dims.map((d) => (d === 'N' ? on.length : d));
          assert.equal(out[name]!.dims, expected, `${name} has the rows of those in play`);
        }
        if (on.length === 0) continue;
        const kept = new Map([...tensors].map(([name, tensor]) => [name, gather(tensor, on)]));
        for (const { name, role } of part.gives)
          if (role === 'feature') kept.set(name, out[name]!);
          else kept.set('policy_state', gather(out[name]!, on));
        next.push({ rows: on.map((i) => rows[i]!), tensors: kept });
      }
      return next;
    });
  }
  return found;
}

/** The whole model in one. */
export const runWhole = (
  model: Model,
  inputs: Feeds,
  count: number,
  how: { readonly batch: number; readonly thresholds?: readonly number[] | undefined },
): Promise<Answers> => {
  const takes = Object.keys(inputs).map(
    (name) => ({ name, dataType: 'float', dims: [], role: 'input' }) as const,
  );
  return runParts([{ model, takes, gives: [] }], inputs, count, -1, how);
};
