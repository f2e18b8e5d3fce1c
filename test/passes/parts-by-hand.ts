/** The parts of a chain, one after the other, as a client and servers run them: what a sample travels with is kept here. */
import * as assert from 'uvu/assert';
import type { Model } from '../../src/graph/types.ts';
import { type Feeds, type Session, Tensor, withSession } from '../../src/ort/session.ts';
import { numbersOf } from '../../src/ort/tensors.ts';
import type { LoweredPart } from '../../src/passes/lower-part.ts';

/** Row by row. */
export interface Answers {
  readonly exits: number[];
  readonly scores: number[];
  readonly confidences: number[];
}

/** Runs one batch through all parts. */
export type Ask = (inputs: Feeds, thresholds?: readonly number[]) => Promise<Answers>;

/** `exits`: how many the chain has. `scores`: name of that output. */
export interface PartsOf {
  readonly exits: number;
  readonly scores?: string;
  /** Up to `basic`, ONNX Runtime does the same arithmetic in a branch as outside of one. */
  readonly optimization?: 'basic' | 'all';
}

/** What `use` makes of `parts`, of each of which a session is open. */
export async function withParts<T>(
  parts: readonly LoweredPart[],
  of: PartsOf,
  use: (ask: Ask) => Promise<T>,
  sessions: readonly Session[] = [],
): Promise<T> {
  const next = parts[sessions.length];
  if (!next) return use((inputs, thresholds) => ask(parts, sessions, of, inputs, thresholds));
  return withSession(next.model, { threads: 1, optimization: of.optimization ?? 'all' }, (session) =>
    withParts(parts, of, use, [...sessions, session]),
  );
}

/** The same of a model in one. */
export const withWhole = <T>(model: Model, of: PartsOf, use: (ask: Ask) => Promise<T>): Promise<T> => {
  const inputs = model.graph.inputs.filter(({ name }) => name !== 'thresholds');
  const takes = inputs.map(({ name }) => ({ name, dataType: 'float', dims: [], role: 'input' }) as const);
  return withParts([{ model, takes, gives: [] }], of, use);
};

async function ask(
  parts: readonly LoweredPart[],
  sessions: readonly Session[],
  { exits, scores: name = 'scores' }: PartsOf,
  inputs: Feeds,
  thresholds?: readonly number[],
): Promise<Answers> {
  const found: Answers = { exits: [], scores: [], confidences: [] };
  let known = new Map(Object.entries(inputs)) as Map<string, Tensor>;
  let rows = Array.from({ length: Object.values(inputs)[0]!.dims[0]! }, (_, i) => i);
  const limit = thresholds && new Tensor('float32', Float32Array.from(thresholds), [thresholds.length]);
  for (const [p, { takes, gives }] of parts.entries()) {
    const feeds = Object.fromEntries(takes.map((t) => [t.name, known.get(t.name)!]));
    const out = await sessions[p]!.run(limit ? { ...feeds, thresholds: limit } : feeds);
    const [index, scores, sure] = [out.exit_index!, out[name]!, out.exit_confidence!].map(
      (tensor) => numbersOf(tensor)!,
    );
    const size = scores!.length / rows.length;
    assert.equal(out.exit_index!.dims, [rows.length]);
    // The answer so far, also of samples that go on.
    for (const [i, row] of rows.entries()) {
      found.exits[row] = index![i]!;
      found.confidences[row] = sure![i]!;
      for (let c = 0; c < size; c++) found.scores[row * size + c] = scores![i * size + c]!;
    }
    const on = rows.map((_, i) => i).filter((i) => index![i] === exits);
    for (const { name, dims, role } of gives) {
      const count = role === 'state' ? rows.length : on.length;
      assert.equal(
        out[name]!.dims,
        dims.map((d) => (d === 'N' ? count : d)),
        name,
      );
    }
    if (on.length === 0) break;
    const isAll = on.length === rows.length;
    known = new Map([...known].map(([key, tensor]) => [key, isAll ? tensor : gather(tensor, on)]));
    for (const { name, role } of gives)
      if (role === 'feature') known.set(name, out[name]!);
      else known.set('policy_state', gather(out[name]!, on));
    rows = on.map((i) => rows[i]!);
  }
  return found;
}

/** Some rows of `tensor`. */
function gather(tensor: Tensor, rows: readonly number[]): Tensor {
  const size = tensor.dims.slice(1).reduce((n, d) => n * d, 1);
  const data = tensor.data as Float32Array;
  const kept = new (data.constructor as Float32ArrayConstructor)(rows.length * size);
  for (const [i, row] of rows.entries()) kept.set(data.subarray(row * size, (row + 1) * size), i * size);
  return new Tensor(tensor.type as 'float32', kept, [rows.length, ...tensor.dims.slice(1)]);
}
